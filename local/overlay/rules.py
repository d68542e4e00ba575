"""Fault rules: what they match, how often they strike, what they hold. No transport and no AWS here.

A rule is the JSON a test posts to ``/_lockstep/faults``::

    {"on": "call", "service": "ec2", "action": "CopyImage", "account": "333333333333",
     "contains": "text of the body", "skip": 0, "times": 1, "effect": {"kind": "throttle"}}
    {"on": "event", "source": "aws.ec2", "detail_type": "EC2 AMI State Change",
     "times": 1, "effect": {"kind": "duplicate"}}

Every condition that is left out matches everything; ``contains`` looks for a text in the path and the
first 64 KiB of the body, or in the detail of an event. ``skip`` lets that many matches pass first;
``times`` (default 1) is how often the rule strikes, 0 for always.
"""

import itertools
import threading
from collections import deque
from collections.abc import Mapping

from overlay.shapes import Record

CALL_EFFECTS = ("throttle", "server_error", "error", "reset", "drop_reply", "delay", "hold", "hold_reply")
EVENT_EFFECTS = ("lose", "duplicate", "delay", "hold")
_CONDITIONS = {
    "call": ("service", "action", "account", "principal", "contains"),
    "event": ("source", "detail_type", "account", "contains"),
}
_MOST_RULES = 1000
_MOST_JOURNAL = 20_000


class BadRule(ValueError):
    """A rule that cannot be understood; the message says why."""


class Rule:
    """One rule and what it has done so far."""

    def __init__(self, number: int, given: Record) -> None:
        self.number = number
        self.on = given.get("on", "call")
        if self.on not in _CONDITIONS:
            raise BadRule(f"'on' must be call or event, not {self.on!r}")
        effect = given.get("effect")
        allowed = CALL_EFFECTS if self.on == "call" else EVENT_EFFECTS
        if not isinstance(effect, dict) or effect.get("kind") not in allowed:
            raise BadRule(f"'effect.kind' of a rule on {self.on} must be one of {', '.join(allowed)}")
        unknown = set(given) - {"on", "effect", "times", "skip", *_CONDITIONS[self.on]}
        if unknown:
            raise BadRule(f"unknown field(s) {', '.join(sorted(unknown))} in a rule on {self.on}")
        self.conditions = {name: given[name] for name in _CONDITIONS[self.on] if given.get(name)}
        self.effect = effect
        self.times, self.skip = int(given.get("times", 1)), int(given.get("skip", 0))
        self.matched = self.struck = 0
        self.released = threading.Event()
        self.held: list[tuple[str, str, Record]] = []
        """Events that wait for the release, each with its account and region."""

    def applies(self, facts: Mapping[str, str | None]) -> bool:
        """Whether every condition holds; ``contains`` and ``principal`` look for a part, case matters."""
        for name, wanted in self.conditions.items():
            actual = facts.get(name) or ""
            partial = name in ("contains", "principal")
            if (wanted not in actual) if partial else (wanted.lower() != actual.lower()):
                return False
        return True

    def strikes(self) -> bool:
        """Count one match; True if the rule takes effect this time."""
        self.matched += 1
        if self.matched <= self.skip or (self.times and self.struck >= self.times):
            return False
        self.struck += 1
        return True

    def shown(self) -> Record:
        """The rule as JSON, with what it did."""
        return {
            "id": self.number,
            "on": self.on,
            **self.conditions,
            "effect": self.effect,
            "times": self.times,
            "skip": self.skip,
            "matched": self.matched,
            "struck": self.struck,
            "held": len(self.held),
            "released": self.released.is_set(),
        }


class Rules:
    """The rules of a run. They strike in the order in which they were added."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._rules: dict[int, Rule] = {}

    def add(self, given: Record) -> Rule:
        """Add a rule; returns it. The first rule that applies wins."""
        with self._lock:
            if len(self._rules) >= _MOST_RULES:
                raise BadRule(f"there are {_MOST_RULES} rules already; clear them first")
            rule = Rule(next(self._numbers), given)
            self._rules[rule.number] = rule
            return rule

    def striking(self, on: str, facts: Mapping[str, str | None]) -> Rule | None:
        """The first rule that applies to these facts and strikes, or None."""
        with self._lock:
            for rule in self._rules.values():
                if rule.on == on and rule.applies(facts) and rule.strikes():
                    return rule
        return None

    def all(self) -> list[Rule]:
        """Every rule, oldest first."""
        with self._lock:
            return list(self._rules.values())

    def get(self, number: int) -> Rule | None:
        """The rule with this number, or None."""
        return self._rules.get(number)

    def remove(self, number: int | None = None) -> list[Rule]:
        """Remove one rule, or all of them; returns what was removed. The caller releases what they hold."""
        with self._lock:
            numbers = list(self._rules) if number is None else [number] if number in self._rules else []
            return [self._rules.pop(one) for one in numbers]


class Journal:
    """The last entries of one kind, numbered; older ones are forgotten, and counted."""

    def __init__(self) -> None:
        self._entries: deque[Record] = deque(maxlen=_MOST_JOURNAL)
        self._last = 0
        self._lock = threading.Lock()

    def add(self, entry: Record) -> None:
        """Append an entry; it gets the next number as ``sequence``."""
        with self._lock:
            self._last += 1
            entry["sequence"] = self._last
            self._entries.append(entry)

    def read(self, after: int = 0, limit: int = _MOST_JOURNAL, **conditions: str | None) -> tuple[list[Record], int]:
        """The entries after a number whose fields equal the conditions, and how many were forgotten."""
        with self._lock:
            entries = list(self._entries)
            forgotten = self._last - len(entries)
        wanted = {name: value for name, value in conditions.items() if value}
        found = [
            entry
            for entry in entries
            if entry["sequence"] > after
            and all(str(entry.get(name, "")).lower() == value.lower() for name, value in wanted.items())
        ]
        return found[:limit], forgotten

    def last(self) -> int:
        """The number of the newest entry, 0 before the first."""
        return self._last

    def clear(self) -> None:
        """Forget every entry; numbers go on rising."""
        with self._lock:
            self._entries.clear()


faults = Rules()
calls = Journal()
events = Journal()
