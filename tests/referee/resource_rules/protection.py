"""Finds the properties that protect a resource from deletion, and those that keep data after it."""

import json
import re
from typing import Any

from permissions.schemas import Schemas, property_paths

_NAME = re.compile(
    r"^(Disassociation|Deletion|Delete|Termination)Protect(ion|ed)(Enabled|Check|Status)?$"
    r"|^DisableApi(Termination|Stop)$|^ManagedTerminationProtection$|^NewInstancesProtectedFromScaleIn$"
)
# Words of a schema that switch a protection off, the first one first.
_OFF = ("INACTIVE", "DISABLED", "Disabled", "BYPASS", "none", "NONE")


def rows(schemas: Schemas, data: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Returns the lines of the table, and a sentence for each property without a known value."""
    by_hand = data["protection"]
    problems = []
    lines = []
    for kind in sorted({*schemas.types(), *by_hand["values"], *by_hand["left_out"]}):
        off: dict[str, Any] = dict(by_hand["values"].get(kind, {}))
        if not kind.startswith("AWS::Serverless::"):
            schema = schemas.schema(kind)
            for pointer in property_paths(schema):
                path = pointer.removeprefix("/")
                if path in off or not _NAME.match(path.rsplit("/", 1)[-1]):
                    continue
                value = _off_value(schema, path)
                if value is None:
                    problems.append(f"{kind} {path}: data/resource-rules.yaml needs the value that switches it off")
                elif value != {}:
                    off[path] = value
        lines += [f"off {kind} {path} {json.dumps(off[path])}" for path in sorted(off)]
        lines += [f"drop {kind} {path}" for path in sorted(by_hand["left_out"].get(kind, []))]
        lines += [f"default {kind} {path}" for path in sorted(by_hand["on_by_default"].get(kind, []))]
    return lines, problems


def _off_value(schema: dict, path: str) -> Any:
    """Returns the value that switches a protection off, None without one, and {} for a group of properties."""
    node: dict = {"properties": schema.get("properties", {})}
    for part in path.split("/"):
        node = _resolved(schema, node)
        node = node.get("items", {}) if part == "*" else node.get("properties", {}).get(part, {})
    node = _resolved(schema, node)
    if node.get("properties"):
        mode = _resolved(schema, node["properties"].get("Mode", {}))
        words = [word for word in _OFF if word in mode.get("enum", [])]
        return {"Mode": words[0]} if words else {}
    kinds = node.get("type", [])
    if "boolean" in ([kinds] if isinstance(kinds, str) else kinds):
        return False
    words = [word for word in _OFF if word in node.get("enum", [])]
    return words[0] if words else None


def _resolved(schema: dict, node: dict) -> dict:
    while "$ref" in node:
        target: Any = schema
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node
