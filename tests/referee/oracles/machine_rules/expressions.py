"""Expressions: only in fields that AWS evaluates, in its version of JSONata, and only about existing values."""

import json
from dataclasses import dataclass

from oracles.machine_rules.walk import Scope, State, is_expression, strings
from referee.context import Context
from referee.verdict import Verdict


@dataclass(eq=False)
class Expression:
    """One expression: its place, its text, and its references."""

    state: State
    path: str
    text: str
    refers: dict

    @property
    def where(self) -> str:
        """Returns the place as a finding names it."""
        return f"{self.state.where}{self.path}"


def read(scopes: list[Scope], rules: dict, verdict: Verdict) -> list[Expression]:
    """Returns each expression of the states, and finds those in fields that allow none."""
    found = []
    for scope in scopes:
        for state in scope.states:
            for path, text in strings(state.body):
                _judge_form(state, path, text, rules, verdict)
                if is_expression(text):
                    found.append(Expression(state, path, text[2:-2].strip(), {}))
    verdict.judged("expressions", len(found))
    return found


def analyse(context: Context, expressions: list[Expression]) -> None:
    """Reads the references of each expression with JSONata's own parser."""
    analysed = json.loads(context.node("expressions", stdin=json.dumps([each.text for each in expressions])))
    for expression, refers in zip(expressions, analysed, strict=True):
        expression.refers = refers


def judge(expressions: list[Expression], rules: dict, verdict: Verdict) -> None:
    """Finds what AWS rejects in an expression, except for variables."""
    for each in expressions:
        if "error" in each.refers:
            verdict.find(each.where, f"is no JSONata: {each.refers['error']}")
            continue
        for name in set(each.refers["functions"]) - set(rules["functions"]):
            verdict.find(each.where, f"calls ${name}, which JSONata 2.0.6 in Step Functions does not have")
        for name in each.refers["unqualified"]:
            verdict.find(
                each.where, f"names {name!r} without a variable: outside a path there is no input to look it up in"
            )
        if each.refers["context"]:
            verdict.find(each.where, "uses $, $$ or * where there is no context item; $states.input is the input")
        for part in each.refers["states"]:
            _judge_part(each, part, rules, verdict)


def _judge_form(state: State, path: str, text: str, rules: dict, verdict: Verdict) -> None:
    if ("{%" in text or "%}" in text) and not is_expression(text):
        verdict.find(
            f"{state.where}{path}", "an expression begins with {% and ends with %}, and nothing stands around it"
        )
    if is_expression(text) and not _may_stand(state, path, rules):
        verdict.find(f"{state.where}{path}", "is an expression where AWS evaluates none")


def _may_stand(state: State, path: str, rules: dict) -> bool:
    first, *rest = path.strip("/").split("/")
    rule_of = {"Choices": "choice_rule", "Catch": "catcher", "Retry": "retrier"}.get(first)
    if rule_of:
        return len(rest) > 1 and rest[1] in rules[rule_of]["expressions"]
    if first == "ItemReader" or first == "ResultWriter":
        return rest[0] in ("Arguments", "ReaderConfig") if rest else False
    return first in rules["states"].get(state.kind, {}).get("expressions", [])


def _judge_part(each: Expression, part: str, rules: dict, verdict: Verdict) -> None:
    """Judges one use of `$states`, such as `result.Payload`."""
    first, *rest = part.split(".") if part else [""]
    top, *deeper = each.path.strip("/").split("/")
    if first and first not in rules["states_variable"]:
        verdict.find(each.where, f"reads $states.{first}, which does not exist")
    after = top in ("Assign", "Output") and each.state.kind in ("Task", "Map", "Parallel")
    if first == "result" and not after:
        verdict.find(
            each.where, "reads $states.result, which exists in Assign and Output of Task, Map and Parallel only"
        )
    if first == "errorOutput" and not (top == "Catch" and deeper[1] in ("Assign", "Output")):
        verdict.find(each.where, "reads $states.errorOutput, which exists in Assign and Output of a catcher only")
    if first == "context":
        _judge_context(each, rest, top, verdict)


# https://docs.aws.amazon.com/step-functions/latest/dg/input-output-contextobject.html
_CONTEXT = {
    "Execution": {"Id", "Input", "Name", "RoleArn", "StartTime", "RedriveCount", "RedriveTime"},
    "State": {"EnteredTime", "Name", "RetryCount"},
    "StateMachine": {"Id", "Name"},
    "Task": {"Token"},
    "Map": {"Item"},
}


def _judge_context(each: Expression, rest: list[str], top: str, verdict: Verdict) -> None:
    if not rest:
        return
    object_, *fields = rest
    if object_ not in _CONTEXT or (fields and fields[0] not in _CONTEXT[object_]):
        verdict.find(each.where, f"reads $states.context.{'.'.join(rest)}, which the context object does not have")
    if object_ == "Task" and not (top == "Arguments" and ".waitForTaskToken" in str(each.state.body.get("Resource"))):
        verdict.find(each.where, "reads a task token outside the Arguments of a state that waits for one")
    if object_ == "Map" and not (each.state.scope.outer or top == "ItemSelector"):
        verdict.find(each.where, "reads $states.context.Map outside a Map")
