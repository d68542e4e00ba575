"""What a call is authorised on, where ministack does not say it as AWS does.

Under ``AUTH=true`` ministack gives images an ARN with an account in it and takes calls on snapshots, and on change sets
that are named by their ARN alone, for calls on ``*``. A policy that names resources as AWS wants them
(``arn:aws:ec2:<region>::image/<id>``) would then be refused here and work there. So would the reading of a folder of
parameters, which it takes for a call on ``*``. A public parameter (``/aws/service/...``) belongs to no account, and a
call on a build is one on its project. The tags of the image or snapshot are added to the request's context, for
conditions on ``aws:ResourceTag``. Calls that use several resources or give tags are in ``ec2_checks``.

A call on a KMS key by its alias is a call on the key, and a grant's grantee is what ``kms:GranteePrincipal`` speaks of.

Of a session, ``aws:PrincipalArn`` is the ARN of its role and not that of the session
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalarn).
"""

import json
from typing import Any

from ministack.core.iam_evaluator import EvalContext
from ministack.services import ec2

from overlay import image_keys, patched
from overlay.shapes import Headers, Params, Query, Record

_extract_resource_arn = patched.EXTRACT_RESOURCE_ARN.current()
_request_tag_context = patched.REQUEST_TAG_CONTEXT.current()
_resolve_condition_key = patched.RESOLVE_CONDITION_KEY.current()

_FIELDS = {
    "DeleteSnapshot": ("snapshot", "SnapshotId"),
    "DeregisterImage": ("image", "ImageId"),
    "DescribeImageAttribute": ("image", "ImageId"),
    "DescribeSnapshotAttribute": ("snapshot", "SnapshotId"),
    "DisableImage": ("image", "ImageId"),
    "DisableImageDeprecation": ("image", "ImageId"),
    "DisableImageDeregistrationProtection": ("image", "ImageId"),
    "EnableImage": ("image", "ImageId"),
    "EnableImageDeprecation": ("image", "ImageId"),
    "EnableImageDeregistrationProtection": ("image", "ImageId"),
    "ModifyImageAttribute": ("image", "ImageId"),
    "ModifySnapshotAttribute": ("snapshot", "SnapshotId"),
    "ResetImageAttribute": ("image", "ImageId"),
    "ResetSnapshotAttribute": ("snapshot", "SnapshotId"),
}
"""The EC2 actions on one image or snapshot: the type, and the parameter that holds the id."""


def install() -> None:
    """Replace the functions that prepare an authorisation."""
    patched.RESOLVE_CONDITION_KEY.replace(resolve_condition_key)
    patched.EXTRACT_RESOURCE_ARN.replace(extract_resource_arn)
    patched.REQUEST_TAG_CONTEXT.replace(request_tag_context)


def extract_resource_arn(
    service: str,
    method: str,
    path: str,
    headers: Headers,
    body: bytes,
    query_params: Query,
    region: str,
    account_id: str,
) -> str:
    """The ARN a policy must name."""
    if service == "ec2" and (found := _image_or_snapshot(query_params)):
        kind, identifier = found
        return f"arn:aws:ec2:{region}::{kind}/{identifier}"
    if service == "iam" and (simulated := _one(query_params, "PolicySourceArn")):
        return simulated
    if service == "ssm" and (public := _public_parameter(body)):
        return f"arn:aws:ssm:{region}::parameter{public}"
    if service == "ssm" and (folder := _field(body, "Path")):
        return f"arn:aws:ssm:{region}:{account_id}:parameter{folder}"
    if service == "events" and (rule := _rule(headers, body)):
        return f"arn:aws:events:{region}:{account_id}:rule/{rule}"
    if service == "codebuild" and (project := _project(body)):
        return f"arn:aws:codebuild:{region}:{account_id}:project/{project}"
    if service == "cloudformation":
        change_set = _one(query_params, "ChangeSetName")
        if change_set.startswith("arn:") and not _one(query_params, "StackName"):
            return change_set
    if service == "kms" and _field(body, "KeyId").startswith("alias/"):
        return image_keys.existing(_field(body, "KeyId")) or f"arn:aws:kms:{region}:{account_id}:key/none"
    return _extract_resource_arn(service, method, path, headers, body, query_params, region, account_id)


def resolve_condition_key(key: str, ctx: EvalContext) -> Any:
    """ministack's value of a condition key, but for the principal of a session."""
    value = _resolve_condition_key(key, ctx)
    if key.lower() == "aws:principalarn" and isinstance(value, str) and ":assumed-role/" in value:
        account, role = value.split(":")[4], value.split("/")[1]
        return f"arn:{value.split(':')[1]}:iam::{account}:role/{role}"
    return value


def request_tag_context(service: str, iam_action: str, body: bytes, params: Params) -> Record:
    """ministack's context, and the tags that the image or snapshot has, or who gets a grant."""
    context = _request_tag_context(service, iam_action, body, params)
    if iam_action == "kms:CreateGrant":
        return {**(context or {}), "kms:granteeprincipal": _field(body, "GranteePrincipal")}
    found = _image_or_snapshot(params) if service == "ec2" else None
    if found is None:
        return context
    tags = {f"aws:resourcetag/{tag['Key']}".lower(): tag["Value"] for tag in ec2._tags.get(found[1]) or []}
    return {**(context or {}), **tags}


def _image_or_snapshot(params: Params) -> tuple[str, str] | None:
    kind, field = _FIELDS.get(_one(params, "Action"), ("", ""))
    identifier = _one(params, field) if field else ""
    return (kind, identifier) if identifier else None


_RULE_CALLS = ("DescribeRule", "ListTargetsByRule")


def _rule(headers: Headers, body: bytes) -> str:
    """The rule that a call looks at, after its bus unless that is the default one; empty for other calls."""
    if headers.get("x-amz-target", "").rpartition(".")[2] not in _RULE_CALLS:
        return ""
    bus = _field(body, "EventBusName").rpartition("/")[2]
    name = _field(body, "Name") or _field(body, "Rule")
    return f"{bus}/{name}" if bus not in ("", "default") else name


def _public_parameter(body: bytes) -> str:
    """The public parameter that a call names, the first of several; empty if one of them belongs to an account."""
    names = _value(body, "Names")
    named = names if isinstance(names, list) else [_field(body, "Name")]
    return str(named[0]) if named and all(str(name).startswith("/aws/") for name in named) else ""


def _project(body: bytes) -> str:
    """The project whose builds are asked for, by id or by ARN; empty if they are of several."""
    ids = _value(body, "ids")
    if not isinstance(ids, list):
        return ""
    projects = {str(one).rpartition("/")[2].partition(":")[0] for one in ids}
    return projects.pop() if len(projects) == 1 else ""


def _field(body: bytes, name: str) -> str:
    """A text of a JSON body; empty if it has none."""
    value = _value(body, name)
    return value if isinstance(value, str) else ""


def _value(body: bytes, name: str) -> Any:
    try:
        return json.loads(body).get(name) if body else None
    except (ValueError, AttributeError):
        return None


def _one(params: Params | None, name: str) -> str:
    value = (params or {}).get(name, "")
    return value[0] if isinstance(value, list) and value else value or ""
