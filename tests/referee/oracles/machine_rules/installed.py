"""Installed state machines: the template that installs each definition, with the values of its placeholders."""

import re
from dataclasses import dataclass

from oracles.machine_rules.walk import Scope, State
from referee.context import Context
from referee.documents import Document
from referee.intrinsics import Resolver, variants
from referee.verdict import Verdict

_TYPE = "AWS::StepFunctions::StateMachine"
_PLACEHOLDER = re.compile(r"\$\{([^}]+)\}")


@dataclass
class Installed:
    """One state machine of one deployment of a template."""

    where: str
    name: str
    properties: dict
    definition: Document | None
    substitutions: dict[str, str]

    @property
    def text(self) -> str:
        """Returns the definition with the substitutions of CloudFormation."""
        assert self.definition, f"{self.where} has no definition"
        return _PLACEHOLDER.sub(lambda match: self.substitutions.get(match[1], match[0]), self.definition.text)


def read(context: Context, definitions: list[Document], verdict: Verdict) -> list[Installed]:
    """Returns every state machine of every template, and finds definitions and templates that do not match."""
    found: list[Installed] = []
    for template in context.templates():
        for resolver in variants(template):
            for name, resource in template.body["Resources"].items():
                if resource["Type"] == _TYPE:
                    found.append(_installed(resolver, name, resource, definitions, verdict))
    used = {installed.definition.name for installed in found if installed.definition}
    for definition in definitions:
        if definition.name not in used:
            verdict.find(definition.name, "no template installs it")
    verdict.judged("installed state machines", len(found))
    return found


def _installed(
    resolver: Resolver, name: str, resource: dict, definitions: list[Document], verdict: Verdict
) -> Installed:
    template = resolver.template
    where = f"{template.name}:{template.body['Resources'].line_of(name)} {name}"
    properties = resource["Properties"]
    definition = _definition(template, properties, definitions)
    substitutions = {
        key: str(resolver.value(value)) for key, value in properties.get("DefinitionSubstitutions", {}).items()
    }
    installed = Installed(
        where, str(resolver.value(properties.get("StateMachineName", ""))), properties, definition, substitutions
    )
    if definition is None:
        verdict.find(
            where,
            "its key names no file of statemachines/: the parameter's description says `S3 key of <file>.asl.json`",
        )
        return installed
    asked = set(_PLACEHOLDER.findall(definition.text))
    for missing in sorted(asked - set(substitutions)):
        verdict.find(where, f"does not substitute ${{{missing}}} of {definition.name}")
    for extra in sorted(set(substitutions) - asked):
        verdict.find(where, f"substitutes {extra}, which {definition.name} does not hold")
    if len(installed.name) > 80:
        verdict.find(where, f"its name {installed.name!r} has more than 80 characters")
    if properties.get("StateMachineType", "STANDARD") == "EXPRESS" and re.search(
        r"\.sync|\.waitForTaskToken", definition.text
    ):
        verdict.find(where, "is EXPRESS and waits for an end or a token, which only STANDARD can")
    return installed


def _definition(template: Document, properties: dict, definitions: list[Document]) -> Document | None:
    key = properties.get("DefinitionS3Location", {}).get("Key")
    parameter = key.get("Ref") if isinstance(key, dict) else None
    described = template.body.get("Parameters", {}).get(parameter, {}).get("Description", "")
    named = re.search(r"[\w-]+\.asl\.json", described)
    return next((d for d in definitions if named and d.path.name == named[0]), None)


def judge_calls(context: Context, installed: list[Installed], scopes: dict[str, list[Scope]], verdict: Verdict) -> None:
    """Finds states that call a function or machine of no template, or wait longer than their execution may run."""
    made = {
        "lambda": _names(context, "AWS::Lambda::Function", "FunctionName"),
        "states": _names(context, _TYPE, "StateMachineName"),
    }
    for each in installed:
        if each.definition is None:
            continue
        whole = each.definition.body.get("TimeoutSeconds")
        for scope in scopes[each.definition.name]:
            for state in scope.states:
                own = state.body.get("TimeoutSeconds")
                if whole and isinstance(own, int) and own > whole:
                    verdict.find(state.where, f"may take {own} s, and the whole execution {whole} s")
                _called(each, state, made, verdict)


def _called(each: Installed, state: State, made: dict[str, set[str]], verdict: Verdict) -> None:
    arguments = state.body.get("Arguments")
    arguments = arguments if isinstance(arguments, dict) else {}
    for key, service in (("FunctionName", "lambda"), ("StateMachineArn", "states")):
        if key in arguments:
            verdict.judged("calls")
            arn = _PLACEHOLDER.sub(lambda match: each.substitutions.get(match[1], match[0]), str(arguments[key]))
            if arn.rsplit(":", 1)[-1] not in made[service]:
                verdict.find(state.where, f"calls {arn} as {each.name}, and no template makes it")


def _names(context: Context, kind: str, key: str) -> set[str]:
    """Returns the names of all resources of a type."""
    return {
        str(resolver.value(resource["Properties"].get(key, "")))
        for template in context.templates()
        for resolver in variants(template)
        for resource in template.body["Resources"].values()
        if resource["Type"] == kind
    }
