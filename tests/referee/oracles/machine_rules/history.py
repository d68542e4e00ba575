"""History: the number of events of an execution, of which AWS allows 25,000.

https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html: an execution that writes more of them fails.
The estimate enters every state once, with the items that data/states-language.yaml gives to each Map. It reports how
long the execution may then wait in the loop that writes most.
"""

from collections.abc import Iterator

from oracles.machine_rules.structure import targets
from oracles.machine_rules.walk import Scope, State
from referee.documents import Document
from referee.verdict import Verdict

_DAY = 86400
# Entered and exited.
_PLAIN = 2
# Entered, scheduled, started, succeeded, exited; one more where it waits (submitted).
_TASK = 5
# Started, succeeded; the same for each item.
_MAP = 2
# The start and the end of the execution.
_EXECUTION = 2


def judge(document: Document, scopes: list[Scope], rules: dict, verdict: Verdict) -> None:
    """Finds a definition whose executions may write more events than AWS allows, and a loop without a wait."""
    most, items, least_days = (
        rules["bounds"]["history_events"],
        rules["history"]["items"],
        rules["history"]["waiting_days"],
    )
    once = _EXECUTION + _events(scopes[0], items)
    rates = [_rate(cycle, verdict) for scope in scopes for cycle in _cycles(scope)]
    days = (most - once) / max(rates) / _DAY if any(rates) else None
    room = f"; it may wait for {days:.0f} days" if days else ""
    verdict.note(f"{document.name}: {once} events of {most} if it enters every state once{room}")
    if once > most:
        verdict.find(
            document.name, f"an execution that enters every state once writes {once} events, of {most} at most"
        )
    elif days is not None and days < least_days:
        verdict.find(
            document.name, f"an execution that waits for {days:.1f} days has written {most} events, and AWS ends it"
        )


def _events(scope: Scope, items: dict[str, int]) -> int:
    return sum(_of_state(state, items) for state in scope.states)


def _of_state(state: State, items: dict[str, int]) -> int:
    if state.kind == "Task":
        return _TASK + (1 if _waits(state) or ".sync" in str(state.body.get("Resource")) else 0)
    if state.kind == "Map":
        inner = state.inner[0] if state.inner else None
        number = items.get(state.name, items["default"])
        return _PLAIN + _MAP + (0 if inner is None or inner.distributed else number * (_MAP + _events(inner, items)))
    return _PLAIN + sum(_MAP + _events(inner, items) for inner in state.inner)


def _waits(state: State) -> bool:
    return ".waitForTaskToken" in str(state.body.get("Resource"))


def _rate(cycle: list[State], verdict: Verdict) -> float:
    """Returns the events of a loop in a second, if its waits always last until their timeout."""
    waits = [state.body.get("TimeoutSeconds") if _waits(state) else state.body.get("Seconds") for state in cycle]
    seconds = sum(wait for wait in waits if isinstance(wait, int))
    if seconds:
        return sum(_of_state(state, {"default": 1}) for state in cycle) / seconds
    # Step Functions starts no second execution of a name, so a loop through a named one ends.
    if not any(_starts_named(state) for state in cycle):
        verdict.find(cycle[0].where, f"is in a loop without a wait: {', '.join(state.name for state in cycle)}")
    return 0


def _starts_named(state: State) -> bool:
    inner = [each for scope in state.inner for each in scope.states]
    own = ":states:startExecution" in str(state.body.get("Resource")) and "Name" in state.body.get("Arguments", {})
    return own or any(_starts_named(each) for each in inner)


def _cycles(scope: Scope) -> Iterator[list[State]]:
    """Yields each path from a state back to it that passes no state twice."""
    order = {state.name: index for index, state in enumerate(scope.states)}

    def follow(way: list[State]) -> Iterator[list[State]]:
        for name in set(targets(way[-1])):
            if name == way[0].name:
                yield list(way)
            elif name in order and order[name] > order[way[0].name] and all(name != state.name for state in way):
                yield from follow([*way, scope.states[order[name]]])

    for state in scope.states:
        yield from follow([state])
