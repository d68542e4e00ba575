"""Typed parameters of a template, looked up with the rights of who makes the stack or the change set.

A parameter of type ``AWS::EC2::VPC::Id`` must be a VPC that the *caller* can describe; the role that is passed to the
stack does not count. As AWS does it: a parameter of Systems Manager that may not be read refuses the call, and what EC2
does not show fails the change set, or rolls the stack back, before any resource is made.
"""

from collections.abc import Iterable
from contextvars import ContextVar

from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudformation
from ministack.services.cloudformation import engine, helpers, stacks

from overlay import checks, patched
from overlay.contracts import QueryAction
from overlay.shapes import Params, Record, Reply

_SSM_VALUE = "AWS::SSM::Parameter::Value<"
_SSM = (_SSM_VALUE, "AWS::SSM::Parameter::Name")
# The type -> the action that looks it up, and the parameter of it that takes what is looked for.
_LOOKUPS = {
    "AWS::EC2::AvailabilityZone::Name": ("ec2:DescribeAvailabilityZones", "ZoneName"),
    "AWS::EC2::Image::Id": ("ec2:DescribeImages", "ImageId"),
    "AWS::EC2::Instance::Id": ("ec2:DescribeInstances", "InstanceId"),
    "AWS::EC2::KeyPair::KeyName": ("ec2:DescribeKeyPairs", "KeyName"),
    "AWS::EC2::SecurityGroup::GroupName": ("ec2:DescribeSecurityGroups", "GroupName"),
    "AWS::EC2::SecurityGroup::Id": ("ec2:DescribeSecurityGroups", "GroupId"),
    "AWS::EC2::Subnet::Id": ("ec2:DescribeSubnets", "SubnetId"),
    "AWS::EC2::VPC::Id": ("ec2:DescribeVpcs", "VpcId"),
    "AWS::EC2::Volume::Id": ("ec2:DescribeVolumes", "VolumeId"),
    "AWS::Route53::HostedZone::Id": ("route53:GetHostedZone", ""),
}
_ACTIONS = ("CreateChangeSet", "CreateStack", "UpdateStack")
_validated = patched.FAIL_PROPERTY_VALIDATION.current()
_problem: ContextVar[str] = ContextVar("problem_of_parameters", default="")


def install() -> None:
    """Stand around the three actions that take parameters, and before the resources of a stack."""
    for action in _ACTIONS:
        handler = patched.CLOUDFORMATION_ACTIONS.current(action)
        patched.CLOUDFORMATION_ACTIONS.replace(action, _looked_up(action, handler))
    patched.FAIL_PROPERTY_VALIDATION.replace(fail_parameters)


def _looked_up(action: str, handler: QueryAction) -> QueryAction:
    """Returns a handler that looks its parameters up first."""

    def looked_up(params: Params) -> Reply:
        values = list(_typed(params))
        for kind, value in values:
            name = f"parameter/{value.lstrip('/')}"
            arn = f"arn:aws:ssm:{get_region()}:{'' if value.startswith('/aws/') else get_account_id()}:{name}"
            if kind.startswith(_SSM) and not checks.allowed("ssm:GetParameters", arn):
                return helpers._error("ValidationError", _denied("ssm:GetParameters"))
        reason = next(filter(None, (_reason(kind, value) for kind, value in values)), "")
        # The task that deploys the stack copies this context.
        before = _problem.set(reason if action != "CreateChangeSet" else "")
        try:
            answer = handler(params)
        finally:
            _problem.reset(before)
        if reason and action == "CreateChangeSet" and answer[0] < 400:
            _fail_change_set(params, reason)
        return answer

    return looked_up


def _typed(params: Params) -> Iterable[tuple[str, str]]:
    """Yields the type and each value of the typed parameters of a request; nothing if it is malformed."""
    stack = cloudformation.handlers._resolve_stack(helpers._p(params, "StackName")) or {}
    body, _refusal = helpers._resolve_template(params)
    try:
        template = engine._parse_template(body or stack.get("_template_body") or "{}")
        given = helpers._extract_members(params, "Parameters")
        resolved = engine._resolve_parameters(template, given, stack.get("_resolved_params", {}))
    except Exception:  # ministack refuses the request itself, in its own words.
        return
    for name, found in resolved.items():
        kind = template["Parameters"][name].get("Type", "String")
        if kind.startswith(_SSM):
            yield kind, found.get("SsmName") or found["Value"]
        inner = kind.removeprefix(_SSM_VALUE).removesuffix(">") if kind.startswith(_SSM_VALUE) else kind
        if inner.startswith("List<"):
            inner = inner.removeprefix("List<").removesuffix(">")
        if inner in _LOOKUPS:
            yield from ((f"{name}={inner}", one.strip()) for one in str(found["Value"]).split(","))


def _denied(action: str) -> str:
    return f"AccessDenied. User doesn't have permission to call {action}"


def _reason(kind: str, value: str) -> str:
    """Returns why a value of EC2 or Route 53 does not do; empty if it does."""
    name, _, kind = kind.partition("=")
    action, field = _LOOKUPS.get(kind, ("", ""))
    if not action:
        return ""
    if not checks.allowed(action, "*"):
        return _denied(action)
    if field and value and not _exists(action.split(":")[1], field, value):
        return f"Parameter validation failed: parameter value {value} for parameter name {name} does not exist"
    return ""


def _exists(action: str, field: str, value: str) -> bool:
    """Whether EC2 shows it to the caller's account."""
    status, _, body = patched.EC2_ACTIONS.current(action)({"Action": [action], f"{field}.1": [value]})
    return status < 400 and f">{value}<".encode() in body


def _fail_change_set(params: Params, reason: str) -> None:
    """End a change set that was just made, with its reason and without changes."""
    name, stack = helpers._p(params, "ChangeSetName"), helpers._p(params, "StackName")
    _, change_set = cloudformation.changesets._find_change_set(name, stack)
    change_set.update(Status="FAILED", ExecutionStatus="UNAVAILABLE", StatusReason=reason, Changes=[])


def fail_parameters(
    stack: Record,
    stack_id: str,
    stack_name: str,
    resources_defs: Record,
    ordered: list[str],
    param_values: Record,
    conditions: Record,
    mappings: Record,
    disable_rollback: bool,
    previous_stack: Record | None = None,
) -> bool:
    """Roll a stack back whose parameters do not do, before any resource; otherwise validate as ministack does."""
    reason = _problem.get()
    if not reason:
        return _validated(
            stack,
            stack_id,
            stack_name,
            resources_defs,
            ordered,
            param_values,
            conditions,
            mappings,
            disable_rollback,
            previous_stack,
        )
    rolling, rolled = ("ROLLBACK_IN_PROGRESS", "ROLLBACK_COMPLETE")
    if previous_stack is not None:
        rolling, rolled = f"UPDATE_{rolling}", f"UPDATE_{rolled}"
        for key in ("_template_body", "Parameters", "Tags", "Outputs", "_conditions"):
            if key in previous_stack:
                stack[key] = previous_stack[key]
    for status, why in ((rolling, f"{reason}. Rollback requested by user."), (rolled, "")):
        stack.update(StackStatus=status, StackStatusReason=why)
        stacks._add_event(stack_id, stack_name, stack_name, "AWS::CloudFormation::Stack", status, why, stack_id)
    return True
