"""Reads the resource schemas of CloudFormation that cfn-lint's package carries."""

import importlib.metadata
import json
import pathlib
from typing import Any

HANDLERS = ("create", "read", "update", "delete", "list")


class Schemas:
    """The schemas of every resource type of every region."""

    def __init__(self, package: pathlib.Path) -> None:
        self._folder = package / "data" / "schemas"
        self.version = importlib.metadata.version("cfn-lint")
        self.date = json.loads((self._folder / "version.json").read_text())["schema_date"]
        self._files: dict[str, str] = {}
        for region in sorted((self._folder / "providers").glob("*.json"), key=_home_region_last):
            self._files.update(json.loads(region.read_text()))

    def types(self) -> list[str]:
        """Returns the names of all resource types of AWS that CloudFormation itself creates."""
        return sorted(t for t in self._files if t.startswith("AWS::") and not t.startswith("AWS::Serverless::"))

    def schema(self, kind: str) -> dict:
        """Returns the schema of a type."""
        return json.loads((self._folder / "resources" / f"{self._files[kind]}.json").read_text())


def _home_region_last(path: pathlib.Path) -> tuple[bool, str]:
    """Sorts us-east-1 last, so that its schema wins where regions differ."""
    return (path.stem == "us-east-1", path.stem)


def handlers(schema: dict) -> dict[str, list[str]]:
    """Returns the permissions of each handler, as written."""
    found = {name: h.get("permissions", []) for name, h in schema.get("handlers", {}).items() if name in HANDLERS}
    return {name: [p for p in permissions if ":" in p] for name, permissions in found.items()}


def tag_property(schema: dict) -> str | None:
    """Returns the pointer of the property that holds the tags, or None without one."""
    tagging = schema.get("tagging") or {}
    taggable = tagging.get("taggable", schema.get("taggable", True))
    if not taggable:
        return None
    named = tagging.get("tagProperty", "/properties/Tags").removeprefix("/properties")
    return named if named.strip("/") in schema.get("properties", {}) else None


def property_paths(schema: dict, depth: int = 6) -> list[str]:
    """Returns the pointers of all properties that a template may set, `*` for an item or a free key."""
    read_only = {p.replace("/properties/", "/", 1) for p in schema.get("readOnlyProperties", [])}
    found = []

    def walk(node: Any, path: str, seen: tuple[str, ...], left: int) -> None:
        if left == 0 or not isinstance(node, dict):
            return
        reference = node.get("$ref")
        if reference:
            if reference in seen:
                return
            seen += (reference,)
            node = _resolve(schema, reference)
        for name, child in node.get("properties", {}).items():
            here = f"{path}/{name}"
            if here not in read_only:
                found.append(here)
                walk(child, here, seen, left - 1)
        for child in node.get("patternProperties", {}).values():
            walk(child, f"{path}/*", seen, left - 1)
        items = node.get("items")
        if isinstance(items, dict):
            walk(items, f"{path}/*", seen, left)
        for group in ("oneOf", "anyOf", "allOf"):
            for child in node.get(group, []):
                walk(child, path, seen, left - 1)

    walk({"properties": schema.get("properties", {})}, "", (), depth)
    return sorted(set(found))


def property_tree(schema: dict, depth: int = 12) -> dict:
    """Returns the properties by name, each with those below it; empty where any name or no name is allowed."""

    def below(node: Any, seen: tuple[str, ...]) -> dict:
        if not isinstance(node, dict) or len(seen) > depth:
            return {}
        reference = node.get("$ref")
        if reference:
            return {} if reference in seen else below(_resolve(schema, reference), (*seen, reference))
        if isinstance(node.get("items"), dict):
            return below(node["items"], seen)
        if node.get("patternProperties") or node.get("additionalProperties", True) is not False:
            return {}
        return children(node, seen)

    def children(node: dict, seen: tuple[str, ...]) -> dict:
        found = {name: below(child, seen) for name, child in node.get("properties", {}).items()}
        for group in ("oneOf", "anyOf", "allOf"):
            for choice in node.get(group, []):
                for name, tree in (children(choice, seen) if isinstance(choice, dict) else {}).items():
                    found.setdefault(name, tree)
        return dict(sorted(found.items()))

    return children(schema, ())


def attributes(schema: dict) -> list[str]:
    """Returns the attributes that Fn::GetAtt returns, with a dot between the levels."""
    pointers = [p.removeprefix("/properties/") for p in schema.get("readOnlyProperties", [])]
    return sorted(p.replace("/properties/", "/").replace("/", ".") for p in pointers if "*" not in p)


def _resolve(schema: dict, reference: str) -> dict:
    node = schema
    for part in reference.removeprefix("#/").split("/"):
        node = node.get(part, {}) if isinstance(node, dict) else {}
    return node
