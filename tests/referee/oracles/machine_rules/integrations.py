"""Resources of Task states: known to Step Functions, in every partition, with arguments that the operation has."""

import re
from dataclasses import dataclass, field

from oracles.machine_rules.walk import Scope, State, strings
from referee.models import Models
from referee.verdict import Verdict

# The partition is a literal, or a substitution that gives it.
_RESOURCE = re.compile(
    r"arn:(aws|aws-cn|aws-us-gov|aws-eusc|\$\{\w*Partition\}):states:::(?P<call>[\w-]+:[\w:-]+?)(\.(?P<pattern>sync:2|sync|waitForTaskToken))?\Z"
)


@dataclass
class Integration:
    """The target of a Task: an operation of a service, and the way in which the state waits for its end."""

    service: str
    operation: str
    pattern: str
    errors: str
    arguments: list[str] | None
    further_errors: list[str] = field(default_factory=list)
    patterns: list[str] = field(default_factory=list)


def of(state: State, rules: dict) -> Integration | None:
    """Returns the target of a Task, if Step Functions knows it."""
    match = _RESOURCE.match(str(state.body.get("Resource", "")))
    if state.kind != "Task" or not match:
        return None
    pattern = match["pattern"] or "request"
    call = match["call"]
    if call.startswith("aws-sdk:"):
        _, service, action = [*call.split(":"), ""][:3]
        return Integration(
            service, action[:1].upper() + action[1:], pattern, "", None, [], ["request", "waitForTaskToken"]
        )
    known = rules["integrations"].get(call)
    if known is None:
        return None
    return Integration(pattern=pattern, **known)


def judge(scopes: list[Scope], rules: dict, models: Models, verdict: Verdict) -> None:
    """Finds Task states that Step Functions rejects or that wait without an end."""
    for scope in scopes:
        for state in scope.states:
            if state.kind == "Task":
                verdict.judged("tasks")
                _task(state, rules, models, verdict)


def _task(state: State, rules: dict, models: Models, verdict: Verdict) -> None:
    resource = state.body.get("Resource", "")
    integration = of(state, rules)
    if integration is None:
        verdict.find(state.where, f"its Resource {resource!r} is no integration of Step Functions that is known here")
        return
    if integration.pattern not in integration.patterns:
        verdict.find(
            state.where,
            f"its Resource {resource!r} ends in .{integration.pattern}, which that integration does not have",
        )
    if "TimeoutSeconds" not in state.body:
        verdict.find(state.where, "has no TimeoutSeconds: a call that is never answered would hold it for three years")
    _arguments(state, integration, models, verdict)
    asks_for_token = any("$states.context.Task.Token" in text for _, text in strings(state.body.get("Arguments")))
    if integration.pattern == "waitForTaskToken" and not asks_for_token:
        verdict.find(state.where, "waits for a task token and passes it to no function")


def _arguments(state: State, integration: Integration, models: Models, verdict: Verdict) -> None:
    given = state.body.get("Arguments")
    if not isinstance(given, dict):
        return
    members, required = models.members(integration.service, integration.operation)
    if members is None:
        verdict.find(state.where, f"calls {integration.service}:{integration.operation}, which AWS does not have")
        return
    allowed = set(integration.arguments) if integration.arguments else members
    for name in set(given) - allowed:
        verdict.find(state.where, f"gives {integration.operation} the argument {name}, which it does not take")
    for name in required - set(given):
        verdict.find(state.where, f"gives {integration.operation} no {name}")
