"""Checks the use of infra/'s statements: every role judged, every Allow used, every one with a call it denies."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from referee.context import Context
from referee.documents import Document
from referee.evaluator import Answer
from referee.identities import Identity
from referee.requests import Permission
from referee.verdict import Verdict


def matches(pattern: str, name: str) -> bool:
    """Returns true if a name matches a pattern with *."""
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), name) is not None


@dataclass(frozen=True)
class Statement:
    """An Allow statement of a template: its owner, its policy, its Sid or number, and its place."""

    owner: str
    policy: str
    sid: str
    place: str

    @property
    def label(self) -> str:
        """Returns the Sid; of a statement without one, its policy and its number."""
        return f"{self.policy}:{self.sid}" if self.sid.isdigit() else self.sid

    @property
    def name(self) -> str:
        return f"{self.owner}/{self.label}"

    def is_denied_past(self, table: dict) -> bool:
        """Returns true if the table of denied calls has one that goes just past this statement."""
        rows = [row for named, rows in table.items() if self.is_of(named) for row in rows]
        return any(self.label == row.get("past") for row in rows)

    def is_of(self, owner: str) -> bool:
        """Returns true if a name or pattern of a table means the owner, on one path at least."""
        return any(matches(owner, self.owner.replace("*", path)) for path in ("delivery", "promotion"))


@dataclass
class Used:
    """Records the statements that allowed a call."""

    statements: set[tuple[str, str, str]] = field(default_factory=set)
    owners: set[str] = field(default_factory=set)
    denied: dict = field(default_factory=dict)

    def note(self, identity: Identity, permission: Permission, answer: Answer) -> None:
        """Records the statements that allowed a call."""
        for one in answer.by:
            policy, _, statement = one.partition("/")
            owner = identity.policies[int(policy.partition("-")[2])]
            self.statements.add((owner.owner, owner.name, statement))
            self.owners.add(owner.owner)
        if permission.action == "sts:AssumeRole":
            self.owners.add(permission.resource.rpartition("/")[2])
            for statement in answer.own:
                self.statements.add((permission.resource.rpartition("/")[2], "trust", statement))

    def judge(self, context: Context, verdict: Verdict) -> None:
        """Finds roles that were not judged and Allow statements that no call used, unless the list gives a reason."""
        why = yaml.safe_load((context.data / "unused.yaml").read_text(encoding="utf-8")) or {}
        mentioned = set()
        for owner, place in _roles(context):
            verdict.judged("roles of infra/")
            if not any(matches(owner, name) for name in self.owners) and owner not in why:
                verdict.find(place, f"no call of the role {owner} was judged")
            mentioned |= {owner} & set(why)
        for statement in _statements(context):
            verdict.judged("Allow statements of infra/")
            used = any(self._is(statement, one) for one in self.statements)
            excused = next((name for name in (statement.name, statement.owner) if name in why), None)
            if used and statement.name in why:
                verdict.find(statement.place, f"{statement.name} was used: data/unused.yaml need not name it")
            if not used and not excused:
                verdict.find(
                    statement.place,
                    f"no call used the statement {statement.name}, and data/unused.yaml does not say why",
                )
            if statement.policy != "trust" and not statement.is_denied_past(self.denied):
                verdict.find(
                    statement.place, f"data/denied.yaml has no call that goes past the statement {statement.name}"
                )
            if excused:
                mentioned.add(excused)
                verdict.judged("statements that no call can use here, by data/unused.yaml")
        self._stale_rows(context, verdict)
        for name in sorted(set(why) - mentioned):
            verdict.find("data/unused.yaml", f"{name} is no role and no statement of infra/")

    def _stale_rows(self, context: Context, verdict: Verdict) -> None:
        """Finds rows of denied calls for a statement that no template has."""
        known = list(_statements(context))
        for owner, rows in self.denied.items():
            labels = {statement.label for statement in known if statement.is_of(owner)}
            for row in rows:
                if "past" in row and row["past"] not in labels:
                    verdict.find("data/denied.yaml", f"{owner}: no template has a statement {row['past']}")

    @staticmethod
    def _is(statement: Statement, used: tuple[str, str, str]) -> bool:
        owner, policy, sid = used
        return sid == statement.sid and matches(statement.policy, policy) and matches(statement.owner, owner)


def _roles(context: Context) -> Iterator[tuple[str, str]]:
    for document in context.templates():
        for logical, resource in document.body["Resources"].items():
            if resource["Type"] == "AWS::IAM::Role":
                yield (
                    _role_name(document, logical, resource),
                    f"{document.name}:{document.body['Resources'].line_of(logical)}",
                )


def _role_name(document: Document, logical: str, resource: dict) -> str:
    """Returns a role's name as a pattern; CloudFormation names a role after its stack where the template does not."""
    named = resource["Properties"].get("RoleName")
    if named is None:
        return f"*{document.path.parent.name}*-{logical}-*"
    return _pattern(named)


