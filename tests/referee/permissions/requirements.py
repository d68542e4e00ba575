"""The permissions of CloudFormation for each resource of a stack, from the table of permissions."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .stack import REGION, Stack, steps

# `list` finds resources outside any stack; the operations of a stack never call it.
HANDLERS = ("create", "read", "update", "delete")
_POINTER = re.compile(r"\$\{(/[^}:?]+)(:[^}]*|\?)?\}")
# Types that call no AWS API.
_NO_CALLS = ("AWS::CloudFormation::WaitCondition", "AWS::CloudFormation::WaitConditionHandle")


@dataclass(frozen=True)
class Need:
    """One call that must be allowed, and the reason."""

    logical_id: str
    kind: str
    action: str
    resource: str
    # The handlers that make the call.
    handlers: tuple[str, ...]
    # The property that needs the call, or None if the type always does.
    because: str | None
    context: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True)
class Unknown:
    """A need that the table cannot express."""

    logical_id: str
    kind: str
    what: str


def needs_of(stack: Stack, table: dict, tags: dict[str, str]) -> tuple[list[Need], list[Unknown]]:
    """Returns the needs of a stack with these tags, and the unknown ones."""
    found, unknown = [], []
    for logical_id, resource in stack.resources.items():
        kind = kind_of(resource)
        if kind in _NO_CALLS:
            continue
        entry = table["types"].get(kind)
        if entry is None:
            unknown.append(Unknown(logical_id, kind, f"the table of permissions has no type {kind}"))
            continue
        if not entry.get("create") and not entry.get("when"):
            unknown.append(
                Unknown(
                    logical_id,
                    kind,
                    f"the schema of {kind} names no permissions, and no row of data/permissions.yaml does",
                )
            )
        for handler, actions in entry.get("unmapped", {}).items():
            if handler in HANDLERS:
                unknown += [
                    Unknown(logical_id, kind, f"{a} ({handler}) is placed nowhere: data/permissions.yaml needs a row")
                    for a in actions
                ]
        found += _of_resource(stack, logical_id, entry, table, tags)
    return found, unknown


def kind_of(resource: dict) -> str:
    """Returns the type of a resource in the table: custom resources share one."""
    return "AWS::CloudFormation::CustomResource" if resource["Type"].startswith("Custom::") else resource["Type"]


def required_actions(stack: Stack, resource: dict, entry: dict, is_tagged: bool) -> dict[str, tuple[set, str | None]]:
    """Returns each action that a resource needs, with its handlers and the property that needs it."""
    found: dict[str, tuple[set, str | None]] = {}

    def need(action: str, handlers: list[str], because: str | None) -> None:
        known, reason = found.get(action, (set(), because))
        found[action] = (known | set(handlers), None if because is None else reason)

    for handler in HANDLERS:
        for action in entry.get(handler, []):
            need(action, [handler], None)
    for item in entry.get("when", []):
        if sets(stack, resource, item["property"]):
            for action in item["actions"]:
                need(action, [h for h in item["handlers"] if h in HANDLERS], item["property"])
    tagging = entry.get("tagging")
    if tagging and (is_tagged or sets(stack, resource, tagging["property"])):
        for action in tagging["actions"]:
            need(action, ["create", "update"], tagging["property"])
    if "service_linked_role" in entry:
        need("iam:CreateServiceLinkedRole", ["create"], None)
    return {action: (handlers, because) for action, (handlers, because) in found.items() if handlers}


def sets(stack: Stack, resource: dict, pointer: str) -> bool:
    """Returns true if a resource sets a property of the table, or the attribute that its @ stands for."""
    if pointer == "@Snapshot":
        return "Snapshot" in (resource.get("DeletionPolicy"), resource.get("UpdateReplacePolicy"))
    if pointer == "@UpdatePolicy":
        return "UpdatePolicy" in resource
    return stack.is_set(resource.get("Properties", {}), steps(pointer))


def _of_resource(stack: Stack, logical_id: str, entry: dict, table: dict, tags: dict[str, str]) -> list[Need]:
    resource = stack.resources[logical_id]
    kind = resource["Type"]
    found = []
    for action, (handlers, because) in required_actions(stack, resource, entry, bool(tags)).items():
        context = _context(stack, resource, entry, action, because, handlers, tags)
        for arn in _resources(stack, logical_id, entry, table, action, because):
            found.append(
                Need(logical_id, kind, action, arn, tuple(sorted(handlers)), because, tuple(sorted(context.items())))
            )
    return found


def _resources(stack: Stack, logical_id: str, entry: dict, table: dict, action: str, because: str | None) -> list[str]:
    """Returns the ARNs that AWS authorizes an action on."""
    formats = table["actions"][action]["resources"]
    resource = stack.resources[logical_id]
    if action == "iam:PassRole":
        return [arn for pointer in entry["pass_role"] for arn in _passed_roles(stack, resource, pointer)]
    if action == "iam:CreateServiceLinkedRole":
        return [
            f"arn:aws:iam::{stack.account}:role/aws-service-role/{_service(entry, because)}/AWSServiceRoleForExample"
        ]
    if not formats:
        return ["*"]
    touched = [
        arn
        for touch in entry.get("touches", [])
        if action in touch["actions"] and sets(stack, resource, touch["property"])
        for arn in _fill(stack, logical_id, touch["arn"], formats)
    ]
    own = _fill(stack, logical_id, entry["arn"], formats) if "arn" in entry else []
    related = [] if own else _named_in(stack, resource, formats)
    # Without more knowledge: any resource of the first format.
    return list(dict.fromkeys(own + touched + related)) or [_any(stack, formats[0])]


def _passed_roles(stack: Stack, resource: dict, pointer: str) -> list[str]:
    """Returns the ARNs of the roles that a property passes, or of the template's roles if it names something else."""
    values = stack.values(resource.get("Properties", {}), steps(pointer))
    names = [text for value in values for item in _items(value) for text in stack.texts(item)]
    arns = [
        name if name.startswith("arn:") else f"arn:aws:iam::{stack.account}:role/{name}"
        for name in names
        if not name.startswith("{")
    ]
    roles = [arn for arn in arns if ":role/" in arn and "{" not in arn]
    if values and re.search(r"(Template|Policy|ConfigurationName|Profile)$", pointer):
        roles = [
            f"arn:aws:iam::{stack.account}:role/{name}"
            for logical_id, other in stack.resources.items()
            if other["Type"] == "AWS::IAM::Role" and _is_for_instances(other)
            for name in stack.physical_name(logical_id)
        ]
    return list(dict.fromkeys(roles))


