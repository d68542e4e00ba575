"""Finds the properties that are unique names, by the identifiers of the resource schemas.

A schema's identifier whose properties a template writes is a unique name. Where CloudFormation identifies a resource by
something that AWS generates, a property that cannot be updated and is called after the type is a unique name too. The
data file has the names that neither rule finds, and those that are not unique.
"""

import re
from typing import Any

from permissions.schemas import Schemas

# Properties beside the name that say in what the name is unique.
_PARENT = re.compile(r"(Id|Arn|Name|Identifier)$")
_NO_PARENT = re.compile(r"(Role|Key|Kms|KMS|Policy|Execution|Subnet|Bucket|Certificate|Vpc|Image|Account)")


def rows(schemas: Schemas, data: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Returns the lines of the table, and a sentence for each error of the data file."""
    by_hand, not_unique = data["names"], set(data["not_unique"])
    known = set(schemas.types())
    problems = [
        f"data/resource-rules.yaml: there is no type {kind}"
        for kind in [*by_hand, *not_unique]
        if "::*" not in kind and kind not in known and not kind.startswith("AWS::Serverless::")
    ]
    lines = []
    for kind in sorted(known | set(by_hand)):
        if kind in by_hand:
            lines += [_line(kind, data, **row) for row in by_hand[kind]]
        elif kind not in not_unique and f"{kind.rsplit('::', 1)[0]}::*" not in not_unique:
            schema = schemas.schema(kind)
            found = _written_identifiers(kind, schema) or _fixed_name(kind, schema)
            lines += [_line(kind, data, properties=properties, required=required) for properties, required in found]
    return lines, problems


def _line(kind: str, data: dict[str, Any], properties: list[str], required: bool, scope: str = "") -> str:
    service = kind.split("::")[1]
    scope = scope or ("account" if service in data["global_services"] else "region")
    return f"name {kind} {scope} {'+'.join(properties)} {'required' if required else 'generated'}"


def _paths(pointers: list[str]) -> list[str]:
    return [pointer.removeprefix("/properties/") for pointer in pointers]


def _written_identifiers(kind: str, schema: dict) -> list[tuple[list[str], bool]]:
    """Returns each identifier that a template writes in full, its name first."""
    read_only = set(_paths(schema.get("readOnlyProperties", [])))
    groups = [schema.get("primaryIdentifier", []), *schema.get("additionalIdentifiers", [])]
    found = []
    for group in (_paths(group) for group in groups):
        if not group or any(path in read_only or "/" in path for path in group):
            continue
        own = [path for path in group if _is_called_after(path, kind)]
        named = own or [path for path in group if path.endswith("Name") or path == "Id"]
        if named:
            name = named[-1]
            found.append(([name, *(path for path in group if path != name)], name in schema.get("required", [])))
    return found


def _fixed_name(kind: str, schema: dict) -> list[tuple[list[str], bool]]:
    """Returns the name of a type that AWS identifies otherwise: a fixed property, called after the type."""
    read_only = set(_paths(schema.get("readOnlyProperties", [])))
    fixed = [path for path in _paths(schema.get("createOnlyProperties", [])) if path not in read_only]
    required = schema.get("required", [])
    for path in fixed:
        if path.endswith("Name") and _is_called_after(path, kind):
            parents = [
                other
                for other in fixed
                if other != path and other in required and _PARENT.search(other) and not _NO_PARENT.search(other)
            ]
            return [([path, *parents], path in required)]
    return []


def _is_called_after(path: str, kind: str) -> bool:
    """Returns true for `Name`, `Id`, and for the name or id of the type itself: `QueueName` of a queue."""
    stem = re.sub(r"(Name|Id|Identifier)$", "", path)
    if stem == path:
        return False
    return not stem or kind.rsplit("::", 1)[1].lower().endswith(stem.lower())
