"""Judges the permissions of CloudFormation for the resources of infra/.

AWS's resource schemas list the calls that create, read, update, tag and delete each type
(shared/permissions/cloudformation.json.gz). Every such call for every resource of every template must be allowed: by
the execution policy for a component, by the installer's policy for a stack of the installation.
"""

import fnmatch
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drift_facts import output as drift_facts
from generated import Maker
from permissions import output as permissions
from permissions.requirements import Need, needs_of
from permissions.stack import Stack
from referee.context import Context
from referee.documents import Document, load
from referee.planting import replace
from referee.verdict import Verdict
from resource_rules import table as resource_rules

TOOLING, TARGET = "111111111111", "222222222222"
TOOLING_POLICY, TARGET_POLICY = "infra/installer-policy.json", "infra/installer-target-policy.json"
# The policies of each account, as beginnings of their names.
TOOLING_POLICIES, TARGET_POLICIES = "infra/installer-policy", "infra/installer-target-policy"
EXECUTION_POLICY = "infra/log-stack/execution-policy"
# The most characters of a managed policy, without white space
# (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html).
LARGEST_POLICY = 6_144
# The direct calls of the installer, besides those of CloudFormation for its stacks.
OWN_CALLS = ("cloudformation:", "sts:", "s3:GetObject", "s3:PutObject", "ssm:GetParameter", "lambda:InvokeFunction")
_INSTALLER_TAGS = {"application": "lockstep"}
_COMPONENT_TAGS = {
    "environment": "production",
    "application": "logs",
    "function": "logging",
    "team": "platform",
    "environment:version": "2.1.37",
    "lockstep:environment": "production/logs",
    "lockstep:component": "logs",
    "lockstep:installation": "example",
}


@dataclass(frozen=True)
class Policies:
    """The policies that create one kind of stack."""

    names: tuple[str, ...]
    documents: tuple[dict, ...]


def judge(context: Context) -> Verdict:
    """Judges every resource of every template below infra/, and the policies and the table that it judges by."""
    verdict = Verdict()
    table = _table(context, verdict)
    used: dict[str, set[str]] = {}
    requests = []
    for document in context.templates():
        for stack, policies in _stacks(context, document, verdict):
            tags = _COMPONENT_TAGS if _is_component(document) else _INSTALLER_TAGS
            needs, unknown = needs_of(stack, table, tags)
            verdict.judged("resources", len(stack.resources))
            for gap in unknown:
                verdict.find(_line(document, gap.logical_id), f"{gap.logical_id}: {gap.what}")
            if policies.documents:
                requests += [(document, policies.names, policies.documents, need, stack) for need in needs]
            for name in policies.names:
                used.setdefault(name, set()).update(need.action for need in needs)
    ask(context, verdict, requests)
    _judge_policies(context, verdict, used)
    return verdict


def _table(context: Context, verdict: Verdict) -> dict:
    """Returns the table as it is checked in, and finds differences from its sources."""
    for place, maker in TABLES.items():
        content, problems = built(context, maker)
        for problem in problems + maker.FILE.differences(context.root, content):
            verdict.find(place, problem)
    content, _ = built(context, permissions)
    # The data file of the judged tree counts, even if the table was not built again.
    table = json.loads(gzip.decompress(content))
    verdict.judged("resource types", len(table["types"]))
    return table


# The generated tables about resource types, by the place that a difference is found at.
TABLES = {
    "shared/permissions": permissions,
    "shared/drift": drift_facts,
    "tests/referee/data/resource-rules.yaml": resource_rules,
}


def built(context: Context, maker: Maker) -> tuple[bytes, list[str]]:
    """Returns a generated file of a tree, built once for each content of its data file."""
    data = (context.data / maker.FILE.data).read_bytes() if maker.FILE.data else b""
    key = (maker.FILE.name, data)
    if key not in _BUILT:
        _BUILT[key] = maker.build(context)
    return _BUILT[key]


_BUILT: dict[tuple[str, bytes], tuple[bytes, list[str]]] = {}


def _is_component(document: Document) -> bool:
    return (document.path.parent / "lockstep.toml").exists()


def _stacks(context: Context, document: Document, verdict: Verdict) -> list[tuple[Stack, Policies]]:
    """Returns the stacks of a template, with the policies that create them."""
    if _is_component(document):
        policies = _policies(context, _found(context.root, EXECUTION_POLICY), verdict, EXECUTION_POLICY)
        component = component_name(document.path.parent)
        return [(Stack(f"production-{component}", TARGET, document, {}), policies)]
    is_target = document.path.parent.name == "target-account"
    account = TARGET if is_target else TOOLING
    path = TARGET_POLICIES if is_target else TOOLING_POLICIES
    policies = _policies(context, _found(context.root, path), verdict, path)
    given = {"AccountId": TARGET, "ArtifactBucket": f"lockstep-artifacts-{account}-eu-west-1"}
    ways = document.body.get("Parameters", {}).get("Path", {}).get("AllowedValues", [None])
    return [(Stack(_name(document, way), account, document, given | {"Path": way}), policies) for way in ways]