def _items(value: Any) -> list:
    """Returns the items of a list or a map; a single value alone."""
    if isinstance(value, list):
        return value
    is_map = isinstance(value, dict) and not any(key.startswith(("Fn::", "Ref")) for key in value)
    return list(value.values()) if is_map else [value]


def _is_for_instances(role: dict) -> bool:
    return "ec2.amazonaws.com" in str(role["Properties"].get("AssumeRolePolicyDocument"))


def _service(entry: dict, because: str | None) -> str:
    services = [item["service"] for item in entry.get("when", []) if "service" in item and item["property"] == because]
    return services[0] if services else entry["service_linked_role"]


def _fill(stack: Stack, logical_id: str, arn: str, formats: list[str]) -> list[str]:
    """Returns the ARNs that a format of the table gives for a resource; none if the action has another type."""
    properties = stack.resources[logical_id].get("Properties", {})
    made_up = [f"{stack.name}-{logical_id}-1EXAMPLE2ID34"]
    filled = [arn]
    for match in _POINTER.finditer(arn):
        pointer, rest = match.groups()
        known = [text for value in stack.values(properties, steps(pointer)) for text in stack.texts(value)]
        known = [text.rsplit(":", 1)[-1] if text.startswith("arn:") else text for text in known]
        if rest == "?":
            texts = [f"{text.rsplit('/', 1)[-1]}/" for text in known] or [""]
        elif rest:
            texts = known or [rest[1:]]
        else:
            texts = known or made_up
        filled = [text.replace(match.group(0), value) for text in filled for value in texts]
    plain = {"${Partition}": "aws", "${Region}": REGION, "${Account}": stack.account, "*": "example-1"}
    for variable, value in plain.items():
        filled = [text.replace(variable, value) for text in filled]
    filled = [re.sub(r"//+", "/", text) for text in filled]
    return [text for text in filled if any(_matches(text, format) for format in formats)]


