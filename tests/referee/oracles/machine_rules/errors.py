"""Error names: known, raised by the states that handle them, and in an order in which each can be reached."""

from oracles.machine_rules.integrations import Integration, of
from oracles.machine_rules.walk import Scope, State
from referee.models import Models
from referee.verdict import Verdict


def judge(scopes: list[Scope], rules: dict, models: Models, verdict: Verdict) -> None:
    """Finds error names in retriers and catchers that AWS rejects, never raises there, or never reaches."""
    for scope in scopes:
        for state in scope.states:
            for key in ("Retry", "Catch"):
                _order(state, key, verdict)
                for index, rule in enumerate(state.rules(key)):
                    for name in rule.get("ErrorEquals") or []:
                        verdict.judged("error names")
                        _name(f"{state.where}/{key}/{index}", name, state, rules, models, verdict)
                    if not rule.get("ErrorEquals"):
                        verdict.find(f"{state.where}/{key}/{index}", "names no error")


def _order(state: State, key: str, verdict: Verdict) -> None:
    """Checks that States.ALL is alone and last, and that no name follows one that covers it."""
    taken: set[str] = set()
    rules = state.rules(key)
    for index, rule in enumerate(rules):
        names = rule.get("ErrorEquals") or []
        where = f"{state.where}/{key}/{index}"
        if "States.ALL" in names and (len(names) > 1 or index != len(rules) - 1):
            verdict.find(where, "names States.ALL, which stands alone and in the last rule")
        for name in names:
            if name in taken or (
                "States.TaskFailed" in taken and name not in ("States.Timeout", "States.ALL", "States.HeartbeatTimeout")
            ):
                verdict.find(where, f"names {name}, which an earlier rule takes")
        taken.update(names)


def _name(where: str, name: str, state: State, rules: dict, models: Models, verdict: Verdict) -> None:
    errors = rules["errors"]
    if name.startswith("States."):
        if name in errors["jsonpath"]:
            verdict.find(where, f"names {name}, which a JSONata state does not raise")
        elif name not in errors["known"]:
            verdict.find(where, f"names {name}; names with States. are AWS's own, and this is none of them")
        elif name in errors["never_caught"]:
            verdict.find(where, f"names {name}, which is neither retried nor caught")
        elif name == "States.HeartbeatTimeout" and "HeartbeatSeconds" not in state.body:
            verdict.find(where, "names States.HeartbeatTimeout in a state without HeartbeatSeconds")
        elif state.kind not in errors["only_in"].get(name, [state.kind]):
            verdict.find(where, f"names {name}, which a {state.kind} does not raise")
        return
    integration = of(state, rules)
    if integration and "." in name and name not in rules["runtime_errors"]:
        _of_service(where, name, integration, models, verdict)


def _of_service(where: str, name: str, integration: Integration, models: Models, verdict: Verdict) -> None:
    prefix, rest = name.split(".", 1)
    if prefix != integration.errors:
        verdict.find(where, f"names {name} in a state whose errors begin with {integration.errors}.")
    elif name not in integration.further_errors:
        raised = {
            shape.removesuffix("Exception") for shape in models.errors(integration.service, integration.operation)
        }
        if rest.removesuffix("Exception") not in raised:
            verdict.find(where, f"names {name}, which {integration.operation} does not raise")
