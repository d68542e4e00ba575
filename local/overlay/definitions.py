"""What AWS refuses when a state machine is created: variables and their scopes, states that lead nowhere.

ministack parses expressions and nothing else, and its CloudFormation does not even do that. Here CreateStateMachine,
UpdateStateMachine, ValidateStateMachineDefinition and the type AWS::StepFunctions::StateMachine look at the same list.
The codes are AWS's, the words are not: AWS asks that nobody relies on them.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ministack.core.responses import error_response_json, json_response
from ministack.services.cloudformation import provisioners

from overlay import patched
from overlay.shapes import Properties, Provisioned, Record, Reply

_VARIABLE = re.compile(r"^[^\W\d]\w{0,79}$")
_create = patched.CREATE_MACHINE.current()
_update = patched.UPDATE_MACHINE.current()
_of_jsonata = patched.VALIDATE_JSONATA.current()


@dataclass(frozen=True)
class Problem:
    """One reason why a definition is refused, and where in it."""

    code: str
    message: str
    location: str

    def __str__(self) -> str:
        return f"{self.code}: {self.message} at {self.location}"


def install() -> None:
    """Look at definitions wherever they come in."""
    patched.VALIDATE_JSONATA.replace(refusal)
    patched.VALIDATE_MACHINE.replace(validate)
    patched.CREATE_MACHINE.replace(create)
    patched.UPDATE_MACHINE.replace(update)


def refusal(definition_str: Any) -> str | None:
    """Returns why a definition is refused; ``None`` if it is not."""
    found = list(problems(definition_str))
    return f"Invalid State Machine Definition: '{', '.join(map(str, found))}'" if found else None


def validate(data: Record) -> Reply:
    """ValidateStateMachineDefinition: every problem as a diagnostic; it refuses nothing itself."""
    if not data.get("definition"):
        return error_response_json("ValidationException", "definition is required", 400)
    found = list(problems(data["definition"]))
    told = [{"severity": "ERROR", "code": one.code, "message": one.message, "location": one.location} for one in found]
    return json_response({"result": "FAIL" if found else "OK", "diagnostics": told, "truncated": False})


def create(logical_id: str, props: Properties, stack_name: str) -> Provisioned:
    """Create the state machine unless its definition is refused."""
    _require(props)
    return _create(logical_id, props, stack_name)


def update(
    physical_id: str, old_props: Properties, new_props: Properties, stack_name: str, logical_id: str | None = None
) -> Provisioned:
    """Update the state machine unless its definition is refused."""
    _require(new_props)
    return _update(physical_id, old_props, new_props, stack_name, logical_id)


def _require(props: Properties) -> None:
    """Raise AWS's error when the definition in the properties is refused."""
    reason = refusal(provisioners._sfn_definition(props))
    if reason:
        raise ValueError(
            f'Resource handler returned message: "{reason} (Service: Sfn, Status Code: 400)" '
            "(HandlerErrorCode: InvalidRequest)"
        )


def problems(definition: Any) -> Iterator[Problem]:
    """Yields what AWS refuses in the text of a definition."""
    try:
        machine = json.loads(definition)
    except (TypeError, ValueError) as error:
        yield Problem("INVALID_JSON_DESCRIPTION", str(error), "/")
        return
    if not isinstance(machine, dict):
        yield Problem("SCHEMA_VALIDATION_FAILED", "A definition is an object", "/")
        return
    if expression := _of_jsonata(definition):
        yield Problem("INVALID_JSONATA_EXPRESSION", expression.removeprefix("INVALID_JSONATA_EXPRESSION: "), "/")
    yield from _in_scope(machine, "", {}, {})


def _in_scope(scope: Record, where: str, outer: dict[str, str], names: dict[str, str]) -> Iterator[Problem]:
    """Yields the problems of one scope (the machine, a branch, the processor of a Map) and of those inside it."""
    states = scope.get("States")
    if not isinstance(states, dict) or not states:
        yield Problem("SCHEMA_VALIDATION_FAILED", "The field States is missing or empty", where or "/")
        return
    yield from _transitions(scope, states, where)
    mine = dict(outer)
    for name, state in states.items():
        place = f"{where}/States/{name}"
        if name in names:
            yield Problem("DUPLICATE_STATE_NAME", f"The state {name} appears also at {names[name]}", place)
        names[name] = place
        for variable, assigned in _assigned(state, place):
            if variable == "states" or not _VARIABLE.match(variable):
                yield Problem("SCHEMA_VALIDATION_FAILED", f"{variable!r} is not the name of a variable", assigned)
            elif variable in outer:
                message = f"The variable {variable} is assigned in an outer scope too, at {outer[variable]}"
                yield Problem("SCHEMA_VALIDATION_FAILED", message, assigned)
            mine.setdefault(variable, assigned)
    for name, state in states.items():
        for inner, place in _scopes(state, f"{where}/States/{name}"):
            yield from _in_scope(inner, place, mine, names)


def _transitions(scope: Record, states: Record, where: str) -> Iterator[Problem]:
    """Yields what leads to a state that is not in the same scope."""
    targets = [(scope.get("StartAt"), f"{where}/StartAt")]
    for name, state in states.items():
        place = f"{where}/States/{name}"
        targets += [(state[field], f"{place}/{field}") for field in ("Next", "Default") if field in state]
        for field in ("Choices", "Catch"):
            rules = enumerate(state.get(field) or [])
            targets += [(rule["Next"], f"{place}/{field}/{at}/Next") for at, rule in rules if "Next" in rule]
    for target, place in targets:
        if target not in states:
            yield Problem("MISSING_TRANSITION_TARGET", f"There is no state {target} in this scope", place)


def _assigned(state: Record, place: str) -> Iterable[tuple[str, str]]:
    """Yields each variable that a state assigns: itself, in a rule of a Choice, or when it catches an error."""
    rules = [(state, place)]
    for field in ("Choices", "Catch"):
        rules += [(rule, f"{place}/{field}/{at}") for at, rule in enumerate(state.get(field) or [])]
    for rule, where in rules:
        for name in rule.get("Assign") or {}:
            yield name.removesuffix(".$"), f"{where}/Assign/{name}"


def _scopes(state: Record, place: str) -> Iterable[tuple[Record, str]]:
    """Yields the scopes inside a state: branches of a Parallel, the processor of a Map."""
    for at, branch in enumerate(state.get("Branches") or []):
        yield branch, f"{place}/Branches/{at}"
    for field in ("ItemProcessor", "Iterator"):
        if field in state:
            yield state[field], f"{place}/{field}"
