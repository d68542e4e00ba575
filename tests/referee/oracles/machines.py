"""State machines: the rules that AWS applies at their creation, over every definition of statemachines/."""

import json
from collections.abc import Callable
from pathlib import Path

import yaml

from oracles.machine_rules import errors, expressions, history, installed, integrations, structure, variables, walk
from referee.context import Context
from referee.documents import load
from referee.models import Models
from referee.planting import replace
from referee.verdict import Verdict


def judge(context: Context) -> Verdict:
    """Judges each definition alone, and as the templates install it."""
    verdict, models = Verdict(), Models()
    rules = load(context.data / "states-language.yaml", "states-language.yaml").body
    definitions = context.machines()
    scopes = {definition.name: walk.scopes(definition) for definition in definitions}
    verdict.judged("definitions", len(definitions))
    found = {definition.name: expressions.read(scopes[definition.name], rules, verdict) for definition in definitions}
    expressions.analyse(context, [each for own in found.values() for each in own])
    for definition in definitions:
        own = scopes[definition.name]
        structure.judge(definition, own, rules, verdict)
        expressions.judge(found[definition.name], rules, verdict)
        variables.judge(own, found[definition.name], rules, verdict)
        errors.judge(own, rules, models, verdict)
        integrations.judge(own, rules, models, verdict)
        history.judge(definition, own, rules, verdict)
    machines = installed.read(context, definitions, verdict)
    installed.judge_calls(context, machines, scopes, verdict)
    _judge_as_installed(context, [each for each in machines if each.definition], rules, verdict)
    return verdict


def _judge_as_installed(context: Context, machines: list[installed.Installed], rules: dict, verdict: Verdict) -> None:
    """Judges a definition after the substitution: its size, and its structure by asl-validator."""
    texts = [each.text for each in machines]
    complaints = json.loads(context.node("structure", stdin=json.dumps([json.loads(text) for text in texts])))
    for each, text, lines in zip(machines, texts, complaints, strict=True):
        if len(text.encode()) > rules["bounds"]["definition_bytes"]:
            verdict.find(each.where, f"its definition has {len(text.encode())} bytes after the substitution")
        for line in lines:
            name = each.definition.name if each.definition else each.name
            verdict.find(each.where, f"asl-validator says of {name}: {line}")


def _machine(copy: Context, name: str) -> Path:
    return copy.root / "statemachines" / f"{name}.asl.yaml"


def _change(copy: Context, name: str, change: Callable[[dict], object]) -> None:
    """Changes a definition of the copy as data. JSON is YAML, too."""
    path = _machine(copy, name)
    body = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(body)
    path.write_text(json.dumps(body, indent=2), encoding="utf-8")


def _first(states: dict, kind: str) -> dict:
    return next(state for state in states.values() if state["Type"] == kind)


def _shadow(copy: Context) -> str:
    def change(body: dict) -> None:
        inner = _first(body["States"], "Map")["ItemProcessor"]["States"]
        next(iter(inner.values()))["Assign"] = {"input": "{% $states.input %}"}

    _change(copy, "bake-image", change)
    return "assigns $input, which an outer scope assigns too"


def _undefined(copy: Context) -> str:
    _change(copy, "promote-image", lambda body: _first(body["States"], "Task").update(Output="{% $missing.payload %}"))
    return "uses $missing, which nothing assigns"


def _too_early(copy: Context) -> str:
    def change(body: dict) -> None:
        body["States"][body["StartAt"]]["Arguments"]["Payload"]["promotion"] = "{% $promotion %}"

    _change(copy, "promote-image", change)
    return "uses $promotion, which has no value on every way"


def _expression_as_target(copy: Context) -> str:
    _change(copy, "deploy", lambda body: _first(body["States"], "Task").update(Next="{% $states.input.next %}"))
    return "is an expression where AWS evaluates none"


def _result_too_early(copy: Context) -> str:
    _change(
        copy,
        "deploy",
        lambda body: _first(body["States"], "Task")["Arguments"].update(Payload="{% $states.result.Payload %}"),
    )
    return "reads $states.result"


def _all_in_company(copy: Context) -> str:
    _change(
        copy,
        "teardown",
        lambda body: _first(body["States"], "Task")["Catch"][-1].update(ErrorEquals=["States.ALL", "Throttled"]),
    )
    return "names States.ALL, which stands alone"


def _invented_error(copy: Context) -> str:
    replace(copy.root / "statemachines" / "retries.yaml", "- StepFunctions.SfnException", "- States.TimedOut")
    return "names States.TimedOut"


def _unknown_function(copy: Context) -> str:
    _change(copy, "release", lambda body: _first(body["States"], "Task").update(Output="{% $eval('1') %}"))
    return "calls $eval"


def _unknown_resource(copy: Context) -> str:
    path = _machine(copy, "build-image")
    replace(path, ":states:::lambda:invoke", ":states:::lambda:invokeFunction")
    return "is no integration of Step Functions"


def _missing_substitution(copy: Context) -> str:
    _change(copy, "deploy", lambda body: body.update(Comment="${Missing}"))
    return "does not substitute ${Missing}"


def _long_name(copy: Context) -> str:
    def change(body: dict) -> None:
        body["States"]["x" * 81] = body["States"].pop(body["StartAt"])
        body["StartAt"] = "x" * 81

    _change(copy, "promote", change)
    return "its name has 81 characters"


def _reserved(copy: Context) -> str:
    _change(copy, "promote", lambda body: _first(body["States"], "Task").update(Assign={"states": 1}))
    return "assigns $states"


PLANTED = [
    ("a variable of an inner scope has the name of an outer one", _shadow),
    ("a variable that nothing assigns", _undefined),
    ("a variable that is assigned later", _too_early),
    ("the variable $states is assigned", _reserved),
    ("an expression in Next", _expression_as_target),
    ("$states.result before the call", _result_too_early),
    ("a function that Step Functions does not have", _unknown_function),
    ("States.ALL beside another name", _all_in_company),
    ("an error name that AWS does not have", _invented_error),
    ("a resource that Step Functions does not know", _unknown_resource),
    ("a placeholder that no template substitutes", _missing_substitution),
    ("a name that is too long", _long_name),
]
