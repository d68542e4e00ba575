"""Structure: fields, names, numbers, and that each state can be reached and has a successor."""

import re

from oracles.machine_rules.walk import Scope, State, strings
from referee.documents import Document
from referee.verdict import Verdict


def judge(document: Document, scopes: list[Scope], rules: dict, verdict: Verdict) -> None:
    """Finds fields, names and numbers that AWS rejects, and states without a predecessor or successor."""
    body, bounds = document.body, rules["bounds"]
    if body.get("QueryLanguage") != "JSONata":
        verdict.find(
            document.name,
            "has no QueryLanguage JSONata: its rules would be those of JSONPath, which nothing here judges",
        )
    if len(document.text.encode()) > bounds["definition_bytes"]:
        verdict.find(document.name, f"has {len(document.text.encode())} bytes, of {bounds['definition_bytes']} at most")
    _fields(document.name, body, rules["machine"], verdict)
    _number(document.name, body, "TimeoutSeconds", 1, bounds["seconds"], verdict)
    names: dict[str, str] = {}
    for scope in scopes:
        where = scope.outer.where if scope.outer else document.name
        if scope.outer:
            _fields(
                f"{where} (inside)",
                scope.body,
                rules["item_processor" if scope.outer.kind == "Map" else "branch"],
                verdict,
            )
        _reachable(where, scope, verdict)
        for state in scope.states:
            verdict.judged("states")
            if state.name in names:
                verdict.find(state.where, f"has the name of another state ({names[state.name]})")
            names[state.name] = state.where
            _state(state, rules, verdict)


def _state(state: State, rules: dict, verdict: Verdict) -> None:
    body, where, bounds = state.body, state.where, rules["bounds"]
    fields = rules["states"].get(state.kind)
    if fields is None:
        verdict.find(where, f"has the type {state.kind!r}, which does not exist")
        return
    if len(state.name) > bounds["name_characters"]:
        verdict.find(where, f"its name has {len(state.name)} characters, of {bounds['name_characters']} at most")
    if body.get("QueryLanguage", "JSONata") != "JSONata":
        verdict.find(where, "changes the query language; a JSONata machine has JSONata states only")
    _fields(where, body, fields, verdict)
    for field in set(body) & set(rules["jsonpath_only"]):
        verdict.find(where, f"has {field}, a field of JSONPath")
    for path in _jsonpath_keys(body):
        verdict.find(where, f"has the key {path!r}, whose .$ belongs to JSONPath")
    _transition(state, verdict)
    _numbers(state, bounds, verdict)
    for key, kind in (("Choices", "choice_rule"), ("Catch", "catcher"), ("Retry", "retrier")):
        for index, rule in enumerate(state.rules(key)):
            _fields(f"{where}/{key}/{index}", rule, rules[kind], verdict)
    if state.kind == "Choice" and not state.rules("Choices"):
        verdict.find(where, "has no choice")
    for index, rule in enumerate(state.rules("Choices")):
        condition = rule.get("Condition")
        if not isinstance(condition, bool) and not str(condition).startswith("{%"):
            verdict.find(f"{where}/Choices/{index}", "its Condition is neither an expression nor true or false")
    if state.kind == "Map":
        _map(state, bounds, verdict)
    if state.kind == "Wait" and len({"Seconds", "Timestamp"} & set(body)) != 1:
        verdict.find(where, "waits for exactly one of Seconds and Timestamp")


def _fields(where: str, body: dict, allowed: dict, verdict: Verdict) -> None:
    for field in allowed["required"]:
        if field not in body:
            verdict.find(where, f"has no {field}")
    for field in set(body) - set(allowed["required"]) - set(allowed["optional"]):
        verdict.find(where, f"has the field {field}, which AWS does not know there")


def _jsonpath_keys(body: dict) -> list[str]:
    return sorted({path for path, _ in strings(body) if re.search(r"\.\$(/|$)", path)})


def _transition(state: State, verdict: Verdict) -> None:
    body, kind = state.body, state.kind
    if kind in ("Choice", "Succeed", "Fail"):
        return
    if ("Next" in body) == ("End" in body):
        verdict.find(state.where, "has either Next or End, and exactly one of them")
    if "End" in body and body["End"] is not True:
        verdict.find(state.where, "its End is not true")