def _pattern(value: object) -> str:
    """Returns the text of a template as a pattern: every substituted value is a *."""
    if isinstance(value, dict):
        (name, argument), *_ = value.items()
        if name == "Fn::Sub":
            value = argument if isinstance(argument, str) else argument[0]
        else:
            return "*"
    return re.sub(r"\*+", "*", re.sub(r"\$\{[^}]+\}", "*", str(value)))


def _statements(context: Context) -> Iterator[Statement]:
    """Yields every Allow statement of identity policies and of trust policies in the templates."""
    for document in context.templates():
        for logical, resource in document.body["Resources"].items():
            place = f"{document.name}:{document.body['Resources'].line_of(logical)}"
            properties = resource.get("Properties", {})
            if resource["Type"] == "AWS::IAM::Role":
                owner = _role_name(document, logical, resource)
                yield from _of_document(owner, "trust", properties["AssumeRolePolicyDocument"], document, place)
                for policy in _flat(properties.get("Policies", [])):
                    yield from _of_document(
                        owner, _pattern(policy["PolicyName"]), policy["PolicyDocument"], document, place
                    )
            elif resource["Type"] in ("AWS::IAM::Policy", "AWS::IAM::RolePolicy"):
                for owner in _owners(document, properties.get("Roles") or [properties.get("RoleName")]):
                    yield from _of_document(
                        owner, _pattern(properties["PolicyName"]), properties["PolicyDocument"], document, place
                    )
            elif resource["Type"] == "AWS::IAM::ManagedPolicy" and isinstance(properties.get("ManagedPolicyName"), str):
                name = properties["ManagedPolicyName"]
                yield from _of_document(name, name, properties["PolicyDocument"], document, place)


def _owners(document: Document, roles: list) -> Iterator[str]:
    """Yields the names of the roles of a policy, as patterns, including those in branches of Fn::If."""
    for role in roles:
        if isinstance(role, dict) and "Fn::If" in role:
            yield from _owners(document, role["Fn::If"][1:])
        elif isinstance(role, dict) and role.get("Ref") in document.body["Resources"]:
            yield _role_name(document, role["Ref"], document.body["Resources"][role["Ref"]])
        elif role != {"Ref": "AWS::NoValue"}:
            yield _pattern(role)


def _of_document(owner: str, policy: str, body: dict, document: Document, place: str) -> Iterator[Statement]:
    for number, statement in enumerate(_flat(body["Statement"]), start=1):
        if statement["Effect"] == "Allow":
            line = statement.line_of("Sid") if hasattr(statement, "line_of") else None
            yield Statement(
                owner, policy, statement.get("Sid") or str(number), f"{document.name}:{line}" if line else place
            )


def _flat(entries: object) -> list:
    """Returns the entries of a list, including those in Fn::If; both branches of one entry have the same number."""
    found: list = []
    for entry in entries if isinstance(entries, list) else [entries]:
        if isinstance(entry, dict) and "Fn::If" in entry:
            found.extend(
                one
                for one in entry["Fn::If"][1:]
                if (isinstance(one, dict) and "Effect" in one) or "PolicyName" in (one or {})
            )
        else:
            found.append(entry)
    return found
