"""Judges each recorded request by botocore's models: members, types, lengths, patterns, enumerations, ranges.

botocore itself checks only some of this before it sends a request, and the SDK for Rust almost nothing. AWS checks all
of it, and answers with a ValidationException that no emulator gives.
"""

import functools
import json
from collections.abc import Callable
from typing import Any

import botocore.session
import regex
from botocore.exceptions import UnknownServiceError
from botocore.model import OperationNotFoundError

from referee import recordings
from referee.context import Context
from referee.verdict import Verdict

# Numbers and texts that the wire does not distinguish are compared by their content.
_NUMBERS = ("integer", "long", "float", "double")


def judge(context: Context) -> Verdict:
    """Judges every request of Lockstep, whatever its answer."""
    verdict = Verdict()
    judge = _Judge(verdict)
    for recording in recordings.load(context, verdict):
        for request in recording.requests():
            place = recording.place(request["seq"])
            if not recordings.is_judged(request):
                verdict.judged("requests of tests, left out")
            elif request.get("unparsed"):
                verdict.find(place, f"the request cannot be read: {request['unparsed']}")
            elif request["operation"] != "InvokeFunctionUrl":
                judge.request(place, request)
    verdict.note(f"{judge.hidden} patterns of hashed values were not judged, only the values' lengths")
    return verdict


@functools.cache
def _model(service: str) -> Any:
    return botocore.session.get_session().get_service_model(service)