def _reachable(where: str, scope: Scope, verdict: Verdict) -> None:
    start = scope.body.get("StartAt", "")
    seen: set[str] = set()
    waiting = [(start, where)]
    while waiting:
        name, origin = waiting.pop()
        state = scope.state(name)
        if state is None:
            verdict.find(origin, f"leads to {name!r}, and there is no such state beside it")
        elif name not in seen:
            seen.add(name)
            waiting += [(to, state.where) for to in targets(state)]
    for state in scope.states:
        if state.name not in seen:
            verdict.find(state.where, "is reached from nowhere")
    if not any(state.kind in ("Succeed", "Fail") or state.body.get("End") is True for state in scope.states):
        verdict.find(where, "has no state that ends it")


def targets(state: State) -> list[str]:
    """Returns the possible successors of a state."""
    found = [state.body[key] for key in ("Next", "Default") if key in state.body]
    return found + [rule.get("Next") for key in ("Choices", "Catch") for rule in state.rules(key)]


def _numbers(state: State, bounds: dict, verdict: Verdict) -> None:
    body, where = state.body, state.where
    _number(where, body, "TimeoutSeconds", 1, bounds["seconds"], verdict)
    _number(where, body, "HeartbeatSeconds", 1, bounds["seconds"], verdict)
    _number(where, body, "Seconds", 0, bounds["seconds"], verdict)
    _number(where, body, "MaxConcurrency", 0, bounds["seconds"], verdict)
    timeout, heartbeat = body.get("TimeoutSeconds"), body.get("HeartbeatSeconds")
    if isinstance(timeout, int) and isinstance(heartbeat, int) and heartbeat >= timeout:
        verdict.find(where, "its HeartbeatSeconds is not less than its TimeoutSeconds")
    for index, retrier in enumerate(state.rules("Retry")):
        at = f"{where}/Retry/{index}"
        _number(at, retrier, "IntervalSeconds", 1, bounds["seconds"], verdict, constant=True)
        _number(at, retrier, "MaxAttempts", 0, bounds["max_attempts"], verdict, constant=True)
        _number(at, retrier, "BackoffRate", 1, bounds["seconds"], verdict, constant=True)
        _number(at, retrier, "MaxDelaySeconds", 1, bounds["max_delay_seconds"] - 1, verdict, constant=True)
        if retrier.get("MaxDelaySeconds", bounds["seconds"]) <= retrier.get("IntervalSeconds", 1):
            verdict.find(at, "its MaxDelaySeconds is not greater than its IntervalSeconds")
        if retrier.get("JitterStrategy", "NONE") not in ("FULL", "NONE"):
            verdict.find(at, "its JitterStrategy is neither FULL nor NONE")


def _number(where: str, body: dict, key: str, least: int, most: int, verdict: Verdict, constant: bool = False) -> None:
    value = body.get(key)
    if value is None or (isinstance(value, str) and value.startswith("{%") and not constant and ":" in where):
        return
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not (whole or (key == "BackoffRate" and isinstance(value, float))) or not least <= value <= most:
        verdict.find(where, f"its {key} is {value!r}, not a number from {least} to {most}")


def _map(state: State, bounds: dict, verdict: Verdict) -> None:
    config = state.body.get("ItemProcessor", {}).get("ProcessorConfig", {"Mode": "INLINE"})
    mode = config.get("Mode", "INLINE")
    if mode not in ("INLINE", "DISTRIBUTED"):
        verdict.find(state.where, f"its mode is {mode!r}")
    if (mode == "DISTRIBUTED") != ("ExecutionType" in config):
        verdict.find(state.where, "a distributed Map has an ExecutionType, and an inline one has none")
    if mode == "INLINE":
        for field in {
            "ItemReader",
            "ItemBatcher",
            "ResultWriter",
            "Label",
            "ToleratedFailurePercentage",
            "ToleratedFailureCount",
        } & set(state.body):
            verdict.find(state.where, f"has {field}, which only a distributed Map has")
    if len(state.body.get("Label", "")) > bounds["label_characters"]:
        verdict.find(state.where, f"its Label has more than {bounds['label_characters']} characters")