def _named_in(stack: Stack, resource: dict, formats: list[str]) -> list[str]:
    """Returns the ARNs of a format among a resource's properties."""
    texts = [text for value in resource.get("Properties", {}).values() for text in stack.texts(value)]
    for items in resource.get("Properties", {}).values():
        if isinstance(items, list):
            texts += [text for item in items for text in stack.texts(item)]
    names = [t for t in texts if t.startswith("arn:") and any(_matches(t, f) for f in formats)]
    roles = resource.get("Properties", {}).get("Roles", [])
    if resource["Type"] == "AWS::IAM::Policy" and isinstance(roles, list):
        names += [f"arn:aws:iam::{stack.account}:role/{t}" for role in roles for t in stack.texts(role)]
    return [name for name in names if any(_matches(name, f) for f in formats)]


def _any(stack: Stack, format: str) -> str:
    plain = {"${Partition}": "aws", "${Region}": REGION, "${Account}": stack.account}
    for variable, value in plain.items():
        format = format.replace(variable, value)
    return re.sub(r"\$\{\w+\}|\*", "example-1", format)


def _matches(arn: str, format: str) -> bool:
    pattern = re.sub(
        r"\\\$\\\{\w+\\\}|\\\*", ".+", re.escape(format.replace("${Account}", "*").replace("${Region}", "*"))
    )
    pattern = pattern.replace("::.+:", "::.*:")
    return re.fullmatch(pattern.replace(":.+:", ":.*:"), arn) is not None


def _context(
    stack: Stack, resource: dict, entry: dict, action: str, because: str | None, handlers: Iterable[str], tags: dict
) -> dict:
    """Returns the condition keys of CloudFormation's call."""
    context: dict[str, object] = {
        "aws:CalledVia": ["cloudformation.amazonaws.com"],
        "aws:CalledViaFirst": "cloudformation.amazonaws.com",
        "aws:ResourceAccount": stack.account,
        "aws:PrincipalAccount": stack.account,
        "aws:RequestedRegion": REGION,
    }
    if action == "iam:PassRole":
        context["iam:PassedToService"] = entry.get("passed_to", ["unknown.amazonaws.com"])[0]
    if action == "iam:CreateServiceLinkedRole":
        context["iam:AWSServiceName"] = _service(entry, because)
    if "create" in handlers or action.split(":")[1].lower().find("tag") >= 0:
        context["aws:TagKeys"] = sorted(tags)
        context |= {f"aws:RequestTag/{key}": value for key, value in tags.items()}
    if action.split(":")[1] not in ("TagResource", "CreateTags") and not action.split(":")[1].startswith("Create"):
        context |= {f"aws:ResourceTag/{key}": value for key, value in tags.items()}
    boundaries = stack.values(resource.get("Properties", {}), ["PermissionsBoundary"])
    texts = [text for value in boundaries for text in stack.texts(value)]
    if texts and action.startswith("iam:"):
        context["iam:PermissionsBoundary"] = texts[0]
    if action == "ec2:CreateTags" and "create" in handlers:
        context["ec2:CreateAction"] = next(
            (a.split(":")[1] for a in entry.get("create", []) if a.startswith("ec2:Create")), "RunInstances"
        )
    return {key: tuple(value) if isinstance(value, list) else value for key, value in context.items()}
