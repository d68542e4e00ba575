"""Variables: their scopes, their names, and that each is assigned before it is used.

https://docs.aws.amazon.com/step-functions/latest/dg/workflow-variables.html: "A variable assigned in an
inner scope cannot have the same name as one assigned in an outer scope"; a state reads the values from before it, also
in its own Assign and Output.
"""

import re

from oracles.machine_rules.expressions import Expression
from oracles.machine_rules.walk import Scope, State
from referee.verdict import Verdict

_NAME = re.compile(r"[^\W\d]\w*\Z")


def judge(scopes: list[Scope], expressions: list[Expression], rules: dict, verdict: Verdict) -> None:
    """Finds variables that AWS rejects or that have no value at their use."""
    assigned = {id(scope): _assignments(scope) for scope in scopes}
    for scope in scopes:
        for name, places in assigned[id(scope)].items():
            verdict.judged("variables")
            _judge_name(name, places[0], rules, verdict)
            _judge_shadow(name, places[0], scope, assigned, verdict)
    reach: dict[int, frozenset[str] | None] = {}
    for scope in scopes:
        _flow(scope, reach)
    for each in expressions:
        have = reach.get(id(each.state))
        if have is None:
            continue
        for name in set(each.refers.get("variables", ())) - have:
            _judge_use(each, name, assigned, verdict)


def _assignments(scope: Scope) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for state in scope.states:
        bodies = [state.body, *state.rules("Choices"), *state.rules("Catch")]
        for body in bodies:
            for name in body.get("Assign") or {}:
                found.setdefault(name, []).append(state.where)
    return found


def _judge_name(name: str, where: str, rules: dict, verdict: Verdict) -> None:
    if name == "states":
        verdict.find(where, "assigns $states, which is reserved")
    if not _NAME.match(name) or len(name) > rules["bounds"]["name_characters"]:
        verdict.find(
            where, f"assigns {name!r}: a name begins with a letter and has letters, digits and underscores, 80 at most"
        )
    if name in rules["functions"]:
        verdict.find(where, f"assigns ${name}, which hides the JSONata function of that name")


def _judge_shadow(name: str, where: str, scope: Scope, assigned: dict, verdict: Verdict) -> None:
    around = scope.around
    while around:
        if name in assigned[id(around)]:
            other = assigned[id(around)][name][0]
            verdict.find(
                where, f"assigns ${name}, which an outer scope assigns too ({other}): CreateStateMachine refuses that"
            )
        around = around.around


def _judge_use(each: Expression, name: str, assigned: dict, verdict: Verdict) -> None:
    scope: Scope | None = each.state.scope
    while scope:
        if name in assigned[id(scope)]:
            verdict.find(each.where, f"uses ${name}, which has no value on every way to this state")
            return
        scope = None if scope.distributed else scope.around
    verdict.find(each.where, f"uses ${name}, which nothing assigns in this scope or around it")


def _flow(scope: Scope, reach: dict[int, frozenset[str] | None]) -> None:
    """Computes the variables that certainly have a value at the entry of each state of a scope."""
    first = scope.state(scope.body.get("StartAt", ""))
    if first is None:
        return
    outer = reach.get(id(scope.outer)) if scope.outer and not scope.distributed else frozenset()
    entry = outer if outer is not None else frozenset()
    reach[id(first)] = entry
    waiting = [first]
    while waiting:
        state = waiting.pop()
        have = reach[id(state)] or frozenset()
        for name, gained in _ways(state):
            to = scope.state(name)
            if to is None:
                continue
            known = reach.get(id(to))
            now = have | gained if known is None else known & (have | gained)
            if now != known:
                reach[id(to)] = now
                waiting.append(to)


def _ways(state: State) -> list[tuple[str, frozenset[str]]]:
    """Returns each exit of a state with the variables that it assigns."""
    own = frozenset(state.body.get("Assign") or {})
    ways = [(state.body[key], own) for key in ("Next", "Default") if isinstance(state.body.get(key), str)]
    for rule in state.rules("Choices"):
        # A rule's own Assign replaces that of the state.
        ways.append((rule.get("Next", ""), frozenset(rule.get("Assign") or {})))
    for rule in state.rules("Catch"):
        ways.append((rule.get("Next", ""), frozenset(rule.get("Assign") or {})))
    return ways