class _Judge:
    """Judges requests, and counts them."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        self.hidden = 0
        self.problems: list[tuple[str, str]] = []
        self.seen: dict[str, list[tuple[str, str]]] = {}

    def request(self, place: str, request: dict) -> None:
        """Judges one request; equal ones are judged once."""
        name = f"{request['service']}:{request['operation']}"
        self.verdict.judged("requests")
        key = name + json.dumps(request["parameters"], sort_keys=True)
        if key not in self.seen:
            self.verdict.judged("different requests")
            self.seen[key] = self._problems(request)
        for path, problem in self.seen[key]:
            self.verdict.find(place, f"{name}{path}: {problem}")

    def _problems(self, request: dict) -> list[tuple[str, str]]:
        try:
            operation = _model(request["service"]).operation_model(request["operation"])
        except (UnknownServiceError, OperationNotFoundError) as error:
            return [("", f"botocore does not know it: {error}")]
        self.problems = []
        if operation.input_shape is not None:
            self.value(operation.input_shape, request["parameters"], "")
        elif request["parameters"]:
            self.problem("", f"takes no parameters, and was given {', '.join(request['parameters'])}")
        return self.problems

    def problem(self, path: str, what: str) -> None:
        self.problems.append((path, what))

    def value(self, shape: Any, value: Any, path: str) -> None:
        """Judges a value and everything in it."""
        self.verdict.judged("values")
        kind = shape.type_name
        if isinstance(value, dict) and set(value) <= {"$secret", "$blob"} and value:
            self.hashed(shape, value, path)
        elif kind == "structure":
            self.structure(shape, value, path)
        elif kind == "list":
            self.list(shape, value, path)
        elif kind == "map":
            self.map(shape, value, path)
        elif kind in _NUMBERS:
            self.number(shape, value, path)
        elif kind == "boolean":
            if not isinstance(value, bool):
                self.problem(path, f"must be true or false, not {value!r}")
        elif kind in ("string", "character"):
            self.text(shape, value, path)

    def structure(self, shape: Any, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            self.problem(path, f"must be a structure, not {value!r}")
            return
        if getattr(shape, "is_document_type", False):
            return
        for name in shape.required_members:
            if name not in value:
                self.problem(f"{path}.{name}", "is required and missing")
        if getattr(shape, "is_tagged_union", False) and len(value) != 1:
            self.problem(path, f"takes exactly one of its members, and was given {', '.join(value) or 'none'}")
        for name, one in value.items():
            if name in shape.members:
                self.value(shape.members[name], one, f"{path}.{name}")
            else:
                self.problem(f"{path}.{name}", "is no member that AWS knows")

    def list(self, shape: Any, value: Any, path: str) -> None:
        if not isinstance(value, list):
            self.problem(path, f"must be a list, not {value!r}")
            return
        self.size(shape, len(value), path, "elements")
        for number, one in enumerate(value):
            self.value(shape.member, one, f"{path}[{number}]")

    def map(self, shape: Any, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            self.problem(path, f"must be a map, not {value!r}")
            return
        self.size(shape, len(value), path, "entries")
        for key, one in value.items():
            self.value(shape.key, key, f"{path}.{key}")
            self.value(shape.value, one, f"{path}.{key}")

    def number(self, shape: Any, value: Any, path: str) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.problem(path, f"must be a number, not {value!r}")
            return
        low, high = shape.metadata.get("min"), shape.metadata.get("max")
        if (low is not None and value < low) or (high is not None and value > high):
            self.problem(path, f"{value} is not between {_bound(low)} and {_bound(high)}")

    def text(self, shape: Any, value: Any, path: str) -> None:
        if not isinstance(value, str):
            self.problem(path, f"must be a text, not {value!r}")
            return
        self.size(shape, len(value), path, "characters")
        if shape.enum and value not in shape.enum:
            self.problem(path, f"{value!r} is none of {', '.join(shape.enum[:20])}")
        if (pattern := shape.metadata.get("pattern")) and not _matches(pattern, value):
            self.problem(path, f"{value[:80]!r} does not match {pattern}")

    def hashed(self, shape: Any, value: dict, path: str) -> None:
        """Judges the facts about a value that the recording only measured."""
        (measured,) = value.values()
        if shape.type_name in ("string", "blob") and not shape.serialization.get("streaming"):
            self.size(shape, measured["length"], path, "characters" if shape.type_name == "string" else "bytes")
        if shape.metadata.get("pattern"):
            self.hidden += 1

    def size(self, shape: Any, size: int, path: str, of: str) -> None:
        low, high = shape.metadata.get("min"), shape.metadata.get("max")
        if (low is not None and size < low) or (high is not None and size > high):
            self.problem(path, f"has {size} {of}, not between {_bound(low)} and {_bound(high)}")


def _bound(bound: float | None) -> str:
    return "any" if bound is None else str(bound)


def _matches(pattern: str, value: str) -> bool:
    return _compiled(pattern).fullmatch(value) is not None


@functools.cache
def _compiled(pattern: str) -> Any:
    """Compiles a pattern as Java reads it at AWS: the whole value must match; beyond 16 bits, by surrogates."""
    for pair in (r"\uD800\uDC00-\uDBFF\uDFFF", r"\ud800\udc00-\udbff\udfff"):
        pattern = pattern.replace(pair, r"\U00010000-\U0010FFFF")
    return regex.compile(pattern, regex.V0)


def _change(operation: str, change: Callable[[dict], object]) -> Callable[[Context], str]:
    """Returns a planting that changes the parameters of the first judged request for an operation in a recording."""

    def plant(copy: Context) -> str:
        folder = copy.own_recordings()
        for path in sorted(folder.glob("*.jsonl")):
            lines = path.read_text(encoding="utf-8").splitlines()
            for number, text in enumerate(lines):
                line = json.loads(text)
                name = f"{line.get('service')}:{line.get('operation')}"
                if line["kind"] == "request" and name == operation and recordings.is_judged(line):
                    change(line["parameters"])
                    lines[number] = json.dumps(line)
                    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
                    return f"{path.name}:{line['seq']}"
        raise ValueError(f"no recording holds a request for {operation}")

    return plant


def _gap(copy: Context) -> str:
    path = min(copy.own_recordings().glob("*.jsonl"))
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    del lines[len(lines) // 2]
    path.write_text("".join(lines), encoding="utf-8")
    return "have a gap"


def _cut(copy: Context) -> str:
    path = min(copy.own_recordings().glob("*.jsonl"))
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:-1]), encoding="utf-8")
    return "no line `end`"


PLANTED = [
    (
        "a capability that CloudFormation does not know",
        _change("cloudformation:CreateChangeSet", lambda given: given.update(Capabilities=["CAPABILITY_ROOT"])),
    ),
    (
        "a change set whose name is too long",
        _change("cloudformation:CreateChangeSet", lambda given: given.update(ChangeSetName="n" * 129)),
    ),
    (
        "a session name with a character that STS refuses",
        _change("sts:AssumeRole", lambda given: given.update(RoleSessionName="a session")),
    ),
    ("an item without its table", _change("dynamodb:PutItem", lambda given: given.pop("TableName"))),
    (
        "more executions in a page than Step Functions lists",
        _change("stepfunctions:ListExecutions", lambda given: given.update(maxResults=1001)),
    ),
    ("a parameter that AWS does not know", _change("sts:AssumeRole", lambda given: given.update(RoleAlias="x"))),
    ("a request that was dropped", _gap),
    ("a recording without its end", _cut),
]
