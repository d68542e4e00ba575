"""Walks a definition: its scopes, the states in each, and the expressions in each state."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from referee.documents import Document, Mapping


@dataclass(eq=False)
class Scope:
    """The states of a definition, of a branch of a Parallel, or of the items of a Map."""

    body: Mapping
    outer: "State | None" = None
    states: list["State"] = field(default_factory=list)

    def state(self, name: str) -> "State | None":
        """Returns the state of a name."""
        return next((state for state in self.states if state.name == name), None)

    @property
    def around(self) -> "Scope | None":
        """Returns the scope around this one."""
        return self.outer.scope if self.outer else None

    @property
    def distributed(self) -> bool:
        """Returns true if each item is an execution of its own."""
        return self.body.get("ProcessorConfig", {}).get("Mode") == "DISTRIBUTED"


@dataclass(eq=False)
class State:
    """One state, and its place."""

    name: str
    body: Mapping
    scope: Scope
    where: str
    inner: list[Scope] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """Returns the state's type."""
        return self.body.get("Type", "")

    def rules(self, key: str) -> list[Mapping]:
        """Returns the retriers, catchers or rules of a choice."""
        found = self.body.get(key, [])
        return [rule for rule in found if isinstance(rule, Mapping)] if isinstance(found, list) else []


def scopes(document: Document) -> list[Scope]:
    """Returns every scope of a definition, outer ones first."""
    found: list[Scope] = []
    _read(document, document.body, None, found)
    return found


def _read(document: Document, body: Mapping, outer: State | None, found: list[Scope]) -> None:
    scope = Scope(body, outer)
    found.append(scope)
    if outer:
        outer.inner.append(scope)
    states = body.get("States")
    if not isinstance(states, Mapping):
        return
    for name, state_body in states.items():
        if not isinstance(state_body, Mapping):
            continue
        state = State(name, state_body, scope, f"{document.name}:{states.line_of(name)} {name}")
        scope.states.append(state)
        inner = [state_body.get("ItemProcessor"), *(state_body.get("Branches") or [])]
        for each in inner:
            if isinstance(each, Mapping):
                _read(document, each, state, found)


def strings(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Yields each string in a value with its path, except for those of inner states."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            if key not in ("ItemProcessor", "Branches", "States"):
                yield from strings(item, f"{path}/{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from strings(item, f"{path}/{index}")


def is_expression(text: str) -> bool:
    """Returns true if AWS evaluates a string."""
    return text.startswith("{%") and text.endswith("%}")