def _name(document: Document, way: str | None) -> str:
    """Returns the stack name that `lockstep install` and `accounts add` give a template."""
    folder, stem = document.path.parent.name, document.path.stem
    if folder == "target-account":
        return "lockstep-target"
    named = {
        "trusted-account": f"lockstep-account-{TARGET}",
        "accounts": "lockstep-accounts",
        "deployment-path": f"lockstep-{way}",
    }
    return named.get(stem, f"lockstep-{folder}")


def component_name(folder: Path) -> str:
    """Returns the name of the component in a folder."""
    text = (folder / "lockstep.toml").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.strip().startswith("name"))
    return line.split("=", 1)[1].split("#")[0].strip().strip('"')


def _found(root: Path, name: str) -> list[Path]:
    """Returns the files of a policy: one, or several where it is split."""
    path = root / name
    if path.suffix:
        return [path] if path.exists() else []
    return sorted(p for p in path.parent.glob(f"{path.name}*") if p.suffix in (".json", ".yaml"))


def _policies(context: Context, paths: list[Path], verdict: Verdict, wanted: str) -> Policies:
    if not paths:
        verdict.find(wanted, "is missing: nothing says what these stacks need")
    names, documents = [], []
    for path in paths:
        for document in documents_of(load(path, context.relative(path)).body, path):
            names.append(context.relative(path))
            documents.append(document)
    return Policies(tuple(names), tuple(documents))


def documents_of(body: dict | list, path: Path) -> list[dict]:
    """Returns the policies of a file: one document, a list of them, or a template's managed policies."""
    if isinstance(body, list):
        return [document for item in body for document in documents_of(item, path)]
    if "Statement" in body:
        return [body]
    if "Resources" in body:
        stack = Stack("example", TARGET, load(path, path.name), {})
        managed = [
            r["Properties"]["PolicyDocument"]
            for r in body["Resources"].values()
            if r["Type"] == "AWS::IAM::ManagedPolicy"
        ]
        return [_plain(stack, document) for document in managed]
    return [
        document for item in body.values() if isinstance(item, dict | list) for document in documents_of(item, path)
    ]


def _plain(stack: Stack, value: Any) -> Any:
    """Returns a value of a template with its functions resolved."""
    if isinstance(value, list):
        return [_plain(stack, item) for item in value]
    if isinstance(value, dict):
        if len(value) == 1 and next(iter(value)).startswith(("Fn::", "Ref")):
            return stack.texts(value)[0]
        return {key: _plain(stack, item) for key, item in value.items()}
    return value


def ask(context: Context, verdict: Verdict, requests: list) -> None:
    """Asks the evaluator for each call, and finds those that are not allowed."""
    lines: list[dict] = []
    known: dict[Any, str] = {}
    for _, names, documents, need, stack in requests:
        if names not in known:
            known[names] = f"set-{len(known)}"
            lines.append({"define": known[names], "identity": documents})
        lines.append(_request(known[names], need, stack))
    answers = context.node("evaluate", stdin="\n".join(map(json.dumps, lines)) + "\n").splitlines()
    if len(answers) != len(requests):
        raise RuntimeError(f"the evaluator answered {len(answers)} of {len(requests)} requests")
    for (document, names, _, need, _), line in zip(requests, answers, strict=True):
        verdict.judged("calls")
        answer = json.loads(line)
        if answer["result"] == "Allowed":
            continue
        for_what = f" for {need.because}" if need.because else ""
        call = f"{need.action} on {need.resource}{for_what} to {'/'.join(need.handlers)}"
        refusal = answer.get("why") or f"{' and '.join(dict.fromkeys(names))} does not allow it"
        verdict.find(_line(document, need.logical_id), f"{need.logical_id} ({need.kind}) needs {call}: {refusal}")


def _request(name: str, need: Need, stack: Stack) -> dict:
    context = {key: list(value) if isinstance(value, tuple) else value for key, value in need.context}
    # A key's own policy must let the account's policies decide; that of infra/ does, and so does AWS's own for a key.
    key_policy = _plain(
        stack, stack.resources[need.logical_id].get("Properties", {}).get("KeyPolicy", _key_policy(stack))
    )
    return {
        "with": name,
        "principal": f"arn:aws:iam::{stack.account}:role/example",
        "action": need.action,
        "resource": need.resource,
        "account": stack.account,
        "context": context,
        "resource_policy": key_policy
        if need.resource.startswith("arn:aws:kms:") and ":key/" in need.resource
        else None,
    }


def _key_policy(stack: Stack) -> dict:
    principal = {"AWS": f"arn:aws:iam::{stack.account}:root"}
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": principal, "Action": "kms:*", "Resource": "*"}],
    }


