"""Finds the types whose tags cannot change in place."""

from typing import Any

from permissions.schemas import Schemas, tag_property


def rows(schemas: Schemas, data: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Returns the lines of the table."""
    kinds = {kind for kind in schemas.types() if _is_fixed(schemas.schema(kind))} | set(data["fixed_tags"])
    return [f"tags {kind}" for kind in sorted(kinds)], []


def _is_fixed(schema: dict) -> bool:
    """Returns true if the schema says that the tags are fixed once the resource exists."""
    tags = tag_property(schema)
    if tags is None:
        return False
    fixed = [
        pointer.removeprefix("/properties")
        for key in ("createOnlyProperties", "conditionalCreateOnlyProperties")
        for pointer in schema.get(key, [])
    ]
    in_schema = any(pointer == tags or pointer.startswith(f"{tags}/") for pointer in fixed)
    return in_schema or (schema.get("tagging") or {}).get("tagUpdatable") is False
