"""Shapes of events: AWS's schemas, and its documented examples where a schema is missing or says less."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from referee.context import Context

# The fields of every event: https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html
ENVELOPE = {
    "version": str,
    "id": str,
    "detail-type": str,
    "source": str,
    "account": str,
    "time": str,
    "region": str,
    "resources": list,
    "detail": dict,
}
_KINDS: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "number": (int, float),
    "integer": int,
    "json": object,
    "any": object,
    "null": type(None),
}


@dataclass
class Shape:
    """AWS's description of one kind of event."""

    source: str
    detail_type: str
    page: str = "AWS's service specification"
    schema: dict | None = None
    examples: list[dict] = field(default_factory=list)
    # The known values of some fields, by their JSON pointer.
    values: dict[str, list[str]] = field(default_factory=dict)

    def judge(self, detail: Any, whole: bool, resolved: bool = True) -> Iterator[tuple[str, str]]:
        """Yields each field of a detail that AWS does not send. A whole event must have every documented field."""
        yield from self._fields("/detail", detail)
        if whole:
            yield from self._missing("/detail", detail, [example["detail"] for example in self.examples])
        for pointer, known in self.values.items():
            value = at({"detail": detail}, pointer)
            if resolved and isinstance(value, str) and value not in known:
                yield pointer, f"is {value!r}, which AWS does not send ({self.page})"

    def has(self, pointer: str) -> bool:
        """Returns true if AWS's events have the field of a JSON pointer."""
        if any(at(example, pointer) is not MISSING for example in self.examples):
            return True
        type_ = self.schema and {"kind": "object", "fields": {"detail": {"type": self.schema}}}
        for name in pointer.strip("/").split("/"):
            type_ = type_ and (
                type_.get("of")
                if type_["kind"] in ("array", "map")
                else type_.get("fields", {}).get(name, {}).get("type")
            )
        return bool(type_)

    def _fields(self, pointer: str, value: Any) -> Iterator[tuple[str, str]]:
        if isinstance(value, dict):
            for name, item in value.items():
                below = f"{pointer}/{name}"
                if not self.has(below) and not self._is_open(pointer):
                    yield below, f"is no field of AWS's {self.detail_type!r} ({self.page})"
                else:
                    yield from self._fields(below, item)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                yield from self._items(f"{pointer}/{index}", item)
        if value is not UNKNOWN and not self._fits(pointer, value):
            yield pointer, f"is {json.dumps(value)[:80]}, which is not of AWS's type ({self.page})"

    def _items(self, pointer: str, item: Any) -> Iterator[tuple[str, str]]:
        first = re.sub(r"/\d+$", "/0", pointer)
        if isinstance(item, dict):
            for name in item:
                if not self.has(f"{first}/{name}") and not self._is_open(first):
                    yield f"{pointer}/{name}", f"is no field of AWS's {self.detail_type!r} ({self.page})"

    def _is_open(self, pointer: str) -> bool:
        type_ = self._type(pointer)
        return type_ is not None and type_["kind"] in ("json", "any", "map")

    def _is_optional(self, pointer: str, name: str) -> bool:
        """Returns true if the schema knows a field and does not require it, whatever the example has."""
        type_ = self._type(pointer)
        return type_ is not None and name in type_.get("fields", {}) and not type_["fields"][name]["required"]

    def _type(self, pointer: str) -> dict | None:
        type_ = self.schema and {"kind": "object", "fields": {"detail": {"type": self.schema}}}
        for name in pointer.strip("/").split("/"):
            type_ = type_ and (
                type_.get("of")
                if type_["kind"] in ("array", "map")
                else type_.get("fields", {}).get(name, {}).get("type")
            )
        return type_ or None

    def _fits(self, pointer: str, value: Any) -> bool:
        documented = [at(example, pointer) for example in self.examples]
        documented = [each for each in documented if each is not MISSING]
        if documented:
            return any(_same_type(each, value) for each in documented)
        type_ = self._type(pointer)
        if type_ is None:
            return True
        if type_["kind"] in ("object", "map"):
            return isinstance(value, dict)
        if type_["kind"] == "array":
            return isinstance(value, list)
        if type_["kind"] in ("number", "integer") and isinstance(value, bool):
            return False
        return isinstance(value, _KINDS.get(type_["kind"], object))

    def _missing(self, pointer: str, value: Any, documented: list) -> Iterator[tuple[str, str]]:
        if not documented or not isinstance(value, dict):
            return
        for name in set.intersection(*(set(each) for each in documented if isinstance(each, dict))):
            if name not in value and self._is_optional(pointer, name):
                continue
            if name not in value:
                yield f"{pointer}/{name}", f"is missing; AWS's example has it ({self.page})"
            else:
                inner = [each[name] for each in documented]
                if all(isinstance(each, dict) for each in inner):
                    yield from self._missing(f"{pointer}/{name}", value[name], inner)


class _Mark:
    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


MISSING = _Mark("missing")
# The value of an expression in a test's source.
UNKNOWN = _Mark("unknown")


def at(value: Any, pointer: str) -> Any:
    """Returns the value at a JSON pointer, or MISSING."""
    for name in pointer.strip("/").split("/"):
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        else:
            return MISSING
    return value


def _same_type(documented: Any, value: Any) -> bool:
    if isinstance(documented, bool) or isinstance(value, bool):
        return isinstance(documented, bool) and isinstance(value, bool)
    if isinstance(documented, (int, float)):
        return isinstance(value, (int, float))
    return isinstance(value, type(documented))


def read(context: Context, schemas: dict[str, dict]) -> dict[tuple[str, str], Shape]:
    """Returns the shape of each kind of event, by source and detail-type."""
    found: dict[tuple[str, str], Shape] = {}
    for key, schema in schemas.items():
        source, detail_type = key.split("|", 1)
        found[source, detail_type] = Shape(source, detail_type, schema=schema)
    for path in sorted((context.data / "events").glob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        for example in document["examples"]:
            kind = (example["source"], example["detail-type"])
            shape = found.setdefault(kind, Shape(*kind))
            shape.page = document["source"]
            shape.examples.append(example)
            shape.values = {pointer: values["known"] for pointer, values in document["values"].items()}
    return found
