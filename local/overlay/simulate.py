"""SimulatePrincipalPolicy as AWS answers it, by ministack's own evaluator.

ministack judges the first resource only, takes a role for a user, and leaves out the permissions boundary, the values
that the caller gives to condition keys, and the keys that a policy asks for and nobody gave.
"""

from collections.abc import Iterable
from typing import TypeAlias
from xml.sax.saxutils import escape

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import iam

from overlay import patched
from overlay.shapes import Params, Record, Reply

Statements: TypeAlias = list[list[iam_evaluator.ParsedStatement]]
"""The statements of each policy."""

_DECISIONS = {"Allow": "allowed", "Deny": "explicitDeny"}

_KNOWN_KEYS = {
    "aws:currenttime",
    "aws:epochtime",
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principaltype",
}
"""The condition keys that the simulation itself has a value for."""


def install() -> None:
    """Replace the operation."""
    patched.SIMULATE.replace(simulate)
    patched.IAM_ACTIONS.replace("SimulatePrincipalPolicy", simulate)


def simulate(params: Params) -> Reply:
    """Answer for every action on every resource."""
    source = iam._p(params, "PolicySourceArn")
    kind, _, name = source.split(":")[-1].partition("/")
    account = get_account_id()
    name = name.rpartition("/")[2]
    if kind != "role":
        return iam._error(400, "InvalidInput", f"Invalid Entity Arn: {source} is no role", ns="iam")
    if iam._roles.get_scoped(account, None, name) is None:
        return iam._error(404, "NoSuchEntity", f"The role with ARN {source} cannot be found.", ns="iam")
    policies = iam_evaluator._gather_role_policies(name, account)
    limits = iam_evaluator._permissions_boundary(iam._roles, name, account)
    resources = _members(params, "ResourceArns.member") or ["*"]
    context = _context(params)
    results = "".join(
        _result(_judge(action, resource, source, account, context, policies, limits) for resource in resources)
        for action in _members(params, "ActionNames.member")
    )
    return iam._xml(
        200,
        "SimulatePrincipalPolicyResponse",
        "<SimulatePrincipalPolicyResult>"
        f"<EvaluationResults>{results}</EvaluationResults><IsTruncated>false</IsTruncated>"
        "</SimulatePrincipalPolicyResult>",
        ns="iam",
    )


def _judge(
    action: str,
    resource: str,
    source: str,
    account: str,
    context: Record,
    policies: Statements,
    limits: list[Statements],
) -> Record:
    """The decision about one action on one resource."""
    asked = iam_evaluator.EvalContext(
        principal_arn=source,
        principal_type="AssumedRole",
        principal_account=account,
        action=action,
        resource_arn=resource,
        region=get_region(),
        service_context=context,
    )
    decision = iam_evaluator.evaluate(asked, policies, *limits).decision
    boundary = [iam_evaluator.evaluate(asked, limit).decision == "Allow" for limit in limits]
    statements = [one for layer in (policies, *limits) for document in layer for one in document]
    missing = sorted({key for one in statements if _applies(one, asked) for key in _unknown(one, context)})
    return {
        "action": action,
        "resource": resource,
        "decision": _DECISIONS.get(decision, "implicitDeny"),
        "missing": missing,
        "boundary": all(boundary) if boundary else None,
    }


def _applies(statement: iam_evaluator.ParsedStatement, asked: iam_evaluator.EvalContext) -> bool:
    """Whether a statement speaks of the action and the resource, whatever its conditions."""
    return iam_evaluator._action_matches(
        asked.action, statement.actions, statement.not_actions
    ) and iam_evaluator._resource_matches(asked.resource_arn, statement.resources, statement.not_resources)


def _unknown(statement: iam_evaluator.ParsedStatement, context: Record) -> set[str]:
    """The condition keys of a statement that nobody gave a value for."""
    keys = {key for values in (statement.conditions or {}).values() if isinstance(values, dict) for key in values}
    return {key for key in keys if key.lower() not in context and key.lower() not in _KNOWN_KEYS}


def _result(judged: Iterable[Record]) -> str:
    """The element of one action: its own decision is that of its first resource that is not allowed."""
    judged = list(judged)
    whole = next((one for one in judged if one["decision"] != "allowed"), judged[0])
    specific = "".join(
        f"<member><EvalResourceName>{escape(one['resource'])}</EvalResourceName>"
        f"<EvalResourceDecision>{one['decision']}</EvalResourceDecision>"
        f"<MatchedStatements></MatchedStatements>{_missing(one)}{_boundary(one)}</member>"
        for one in judged
        if one["resource"] != "*"
    )
    # AWS lists the keys with the resources where resources are named.
    missing = "<MissingContextValues></MissingContextValues>" if specific else _missing(whole)
    return (
        f"<member><EvalActionName>{escape(whole['action'])}</EvalActionName>"
        f"<EvalResourceName>{escape(whole['resource'])}</EvalResourceName>"
        f"<EvalDecision>{whole['decision']}</EvalDecision><MatchedStatements></MatchedStatements>"
        f"{missing}{_boundary(whole)}<ResourceSpecificResults>{specific}</ResourceSpecificResults></member>"
    )


def _missing(one: Record) -> str:
    keys = "".join(f"<member>{escape(key)}</member>" for key in one["missing"])
    return f"<MissingContextValues>{keys}</MissingContextValues>"


def _boundary(one: Record) -> str:
    if one["boundary"] is None:
        return ""
    allowed = str(one["boundary"]).lower()
    return (
        "<PermissionsBoundaryDecisionDetail>"
        f"<AllowedByPermissionsBoundary>{allowed}</AllowedByPermissionsBoundary>"
        "</PermissionsBoundaryDecisionDetail>"
    )


def _context(params: Params) -> Record:
    """The values that the caller gives, by key in lower case."""
    context = {}
    index = 1
    while name := iam._p(params, f"ContextEntries.member.{index}.ContextKeyName"):
        values = _members(params, f"ContextEntries.member.{index}.ContextKeyValues.member")
        context[name.lower()] = values if len(values) > 1 else "".join(values)
        index += 1
    return context


def _members(params: Params, prefix: str) -> list[str]:
    found: list[str] = []
    while value := iam._p(params, f"{prefix}.{len(found) + 1}"):
        found.append(value)
    return found
