"""Judges the policies that `lockstep permissions` writes.

The command runs over twenty templates that are modelled on public ones (data/templates). Its policies must allow every
call that the schemas require for the template, and name no action for a property that the template does not set. Its
output for infra/log-stack must equal the files there.
"""

import gzip
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from oracles.resources import ask, built, component_name, documents_of
from permissions import output as permissions
from permissions import requirements
from permissions.stack import Stack
from referee import tools
from referee.context import Context
from referee.documents import Document, load
from referee.planting import replace
from referee.verdict import Verdict

ACCOUNT = "222222222222"
# Lockstep tags every stack; the tags themselves do not matter here.
_TAGS = {"environment": "production", "lockstep:component": "example"}


def judge(context: Context) -> Verdict:
    """Runs the command over each template and compares its policies with what the schemas require."""
    verdict = Verdict()
    binary = lockstep()
    if binary is None:
        verdict.find("lockstep", "is not built: cargo build -p lockstep-cli --bin lockstep")
        return verdict
    table = json.loads(gzip.decompress(built(context, permissions)[0]))
    requests = []
    for folder in sorted((context.data / "templates").iterdir()):
        document = load(folder / "template.yaml", context.relative(folder / "template.yaml"))
        stack = Stack(f"production-{component_name(folder)}", ACCOUNT, document, {})
        policies = _permissions(binary, folder, verdict)
        verdict.judged("templates")
        if not policies:
            continue
        needs, unknown = requirements.needs_of(stack, table, _TAGS)
        verdict.judged("resources", len(stack.resources))
        requests += [(document, (folder.name,), policies, need, stack) for need in needs]
        _too_much(verdict, document, policies, stack, table, {need.action for need in needs})
        for gap in unknown:
            verdict.note(f"{folder.name}: {gap.what}")
    ask(context, verdict, requests)
    return verdict


def lockstep() -> Path | None:
    """Returns the command that was built, or None."""
    built = tools.build_directory() / "debug" / "lockstep"
    return built if built.exists() else None


def _permissions(binary: Path, folder: Path, verdict: Verdict) -> list[dict]:
    """Returns the policies that the command writes for a component."""
    status, printed, said = _written(binary, folder, tuple(path.read_bytes() for path in sorted(folder.rglob("*.*"))))
    if status != 0:
        verdict.find(folder.name, f"lockstep permissions ends with {status}: {said.strip()[-400:]}")
        return []
    return documents_of(json.loads(printed)["policies"], folder)


_WRITTEN: dict[tuple, tuple[int, str, str]] = {}


def _written(binary: Path, folder: Path, content: tuple) -> tuple[int, str, str]:
    """Returns the result of the command for a component, run once for the same content."""
    if content not in _WRITTEN:
        done = subprocess.run([binary, "--json", "permissions", folder], capture_output=True, text=True, check=False)
        _WRITTEN[content] = (done.returncode, done.stdout, done.stderr)
    return _WRITTEN[content]


def _too_much(
    verdict: Verdict, document: Document, policies: list[dict], stack: Stack, table: dict, needed: set[str]
) -> None:
    """Finds actions in the policies that no resource of the template can need."""
    possible = needed | _possible(document, stack, table)
    for policy in policies:
        for statement in policy["Statement"]:
            for action in statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]:
                verdict.judged("actions")
                if action not in possible:
                    where = f"{document.name} {statement['Sid']}"
                    verdict.find(where, f"lists {action}, which no resource of the template needs as it is set")


def _possible(document: Document, stack: Stack, table: dict) -> set[str]:
    """Returns the possible further needs of the template: unmapped actions, and references."""
    found = set()
    for resource in stack.resources.values():
        kind = requirements.kind_of(resource)
        if kind == "AWS::CloudFormation::CustomResource":
            # A function or a topic makes it: a parameter may name either.
            found.add("sns:Publish")
        entry = table["types"].get(kind, {})
        found.update(action for actions in entry.get("unmapped", {}).values() for action in actions)
    for kind, actions in table["references"].items():
        if f"{{{{resolve:{kind}:" in document.text:
            found.update(actions)
    return found


def _row(old: str, new: str, named: str) -> Callable[[Context], str]:
    """Returns a mistake: the output of the command no longer follows from the data file."""

    def plant(copy: Context) -> str:
        replace(copy.data / "permissions.yaml", old, new)
        return named

    return plant


_CONCURRENCY = "[lambda:PutFunctionConcurrency, lambda:DeleteFunctionConcurrency]\n        properties: "

PLANTED = [
    (
        "the command lacks a permission that a property needs",
        _row(
            f"{_CONCURRENCY}[/ReservedConcurrentExecutions]", f"{_CONCURRENCY}[/Role]", "lambda:PutFunctionConcurrency"
        ),
    ),
    (
        "the command lists a permission for a property that is not set",
        _row(
            "[/PointInTimeRecoverySpecification]",
            "[/ImportSourceSpecification]",
            "lists dynamodb:UpdateContinuousBackups",
        ),
    ),
    (
        "the command names another resource than AWS authorizes on",
        _row("parametergroup:${/CacheParameterGroupName}", "usergroup:${/CacheParameterGroupName}", "usergroup"),
    ),
    (
        "the command does not know what a role is passed to",
        _row("AWS::Lambda: [lambda.amazonaws.com]", "AWS::Lambda: [edgelambda.amazonaws.com]", "iam:PassRole"),
    ),
]
