"""Statements: every policy of infra/ against AWS's service reference, even if no recorded call used it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from permissions.reference import Reference
from referee.context import Context
from referee.documents import load
from referee.intrinsics import variants
from referee.planting import replace
from referee.verdict import Verdict

_SINGLE = ("ForAnyValue:", "ForAllValues:")


@dataclass
class Statement:
    """One statement of one policy, and the kind of policy: of an identity, of a resource, or the trust of a role."""

    where: str
    kind: str
    body: dict
    # The name of the policy.
    document: dict

    def listed(self, key: str) -> list:
        """Returns a member as a list."""
        value = self.body.get(key, [])
        return value if isinstance(value, list) else [value]

    def conditions(self) -> Iterator[tuple[str, str]]:
        """Yields each operator with each key."""
        for operator, keys in (self.body.get("Condition") or {}).items():
            for key in keys:
                yield operator, key


def judge(context: Context) -> Verdict:
    """Judges the actions, resources and condition keys of each statement."""
    verdict = Verdict()
    reference = Reference(context.node_modules / "@cloud-copilot" / "iam-data")
    keys = load(context.data / "condition-keys.yaml", "condition-keys.yaml").body
    for statement in _statements(context):
        verdict.judged("statements")
        _judge_sid(statement, verdict)
        actions = [
            each for pattern in statement.listed("Action") for each in _actions(statement, pattern, reference, verdict)
        ]
        if statement.kind == "identity" and "Action" in statement.body and "Resource" in statement.body:
            _judge_resources(statement, actions, reference, verdict)
        for operator, key in statement.conditions():
            verdict.judged("conditions")
            _judge_condition(statement, operator, key, actions, reference, keys, verdict)
    return verdict


def _statements(context: Context) -> Iterator[Statement]:
    """Yields each statement of every template, for each variant of it, and of every policy file."""
    for template in context.templates():
        for resolver in variants(template):
            for name, resource in template.body["Resources"].items():
                if resolver.exists(resource):
                    where = f"{template.name}:{template.body['Resources'].line_of(name)} {name}"
                    yield from _of_resource(where, resource["Type"], resolver.value(resource.get("Properties", {})))
    for path in sorted((context.root / "infra").rglob("*polic*.json")):
        body = json.loads(path.read_text(encoding="utf-8"))
        for document in body if isinstance(body, list) else [body]:
            yield from _of_document(context.relative(path), "identity", document)


def _of_resource(where: str, kind: str, properties: dict) -> Iterator[Statement]:
    if kind == "AWS::IAM::Role":
        yield from _of_document(where, "trust", properties["AssumeRolePolicyDocument"])
    if kind == "AWS::Events::EventBusPolicy" and "Statement" in properties:
        yield Statement(f"{where} {properties.get('StatementId', '')}", "resource", properties["Statement"], {})
    for key, value in properties.items():
        if kind.startswith("AWS::IAM::") and key in ("Policies", "PolicyDocument"):
            for document in [each["PolicyDocument"] for each in value] if key == "Policies" else [value]:
                yield from _of_document(where, "identity", document)
        elif key in ("PolicyDocument", "KeyPolicy", "ResourcePolicy") and isinstance(value, dict):
            yield from _of_document(where, "resource", value)


def _of_document(where: str, kind: str, document: dict) -> Iterator[Statement]:
    statements = document.get("Statement", [])
    for index, body in enumerate(statements if isinstance(statements, list) else [statements]):
        yield Statement(f"{where} {body.get('Sid') or index}", kind, body, document)


def _judge_sid(statement: Statement, verdict: Verdict) -> None:
    """Finds errors of a document's form: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_sid.html"""
    sid, statements = statement.body.get("Sid"), statement.document.get("Statement", [])
    if statement.document and statement.document.get("Version") != "2012-10-17":
        verdict.find(statement.where, "is of a document without the version 2012-10-17: its variables would be texts")
    if sid is not None and isinstance(statements, list) and [each.get("Sid") for each in statements].count(sid) > 1:
        verdict.find(statement.where, "has the Sid of another statement of its policy")
    if sid is not None and statement.kind != "resource" and not re.fullmatch("[A-Za-z0-9]+", sid):
        verdict.find(statement.where, "has a Sid with other characters than letters and digits, which IAM refuses")


