"""Asks the policy evaluator for permissions: each different question once."""

import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from referee.context import Context
from referee.identities import Identity
from referee.requests import Permission


@dataclass
class Answer:
    """The result of a question, the statements that allowed it, and the remarks of the evaluator."""

    result: str
    by: list[str] = field(default_factory=list)
    own: list[str] = field(default_factory=list)
    type: str | None = None
    why: str | None = None


@dataclass
class Questions:
    """Collects questions, and returns the answer to every caller."""

    asked: dict[str, list[Callable[[Answer], None]]] = field(default_factory=dict)
    lines: dict[str, dict] = field(default_factory=dict)
    sets: dict[str, dict] = field(default_factory=dict)
    number: int = 0

    def ask(self, identity: Identity, permission: Permission, own: dict | None, then: Callable[[Answer], None]) -> None:
        """Adds a question; `then` is called with its answer."""
        self.number += 1
        policies = {
            "identity": [policy.document for policy in identity.policies],
            "boundaries": identity.boundaries,
            **({"session": identity.session} if identity.session else {}),
        }
        policies = _with_owners(policies)
        name = _digest(policies)
        self.sets[name] = policies
        line = {
            "with": name,
            "principal": identity.principal,
            "action": permission.action,
            "resource": _with_owners(permission.resource),
            "account": permission.account,
            "context": {**_everywhere(identity, permission), **identity.context, **permission.context},
            **({"resource_policy": own} if own else {}),
        }
        # The name and the number of a session distinguish callers of one role, and no policy here reads them.
        same = {
            **line,
            "principal": identity.principal.rpartition("/")[0]
            if ":assumed-role/" in identity.principal
            else identity.principal,
        }
        same["context"] = {
            key: value for key, value in line["context"].items() if key not in ("aws:userid", "sts:RoleSessionName")
        }
        key = _digest(same)
        self.lines.setdefault(key, line)
        self.asked.setdefault(key, []).append(then)

    def answer(self, context: Context) -> int:
        """Asks the evaluator, delivers the answers, and returns the number of different questions."""
        answers = _known(context)
        new = [key for key in self.lines if key not in answers]
        lines = [{"define": name, **documents} for name, documents in self.sets.items()] + [
            self.lines[key] for key in new
        ]
        printed = context.node("evaluate", stdin="\n".join(json.dumps(line) for line in lines)).splitlines()
        if len(printed) != len(new):
            raise RuntimeError(f"the evaluator answered {len(printed)} of {len(new)} questions")
        answers.update(zip(new, printed, strict=True))
        _remember(context, {key: answers[key] for key in new})
        for key in self.lines:
            for then in self.asked[key]:
                then(Answer(**json.loads(answers[key])))
        return len(self.lines)


def _known(context: Context) -> dict[str, str]:
    """Returns the answers that other judges of this run got. The key of a question has its policies in it."""
    if not context.answers:
        return {}
    known: dict[str, str] = {}
    for path in context.answers.glob("*.json"):
        known.update(json.loads(path.read_text(encoding="utf-8")))
    return known


def _remember(context: Context, answers: dict[str, str]) -> None:
    if context.answers and answers:
        path = context.answers / f"{_digest(sorted(answers))}-{os.getpid()}"
        path.write_text(json.dumps(answers), encoding="utf-8")
        path.rename(path.with_suffix(".json"))


def _everywhere(identity: Identity, permission: Permission) -> dict:
    """Returns the context that every request has."""
    region = permission.resource.split(":")[3] if permission.resource.startswith("arn:") else ""
    context = {
        "aws:ResourceAccount": permission.account,
        "aws:SecureTransport": "true",
        "aws:ViaAWSService": "true" if "aws:CalledVia" in permission.context else "false",
        **({"aws:RequestedRegion": region} if region else {}),
    }
    if identity.account:
        context["aws:PrincipalAccount"] = identity.account
        context["aws:PrincipalType"] = "AssumedRole" if ":assumed-role/" in identity.principal else "User"
    return context


def _with_owners(value: Any) -> Any:
    """Inserts `aws` as the account of public parameters and documents, because the evaluator needs one."""
    return json.loads(re.sub(r"(arn:[^:\"]*:ssm:[^:\"]*)::(parameter|document)", r"\1:aws:\2", json.dumps(value)))


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:24]
