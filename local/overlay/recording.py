"""Writes down every request, policy, definition and event of one emulator run, for judges to read afterwards.

With ``LOCKSTEP_RECORDING`` set to a folder, each run writes one file there, a JSON document per line.
``local/README.md`` describes the lines. Numbers (``seq``) have no gap, the first line is ``start`` and the last one
``end``: a file without them is not whole. Without the variable nothing is written.

A number is given when something happens. One thread parses and writes, in the order of the numbers, so that a request
does not wait for it.
"""

import json
import logging
import os
import queue
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.core.router import extract_access_key_id
from ministack.services import sts

from overlay import PINNED_VERSION, recorded_state, wire
from overlay.shapes import Headers, Query, Record

FORMAT = 1
"""The format of the lines; a judge refuses another one."""

logger = logging.getLogger("overlay.recording")
_LONGEST_END_SECONDS = 20
_CLAIM = re.compile(r"\bapp/lockstep-([a-z]+)")
_ERROR_CODE = re.compile(rb'<Code>([^<]+)</Code>|"(?:__type|code|Code)"\s*:\s*"([^"]+)"')
_EC2_ID = re.compile(r"(?:ami|snap|i|vol|sg|subnet|vpc|eni|lt|key)-[0-9a-f]{8,17}")


@dataclass(frozen=True)
class _Line:
    """A line that waits to be written."""

    seq: int
    kind: str
    fields: Record
    finish: Callable[[], Record] | None = None


class _Recording:
    """The file of a run. It is open if a recording is wanted."""

    def __init__(self) -> None:
        self.newest = 0
        """The number of the newest line."""
        self.in_flight: set[Request] = set()
        self._file: TextIO | None = None
        self._lines: queue.Queue[_Line | threading.Event] = queue.Queue()
        self._lock = threading.Lock()
        self._ended = False

    @property
    def is_open(self) -> bool:
        return self._file is not None

    def open(self, path: Path) -> None:
        """Open the file, and start the thread that writes it."""
        self._file = path.open("x", encoding="utf-8")
        threading.Thread(target=self._write, args=(self._file,), name="overlay-recording", daemon=True).start()

    def add(self, kind: str, fields: Record, finish: Callable[[], Record] | None) -> int:
        with self._lock:
            if not self.is_open or self._ended:
                return 0
            self.newest += 1
            self._lines.put(_Line(self.newest, kind, fields, finish))
            return self.newest

    def end(self) -> None:
        with self._lock:
            if not self.is_open or self._ended:
                return
            self._ended = True
            seq, written = self.newest + 1, threading.Event()
            fields = {"time": time.time(), "lines": seq, "in_flight": len(self.in_flight)}
            self._lines.put(_Line(seq, "end", fields))
            self._lines.put(written)
        written.wait(_LONGEST_END_SECONDS)

    def _write(self, file: TextIO) -> None:
        while True:
            line = self._lines.get()
            if isinstance(line, threading.Event):
                file.close()
                line.set()
                return
            written = {"seq": line.seq, "kind": line.kind, **_finished(line)}
            file.write(json.dumps(written, default=str, separators=(",", ":")) + "\n")
            file.flush()


def _finished(line: _Line) -> Record:
    """The fields of a line with those that are found while it is written. A line is never dropped."""
    if line.finish is None:
        return line.fields
    try:
        return {**line.fields, **line.finish()}
    except Exception as error:  # A judge reports a line that says this.
        logger.exception("could not read what line %d is about", line.seq)
        return {**line.fields, "unparsed": repr(error)}


_recording = _Recording()


def install() -> None:
    """Open the file and write ``start``, if a recording is wanted."""
    folder = os.environ.get("LOCKSTEP_RECORDING")
    if not folder:
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    name = f"{time.time_ns()}-{os.environ.get('GATEWAY_PORT', '0')}-{os.getpid()}.jsonl"
    _recording.open(Path(folder) / name)
    add("start", {"format": FORMAT, "emulator": f"ministack {PINNED_VERSION}", "time": time.time()})
    recorded_state.install(add)


def on() -> bool:
    """Whether this run is recorded."""
    return _recording.is_open


def add(kind: str, fields: Record, finish: Callable[[], Record] | None = None) -> int:
    """Give a line the next number and queue it; ``finish`` adds to it on the writer's thread. Returns the number."""
    return _recording.add(kind, fields, finish)


def end() -> None:
    """Write ``end`` after every line before it, and close the file. Doing it again does nothing."""
    _recording.end()