def _actions(statement: Statement, pattern: str, reference: Reference, verdict: Verdict) -> list[str]:
    if pattern == "*":
        return []
    found = reference.expand(pattern)
    verdict.judged("actions", len(found))
    if not found:
        verdict.find(statement.where, f"names the action {pattern}, which AWS does not have")
    return found


def _entry(action: str, reference: Reference) -> dict:
    service, _, name = action.partition(":")
    return reference.actions_of(service)[name.lower()]


def _types(action: str, reference: Reference) -> list[dict]:
    """Returns the resource types of an action, each with its ARN as a pattern and its condition keys."""
    kinds = reference.resource_types_of(action.partition(":")[0])
    named = [(each, kinds.get(each["name"].lower())) for each in _entry(action, reference)["resourceTypes"]]
    return [
        {
            "arn": re.sub(r"\$\{[^}]*\}", "*", kind["arn"]),
            "keys": [*each["conditionKeys"], *kind.get("conditionKeys", [])],
        }
        for each, kind in named
        if kind
    ]


def _judge_resources(statement: Statement, actions: list[str], reference: Reference, verdict: Verdict) -> None:
    """Finds actions that match none of the statement's resources, and resources that match none of its actions."""
    # An ARN that depends on a parameter of the deployment is not judged.
    resources = [str(each) for each in statement.listed("Resource") if each == "*" or str(each).startswith("arn:")]
    if len(resources) < len(statement.listed("Resource")):
        return
    used: set[str] = set()
    for action in actions:
        types = _types(action, reference)
        fitting = [r for r in resources if r == "*" or any(_meet(r, kind["arn"]) for kind in types)]
        used.update(fitting)
        if not fitting:
            asked = " or ".join(sorted({kind["arn"] for kind in types})) or "* alone"
            verdict.find(statement.where, f"allows {action} on {', '.join(resources)}; the action has {asked}")
    for resource in resources:
        if actions and resource not in used:
            verdict.find(statement.where, f"names {resource}, on which none of its actions acts")


def _meet(first: str, second: str) -> bool:
    """Returns true if some ARN matches both patterns, part by part."""
    parts = zip(first.split(":", 5), second.split(":", 5), strict=False)
    return all(_meet_text(one, other) for one, other in parts)


def _meet_text(first: str, second: str) -> bool:
    """Returns true if some text matches both patterns with `*` and `?`."""
    # The positions in `second` that can be reached after each character of `first`.
    reached = _skip({0}, second)
    for char in first:
        if char == "*":
            reached = set(range(min(reached, default=len(second) + 1), len(second) + 1))
        else:
            step = {at + 1 for at in reached if at < len(second) and (second[at] in (char, "?") or char == "?")}
            stay = {at for at in reached if at < len(second) and second[at] == "*"}
            reached = _skip(step | stay, second)
    return len(second) in _skip(reached, second)


def _skip(reached: set[int], pattern: str) -> set[int]:
    found = set(reached)
    for start in reached:
        at = start
        while at < len(pattern) and pattern[at] == "*":
            at += 1
            found.add(at)
    return found