def _judge_policies(context: Context, verdict: Verdict, used: dict[str, set[str]]) -> None:
    """Finds permissions that no resource needs, and policies that IAM would reject."""
    for path in [*_found(context.root, TOOLING_POLICIES), *_found(context.root, TARGET_POLICIES)]:
        name = context.relative(path)
        policy = json.loads(path.read_text(encoding="utf-8"))
        size = len(json.dumps(policy, separators=(",", ":")))
        verdict.judged("installer policies")
        verdict.note(f"{name}: {size:,} of {LARGEST_POLICY:,} characters")
        if size > LARGEST_POLICY:
            verdict.find(name, f"has {size:,} characters; IAM takes {LARGEST_POLICY:,}: split it")
        for statement in policy["Statement"]:
            for action in _list(statement["Action"]):
                if not _is_used(action, used.get(name, set())) and not action.startswith(OWN_CALLS):
                    verdict.find(f"{name} {statement['Sid']}", f"allows {action}, which no resource needs")


def _is_used(pattern: str, used: set[str]) -> bool:
    return any(fnmatch.fnmatchcase(action.lower(), pattern.lower()) for action in used)


def _list(value: Any) -> list:
    return value if isinstance(value, list) else [value]


def _line(document: Document, logical_id: str) -> str:
    return f"{document.name}:{document.body['Resources'].line_of(logical_id)}"


def _drop_action(path: str, action: str) -> Callable[[Context], str]:
    """Returns a mistake: a policy without one of its actions."""

    def plant(copy: Context) -> str:
        file = copy.root / path
        policy = json.loads(file.read_text(encoding="utf-8"))
        for statement in policy["Statement"]:
            if isinstance(statement["Action"], list):
                statement["Action"] = [a for a in statement["Action"] if a != action]
        file.write_text(json.dumps(policy, indent=2) + "\n", encoding="utf-8")
        return f"needs {action}"

    return plant


def _add_type(copy: Context) -> str:
    replace(
        copy.root / "infra/bootstrap/template.yaml",
        "\nOutputs:\n",
        "\n  Broker:\n    Type: AWS::AmazonMQ::Broker\n"
        "    Properties:\n      BrokerName: lockstep-broker\n\nOutputs:\n",
    )
    return "Broker"


def _add_type_without_permissions(copy: Context) -> str:
    replace(
        copy.root / "infra/bootstrap/template.yaml",
        "\nOutputs:\n",
        "\n  Mesh:\n    Type: AWS::AppMesh::Mesh\n    Properties:\n      MeshName: lockstep-mesh\n\nOutputs:\n",
    )
    return "names no permissions"


def _set_property(copy: Context) -> str:
    replace(
        copy.root / "infra/bootstrap/template.yaml",
        "      VersioningConfiguration:\n",
        "      WebsiteConfiguration:\n        IndexDocument: index.html\n      VersioningConfiguration:\n",
    )
    return "s3:PutBucketWebsite"


def _unplace(copy: Context) -> str:
    rows = copy.data / "permissions.yaml"
    replace(rows, "[logs:PutRetentionPolicy, logs:DeleteRetentionPolicy]", "[logs:DeleteRetentionPolicy]")
    return "logs:PutRetentionPolicy"


def _allow_more(copy: Context) -> str:
    replace(copy.root / TOOLING_POLICY, '"iam:PassRole"', '"iam:PassRole", "iam:CreateUser"')
    return "iam:CreateUser"


def _change_execution_policy(copy: Context) -> str:
    replace(copy.root / f"{EXECUTION_POLICY}.json", '"autoscaling:CreateAutoScalingGroup"', '"autoscaling:DeleteTags"')
    return "needs autoscaling:CreateAutoScalingGroup"


def _edit_table(copy: Context) -> str:
    path = copy.root / permissions.FILE.path
    table = json.loads(gzip.decompress(path.read_bytes()))
    table["types"]["AWS::SQS::Queue"]["create"].remove("sqs:CreateQueue")
    path.write_bytes(gzip.compress(json.dumps(table).encode(), mtime=0))
    return "is not what its sources give"


def _edit_rules(copy: Context) -> str:
    replace(copy.root / resource_rules.FILE.path, "AWS::IAM::Role account RoleName", "AWS::IAM::Role region RoleName")
    return f"run {resource_rules.FILE.command}"


def _edit_facts(copy: Context) -> str:
    path = copy.root / drift_facts.FILE.path
    table = json.loads(gzip.decompress(path.read_bytes()))
    table["types"]["AWS::SQS::Queue"]["create_only"].remove("QueueName")
    path.write_bytes(gzip.compress(json.dumps(table).encode(), mtime=0))
    return f"run {drift_facts.FILE.command}"


PLANTED = [
    ("the installer's policy lacks an action", _drop_action(TOOLING_POLICY, "lambda:CreateFunction")),
    ("the policy for target accounts lacks an untagging action", _drop_action(TARGET_POLICY, "events:UntagResource")),
    ("the log stack's execution policy lacks an action", _change_execution_policy),
    ("the installer's policy allows an action that nothing needs", _allow_more),
    ("a template holds a type that no policy allows", _add_type),
    ("a template holds a type whose schema names no permissions", _add_type_without_permissions),
    ("a property that needs one more permission is set", _set_property),
    ("a permission of a type in use is placed nowhere", _unplace),
    ("the checked-in table was edited by hand", _edit_table),
    ("the table of names was edited by hand", _edit_rules),
    ("the table of facts was edited by hand", _edit_facts),
]