class Request:
    """One request: what is known before it is carried out, and its line once it is answered."""

    def __init__(
        self, service: str, action: str, method: str, path: str, headers: Headers, query: Query, body: bytes
    ) -> None:
        self.headers = headers
        if not on():
            return
        self._action = action
        self._wire = (service, method, path, dict(headers), dict(query), body)
        _recording.in_flight.add(self)
        self.began = _recording.newest
        self.started = time.time()
        self.caller = _caller(headers, query)
        self.claims = _claims(headers)
        self.region, self.account = get_region(), get_account_id()
        self.tags = recorded_state.tags_of(set(_EC2_ID.findall(_searched(query, body)))) if service == "ec2" else {}

    def answered(self, status: int, body: bytes, fault: str | None) -> None:
        """Write the line. ``status`` is 0 if the caller saw no answer."""
        if not on():
            return
        _recording.in_flight.discard(self)
        service, *_ = self._wire
        recorded_state.changed(service, self._action)
        answer: Record = {"status": status, "error_code": _error_code(status, body), "fault": fault}
        if self._action == "SimulatePrincipalPolicy" and status == 200:
            answer["decisions"] = _decisions(body)
        fields = {
            "began": self.began,
            "time": self.started,
            "service": wire.model_name(service),
            "region": self.region,
            "account": self.account,
            "caller": self.caller,
            "claims": self.claims,
            "marks": _marks(self.caller, self.claims),
            "answer": answer,
        }
        if self.tags:
            fields["resource_tags"] = self.tags
        add("request", fields, self._parsed)

    def _parsed(self) -> Record:
        service, method, path, headers, query, body = self._wire
        if service == "lambda-url":
            return {
                "service": "lambda",
                "operation": "InvokeFunctionUrl",
                "parameters": {"path": path, "method": method},
            }
        try:
            operation, parameters = wire.parse(service, method, path, headers, query, body)
        except wire.Unparsed as error:
            return {"operation": None, "parameters": None, "unparsed": f"{method} {path}: {error}"}
        return {"operation": operation, "parameters": parameters}


def _searched(query: Query, body: bytes) -> str:
    return " ".join(value for values in query.values() for value in values) + body[:65536].decode("utf-8", "replace")


def _caller(headers: Headers, query: Query) -> Record:
    """Who calls, as IAM names them."""
    key = extract_access_key_id(headers, query)
    if not key:
        return {"type": "Anonymous", "arn": None, "account": None}
    principal = iam_evaluator.resolve_principal(key, get_account_id())
    if isinstance(principal, iam_evaluator.AuthError):
        return {"type": "Unknown", "arn": None, "account": None, "why": principal.code}
    session = sts._sessions.get(key) or {}
    tags = {
        name[len("aws:principaltag/") :]: value for name, value in principal.keys.items() if "principaltag/" in name
    }
    caller = {
        "type": principal.type,
        "arn": principal.arn,
        "account": principal.account,
        "user_id": principal.keys.get("aws:userid"),
        "principal_tags": tags,
        "session_tags": {tag["Key"]: tag["Value"] for tag in session.get("SessionTags") or []},
    }
    if principal.type == "AssumedRole":
        caller["role"], caller["session_name"] = principal.arn.split("/")[-2:]
    if session.get("SessionPolicies"):
        caller["session_policies"] = session["SessionPolicies"]
    return caller


def _claims(headers: Headers) -> str | None:
    """The policy that a ``lockstep`` command says it needs: operator, approver or installer."""
    agents = f"{headers.get('user-agent', '')} {headers.get('x-amz-user-agent', '')}"
    found = _CLAIM.search(agents)
    return found[1] if found else None


def _marks(caller: Record, claims: str | None) -> list[str]:
    marks = []
    if caller["type"] == "Root":
        marks.append("root")
    if caller["type"] in ("Root", "User") and not claims:
        marks.append("helper")
    if caller["type"] == "Anonymous":
        marks.append("anonymous")
    return marks


def _decisions(body: bytes) -> list[Record]:
    """What a simulation of policies answered, for each action on each resource."""
    answer = wire.answer("iam", "SimulatePrincipalPolicy", body)
    return [
        {
            "action": result["EvalActionName"],
            "resource": one.get("EvalResourceName", "*"),
            "decision": one.get("EvalResourceDecision") or one["EvalDecision"],
            "missing": one.get("MissingContextValues", []),
        }
        for result in answer["EvaluationResults"]
        for one in result.get("ResourceSpecificResults") or [result]
    ]


def _error_code(status: int, body: Any) -> str | None:
    if not status or status < 400 or not isinstance(body, (bytes, bytearray)):
        return None
    found = _ERROR_CODE.search(body)
    code = (found[1] or found[2]).decode() if found else None
    return code.rsplit("#", 1)[-1] if code else None