def _judge_condition(
    statement: Statement,
    operator: str,
    key: str,
    actions: list[str],
    reference: Reference,
    keys: dict,
    verdict: Verdict,
) -> None:
    plain = operator.removeprefix(_SINGLE[0]).removeprefix(_SINGLE[1]).removesuffix("IfExists")
    base = key.split("/", 1)[0]
    known = {each.lower(): each for each in keys["only_from_services"]}
    if base.lower() in known and not _is_of_service(statement):
        verdict.find(statement.where, f"asks for {key}, which is there only where an AWS service calls")
    for action in actions:
        if not _has_key(statement, action, key, reference, keys):
            verdict.find(statement.where, f"asks {action} for {key}, which AWS does not support there")
    multivalued = base in keys["multivalued"] or any(
        _type_of(key, action, reference).startswith("ArrayOf") for action in actions
    )
    if plain != "Null" and multivalued and not operator.startswith(_SINGLE):
        verdict.find(statement.where, f"compares {key}, which has several values, without ForAnyValue or ForAllValues")
    if operator.startswith("ForAllValues:") and statement.body.get("Effect") == "Allow":
        nulls = (statement.body.get("Condition") or {}).get("Null", {})
        if str(nulls.get(key, "")).lower() != "false":
            verdict.find(
                statement.where, f"asks ForAllValues of {key} without Null: a request without the key is allowed too"
            )


def _is_of_service(statement: Statement) -> bool:
    principal = statement.body.get("Principal")
    return principal == "*" or (isinstance(principal, dict) and ("Service" in principal or principal.get("AWS") == "*"))


def _has_key(statement: Statement, action: str, key: str, reference: Reference, keys: dict) -> bool:
    base = key.split("/", 1)[0]
    for entry in keys["unsupported"]:
        if base in entry["keys"] and any(re.fullmatch(each.replace("*", ".*"), action) for each in entry["actions"]):
            return False
    if base.lower().startswith("aws:") and base not in keys["of_actions"]:
        return True
    supported = {each.split("/", 1)[0].lower() for each in _entry(action, reference)["conditionKeys"]}
    resources = [str(each) for each in statement.listed("Resource")] if statement.kind == "identity" else ["*"]
    types = _types(action, reference)
    of_types = [[kind for kind in types if resource == "*" or _meet(resource, kind["arn"])] for resource in resources]
    # Each resource of the statement must have the key: the condition is never true for one without it.
    return base.lower() in supported or (
        any(of_types) and all(any(_named(base, kind["keys"]) for kind in kinds) for kinds in of_types if kinds)
    )


def _named(base: str, keys: list[str]) -> bool:
    return any(each.split("/", 1)[0].lower() == base.lower() for each in keys)


def _type_of(key: str, action: str, reference: Reference) -> str:
    return reference.condition_type(action.partition(":")[0], key)


def _unknown_action(copy: Context) -> str:
    path = copy.root / "infra/control-plane/deployment-path.yaml"
    replace(path, "Action: lambda:InvokeFunction", "Action: lambda:Invoke")
    return "names the action lambda:Invoke,"


def _wrong_resource(copy: Context) -> str:
    path = copy.root / "infra/control-plane/deployment-path.yaml"
    replace(
        path,
        "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:execution:",
        "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:run:",
    )
    return "the action has"


def _unsupported_key(copy: Context) -> str:
    path = copy.root / "infra/control-plane/deployment-path.yaml"
    replace(
        path,
        "                Action: lambda:InvokeFunction\n",
        "                Condition: {StringEquals: {aws:ResourceTag/team: lockstep}}\n"
        "                Action: logs:DescribeLogGroups\n",
    )
    return "which AWS does not support there"


def _no_null(copy: Context) -> str:
    path = copy.root / "infra/control-plane/deployment-path.yaml"
    replace(
        path,
        "                Action: lambda:InvokeFunction\n",
        '                Condition: {"ForAllValues:StringEquals": {aws:TagKeys: [team]}}\n'
        "                Action: lambda:TagResource\n",
    )
    return "without Null"


def _same_sid(copy: Context) -> str:
    replace(copy.root / "infra/control-plane/deployment-path.yaml", "- Sid: BringImages", "- Sid: Functions")
    return "has the Sid of another statement"


PLANTED = [
    ("two statements of a policy with one Sid", _same_sid),
    ("an action that AWS does not have", _unknown_action),
    ("a resource that the action does not have", _wrong_resource),
    ("a condition key that the action does not support", _unsupported_key),
    ("ForAllValues that a request without the key passes", _no_null),
]
