"""Events in the sources of our tests: every `json!` that has a source of AWS and a detail-type."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from oracles.event_rules.shapes import UNKNOWN

_OPENING = {"(": ")", "[": "]", "{": "}"}
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


@dataclass
class Fixture:
    """One event of a test; the value of an expression is UNKNOWN."""

    where: str
    event: dict


def read(root: Path) -> Iterator[Fixture]:
    """Yields each event in a Rust source."""
    for folder in ("functions", "shared", "cli", "local", "tests"):
        for path in sorted((root / folder).rglob("*.rs")):
            text = path.read_text(encoding="utf-8")
            if "detail-type" not in text:
                continue
            for match in re.finditer(r"\bjson!\s*([(\[{])", text):
                line = text.count("\n", 0, match.start()) + 1
                try:
                    value, _ = _Reader(text).value(match.end())
                except _Unreadable:
                    continue
                if (
                    isinstance(value, dict)
                    and "detail-type" in value
                    and str(value.get("source", "")).startswith("aws.")
                ):
                    yield Fixture(f"{path.relative_to(root)}:{line}", value)


def pointers(root: Path) -> Iterator[tuple[str, str]]:
    """Yields each JSON pointer into an event's detail that our code reads."""
    for folder in ("functions", "shared"):
        for path in sorted((root / folder).rglob("*.rs")):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
                for match in re.finditer(r'"(/detail(?:/[\w-]+)+)"', line):
                    yield f"{path.relative_to(root)}:{number}", match[1]


class _Unreadable(Exception):
    pass


class _Reader:
    """Reads the argument of `json!`: JSON, with expressions of Rust for keys and values."""

    def __init__(self, text: str) -> None:
        self.text = text

    def value(self, at: int) -> tuple[object, int]:
        at = self._skip(at)
        char = self.text[at]
        if char == "{":
            return self._object(at + 1)
        if char == "[":
            return self._array(at + 1)
        end = self._expression(at)
        return self._literal(self.text[at:end].strip()), end

    def _object(self, at: int) -> tuple[dict, int]:
        found: dict = {}
        while True:
            at = self._skip(at)
            if self.text[at] == "}":
                return found, at + 1
            key_end = self._expression(at, ":")
            key = self._literal(self.text[at:key_end].strip())
            item, at = self.value(key_end + 1)
            if key is not UNKNOWN:
                found[key] = item
            at = self._comma(at)

    def _array(self, at: int) -> tuple[list, int]:
        found: list = []
        while True:
            at = self._skip(at)
            if self.text[at] == "]":
                return found, at + 1
            item, at = self.value(at)
            found.append(item)
            at = self._comma(at)

    def _comma(self, at: int) -> int:
        at = self._skip(at)
        if self.text[at] == ",":
            return at + 1
        if self.text[at] in "}]":
            return at
        raise _Unreadable

    def _skip(self, at: int) -> int:
        while at < len(self.text):
            if self.text[at].isspace():
                at += 1
            elif self.text.startswith("//", at):
                at = self.text.index("\n", at)
            else:
                return at
        raise _Unreadable

    def _expression(self, at: int, end: str = ",") -> int:
        """Returns the end of an expression: a comma or a colon of its own level, or the bracket around it."""
        level = 0
        while at < len(self.text):
            if self.text[at] == '"':
                match = _STRING.match(self.text, at)
                if match is None:
                    raise _Unreadable
                at = match.end()
                continue
            if self.text.startswith("::", at):
                at += 2
                continue
            char = self.text[at]
            if level == 0 and (char in (",", end) or char in ")]}"):
                return at
            level += (char in _OPENING) - (char in ")]}")
            at += 1
        raise _Unreadable

    @staticmethod
    def _literal(text: str) -> object:
        try:
            return json.loads(text)
        except ValueError:
            return UNKNOWN
