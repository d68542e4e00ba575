"""Reads the facts of one resource type that a comparison with the live resource needs out of AWS's schema."""

from collections.abc import Iterator
from typing import Any

from .transforms import path_of, rules

DEPTH = 24


class Facts:
    """The facts of one type. Each path has a dot between its names, and `*` for an item of a list."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._schema = schema
        self.sets: set[str] = set()
        self.ordered: set[str] = set()
        self.enumerations: set[str] = set()
        self.maps: set[str] = set()
        self.required: set[str] = set()
        self.defaults: dict[str, Any] = {}
        self.repeats: dict[str, str] = {}
        self._walk({key: schema[key] for key in ("properties", "required") if key in schema}, "", {}, 0)

    def row(self) -> dict[str, Any]:
        """Returns the row of the table, without the fields that would be empty."""
        read_only = self._pointers("readOnlyProperties")
        tagging = self._schema.get("tagging") or {}
        tags = path_of(tagging.get("tagProperty", "/properties/Tags"))
        row = {
            "read_only": read_only,
            "write_only": self._pointers("writeOnlyProperties"),
            "create_only": self._pointers("createOnlyProperties"),
            "identifier": self._pointers("primaryIdentifier"),
            "required": sorted(self.required - set(read_only)),
            "sets": sorted(self.sets),
            "ordered": sorted(self.ordered - self.sets),
            "enumerations": sorted(self.enumerations),
            "maps": sorted(self.maps),
            "defaults": dict(sorted(self.defaults.items())),
            "repeats": dict(sorted(self.repeats.items())),
            "rules": rules(self._schema.get("propertyTransform") or {}),
            "unread": "read" not in self._schema.get("handlers", {}),
            "tags": tags if tags in self._schema.get("properties", {}) else None,
        }
        return {name: value for name, value in row.items() if value}

    def _pointers(self, field: str) -> list[str]:
        return sorted({path_of(pointer) for pointer in self._schema.get(field, [])})

    def _walk(self, node: Any, path: str, seen: dict[str, str], depth: int) -> None:
        if depth > DEPTH or not isinstance(node, dict):
            return
        reference = node.get("$ref")
        if reference:
            if reference in seen:
                self.repeats[path] = seen[reference]
                return
            seen = {**seen, reference: path}
            node = {**_resolve(self._schema, reference), **{k: v for k, v in node.items() if k != "$ref"}}
        self._note(node, path)
        for name, child in _properties(node):
            self._walk(child, f"{path}.{name}" if path else name, seen, depth + 1)
        for child in node.get("patternProperties", {}).values():
            self._walk(child, f"{path}.*", seen, depth + 1)
        if isinstance(node.get("items"), dict):
            self._walk(node["items"], f"{path}.*", seen, depth + 1)
        for group in ("oneOf", "anyOf", "allOf"):
            for child in node.get(group, []):
                self._walk(child, path, seen, depth + 1)

    def _note(self, node: dict[str, Any], path: str) -> None:
        if node.get("insertionOrder") is False:
            self.sets.add(path)
        elif node.get("insertionOrder") is True:
            self.ordered.add(path)
        if _folds_to_one_case(node.get("enum")):
            self.enumerations.add(path)
        is_object = "object" in _as_list(node.get("type")) or "properties" in node or "patternProperties" in node
        if path and is_object and not node.get("properties") and not any(g in node for g in ("oneOf", "anyOf")):
            self.maps.add(path)
        for name in node.get("required", []):
            if isinstance(name, str):
                self.required.add(f"{path}.{name}" if path else name)
        if "default" in node and not isinstance(node["default"], dict):
            self.defaults[path] = node["default"]


def _properties(node: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from node.get("properties", {}).items()


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _folds_to_one_case(values: Any) -> bool:
    """Returns true for an enumeration of texts of which no two differ in letter case alone."""
    if not isinstance(values, list) or not values or not all(isinstance(value, str) for value in values):
        return False
    return len({value.lower() for value in values}) == len(values) and any(v.lower() != v.upper() for v in values)


def _resolve(schema: dict[str, Any], reference: str) -> dict[str, Any]:
    node: Any = schema
    for part in reference.removeprefix("#/").split("/"):
        node = node.get(part, {}) if isinstance(node, dict) else {}
    return node if isinstance(node, dict) else {}
