"""Rules that forward to another account's event bus, and the policy that lets them.

ministack drops a target that is a bus in another account or region, and refuses a template with
AWS::Events::EventBusPolicy. Here such a target delivers when both sides agree, as on AWS: the role
of the target may put events on that bus, and the bus policy names the account. The event keeps its
original account, region, source and resources.
"""

import logging
from typing import Any

from ministack.core.iam_evaluator import (
    EvalContext,
    _gather_role_policies,
    evaluate,
    evaluate_resource_policy,
    evaluate_trust_policy,
)
from ministack.core.responses import get_account_id, get_region, new_uuid, request_scope
from ministack.services import eventbridge, iam
from ministack.services.cloudformation import provisioners

from overlay import patched
from overlay.shapes import Properties, Provisioned, Record

logger = logging.getLogger("overlay.event_forwarding")
_to_local_bus = patched.DISPATCH_TO_EVENT_BUS.current()
_invoke_target = patched.INVOKE_TARGET.current()


def install() -> None:
    """Replace the bus target and register the resource type."""
    patched.DISPATCH_TO_EVENT_BUS.replace(to_bus)
    patched.INVOKE_TARGET.replace(invoke_target)
    patched.add_resource_type(
        "AWS::Events::EventBusPolicy", {"create": create_policy, "update": update_policy, "delete": delete_policy}
    )


def invoke_target(target: Record, event: Record, rule: Record, view: Any = None) -> Any:
    """Let a cross-account bus target see the role it was given."""
    token = dict(rule)
    token["_TargetRoleArn"] = target.get("RoleArn", "")
    return _invoke_target(target, event, token, view)


def to_bus(spec: Any, event: Record, rule: Record, event_path: list[str], target_input_payload: Any = None) -> Any:
    """Deliver to a bus: here, or in another account and region if both sides allow it."""
    here = (get_account_id(), get_region())
    if (spec.account_id, spec.region) == here:
        return _to_local_bus(spec, event, rule, event_path, target_input_payload)
    refusal = _refusal(spec, here[0], rule.get("_TargetRoleArn", ""))
    if refusal:
        logger.warning("rule %s in %s does not forward to %s: %s", rule.get("Name"), here[0], spec, refusal)
        return None
    source_rule = f"{here[0]}:{here[1]}:{eventbridge._rule_key(rule['Name'], rule.get('EventBusName', 'default'))}"
    if source_rule in event_path:
        return None
    forwarded = {
        **event,
        "Account": event.get("Account") or here[0],
        "Region": event.get("Region") or here[1],
        "EventBusName": spec.resource.split("/", 1)[1],
        "_DispatchPath": [*event_path, source_rule],
    }
    if target_input_payload is not None:
        forwarded["Detail"] = target_input_payload
    with request_scope(spec.account_id, spec.region):
        eventbridge._dispatch_event(forwarded)
        eventbridge._archive_event({key: value for key, value in forwarded.items() if key != "_DispatchPath"})
    return None


def _refusal(spec: Any, source_account: str, role_arn: str) -> str:
    """Why the bus does not take events from this rule; empty when it does."""
    bus_arn, bus_name = str(spec), spec.resource.split("/", 1)[1]
    role_name = role_arn.rsplit("/", 1)[-1]
    sender = f"arn:aws:sts::{source_account}:assumed-role/{role_name}/events"
    context = EvalContext(
        principal_arn=sender,
        principal_type="AssumedRole",
        principal_account=source_account,
        action="events:PutEvents",
        resource_arn=bus_arn,
        region=spec.region,
    )
    role = iam._roles.get_scoped(source_account, None, role_name)
    if role is None:
        return f"its target's role {role_arn or '(none)'} does not exist"
    if not _trusts_events(role):
        return f"the role {role_arn} does not trust events.amazonaws.com"
    if evaluate(context, _gather_role_policies(role_name, source_account)).decision != "Allow":
        return f"the role {role_arn} may not events:PutEvents on {bus_arn}"
    with request_scope(spec.account_id, spec.region):
        if bus_name != "default" and bus_name not in eventbridge._event_buses:
            return "the bus does not exist"
        policy = eventbridge._event_bus_policies.get(bus_name)
    if evaluate_resource_policy(policy, context).decision != "Allow":
        return f"the policy of the bus does not allow account {source_account}"
    return ""


def _trusts_events(role: Record) -> bool:
    # The evaluator lets a root ARN stand for a service principal, so look for the service by name.
    document = role.get("AssumeRolePolicyDocument", "")
    named = "events.amazonaws.com" in str(document)
    return named and evaluate_trust_policy(document, "arn:aws:iam::000000000000:root")


def create_policy(logical_id: str, props: Properties, stack_name: str) -> Provisioned:
    """AWS::Events::EventBusPolicy: one statement on the policy of a bus of this account."""
    bus = props.get("EventBusName") or "default"
    if bus != "default" and bus not in eventbridge._event_buses:
        raise ValueError(f"Event bus {bus} does not exist.")
    statement_id = props.get("StatementId") or new_uuid()
    _put_statement(bus, _statement(props, bus, statement_id))
    return f"{bus}|{statement_id}", {}


def update_policy(physical_id: str, old_props: Properties, new_props: Properties, stack_name: str) -> Provisioned:
    """Replace the statement; another bus or statement id is another resource."""
    bus, statement_id = physical_id.split("|", 1)
    same = (new_props.get("EventBusName") or "default") == bus and new_props.get("StatementId") == statement_id
    if not same:
        created = create_policy(physical_id, new_props, stack_name)
        provisioners._delete_predecessor(delete_policy, physical_id, old_props)
        return created
    _put_statement(bus, _statement(new_props, bus, statement_id))
    return physical_id, {}


def delete_policy(physical_id: str, props: Properties) -> None:
    """Take the statement away; tolerates that it was never there."""
    bus, statement_id = physical_id.split("|", 1)
    eventbridge._remove_permission({"EventBusName": bus, "StatementId": statement_id})


def _put_statement(bus: str, statement: Record) -> None:
    policy = eventbridge._event_bus_policies.get(bus) or {"Version": "2012-10-17", "Statement": []}
    kept = [existing for existing in policy["Statement"] if existing.get("Sid") != statement["Sid"]]
    eventbridge._event_bus_policies[bus] = {**policy, "Statement": [*kept, statement]}


def _statement(props: Properties, bus: str, statement_id: str) -> Record:
    bus_arn = f"arn:aws:events:{get_region()}:{get_account_id()}:event-bus/{bus}"
    if props.get("Statement"):
        return {**props["Statement"], "Sid": statement_id}
    principal = props.get("Principal", "")
    condition = props.get("Condition")
    statement = {
        "Sid": statement_id,
        "Effect": "Allow",
        "Principal": principal if principal == "*" else {"AWS": f"arn:aws:iam::{principal}:root"},
        "Action": props.get("Action", "events:PutEvents"),
        "Resource": bus_arn,
    }
    if condition:
        statement["Condition"] = {condition["Type"]: {condition["Key"]: condition["Value"]}}
    return statement
