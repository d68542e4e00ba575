"""Reads recordings: completeness, the state in force at a number, and the requests to judge."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from referee.context import Context
from referee.verdict import Verdict

FORMAT = 1


@dataclass
class Recording:
    """The lines of one run of the emulator, and the state at each number."""

    path: Path
    lines: list[dict]
    _states: dict[tuple[str, str], list[tuple[int, dict | None]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for line in self.lines:
            if line["kind"] in ("policies", "definition"):
                state = line["state"] and {**line["state"], "account": line["account"], "region": line["region"]}
                self._states.setdefault((_kind(line), line["id"]), []).append((line["seq"], state))

    def place(self, seq: int) -> str:
        """Returns the name of a line in findings."""
        return f"{self.path.name}:{seq}"

    def state(self, what: str, identifier: str, seq: int) -> dict | None:
        """Returns the state at a number, or None."""
        found = None
        for since, state in self._states.get((what, identifier), ()):
            if since > seq:
                break
            found = state
        return found

    def latest(self, what: str) -> Iterator[tuple[int, str, dict]]:
        """Yields the last state of each thing of a kind except its removal, with the number of that state."""
        for identifier, states in self._of(what):
            there = [(seq, state) for seq, state in states if state is not None]
            if there:
                yield there[-1][0], identifier, there[-1][1]

    def every(self, what: str) -> Iterator[tuple[int, str, dict]]:
        """Yields each thing of a kind in each of its states."""
        for identifier, states in self._of(what):
            yield from ((seq, identifier, state) for seq, state in states if state is not None)

    def last_before_removal(self, what: str, identifier: str, seq: int) -> int:
        """Returns the last number before the removal of a thing after `seq`, or the last of all without a removal."""
        removed = [since for since, state in self._states[(what, identifier)] if since > seq and state is None]
        # A stack removes the parts of a thing before the thing itself: the state in between is a live one.
        return (seq + min(removed)) // 2 if removed else self.lines[-1]["seq"]

    def _of(self, what: str) -> list[tuple[str, list[tuple[int, dict | None]]]]:
        return sorted((identifier, states) for (kind, identifier), states in self._states.items() if kind == what)

    def requests(self) -> Iterator[dict]:
        """Yields every request."""
        return (line for line in self.lines if line["kind"] == "request")


def _kind(line: dict) -> str:
    """Returns the kind of a thing; a function, a bucket and a queue have a definition beside their policy."""
    own = line["kind"] == "policies" and line["what"] in ("function", "bucket")
    return f"{line['what']}-policy" if own else line["what"]


def is_judged(request: dict) -> bool:
    """Returns true if Lockstep makes a request: not those of test helpers and of root for a test."""
    return "helper" not in request["marks"]


def load(context: Context, verdict: Verdict) -> list[Recording]:
    """Returns the recordings, and finds gaps in each."""
    recordings = []
    for path in context.recording_files():
        lines = []
        with path.open(encoding="utf-8") as file:
            for number, text in enumerate(file, start=1):
                try:
                    lines.append(json.loads(text))
                except ValueError:
                    verdict.find(f"{path.name}:{number}", "is no JSON document: the recording is cut off")
        _look_whether_whole(path.name, lines, verdict)
        recordings.append(Recording(path, lines))
    if not recordings:
        verdict.note("no recording was given, so no call was judged: run with --recording")
    return recordings


def _look_whether_whole(name: str, lines: list[dict], verdict: Verdict) -> None:
    kinds = [line.get("kind") for line in lines]
    if not kinds or kinds[0] != "start" or lines[0].get("format") != FORMAT:
        verdict.find(name, f"does not begin with a line `start` of format {FORMAT}")
    if not kinds or kinds[-1] != "end":
        verdict.find(name, "has no line `end`: the emulator was killed before it had written everything")
    elif lines[-1].get("in_flight"):
        verdict.note(f"{name}: {lines[-1]['in_flight']} request(s) had no answer yet when the emulator ended")
    for expected, line in enumerate(lines, start=1):
        if line.get("seq") != expected:
            verdict.find(f"{name}:{expected}", f"the numbers have a gap: {line.get('seq')} follows {expected - 1}")
            break
    for line in lines:
        if line.get("kind") == "unreadable":
            verdict.find(f"{name}:{line.get('seq')}", f"the emulator's state could not be read: {line.get('why')}")
