"""Nested stacks that fail and disappear the way AWS's do.

ministack deploys a nested stack inline: a failure leaves the child without a final status and its
resources behind, and deleting it records no event and swallows what could not be deleted. Here a
failed child ends in CREATE_FAILED or UPDATE_FAILED with AWS's reason and, when it was being created,
is deleted as the parent's rollback would; a deletion is a real stack deletion.
"""

import asyncio

from ministack.services import cloudformation
from ministack.services.cloudformation import provisioners, stacks

from overlay import patched
from overlay.shapes import Properties, Provisioned, Record

_deploy = patched.DEPLOY_NESTED_STACK.current()


def install() -> None:
    """Route the resource type's handlers through this module."""
    patched.DEPLOY_NESTED_STACK.replace(deploy)
    patched.DELETE_NESTED_STACK.replace(delete)


def deploy(
    logical_id: str,
    props: Properties,
    parent_stack_name: str,
    *,
    previous_physical_id: str | None = None,
    previous_props: Properties | None = None,
) -> Provisioned:
    """Deploy the child; a failure is the parent resource's failure, in AWS's words."""
    before = set(cloudformation._stacks.keys())
    try:
        return _deploy(
            logical_id,
            props,
            parent_stack_name,
            previous_physical_id=previous_physical_id,
            previous_props=previous_props,
        )
    except Exception as error:
        child = _child(before, previous_physical_id)
        if child is None or not child["StackStatus"].endswith("_FAILED"):
            raise  # It failed before the child existed: a bad URL, a missing capability.
        raise ValueError(_fail(child, error, updating=previous_physical_id is not None)) from error


def _child(before: set[str], previous_name: str | None) -> Record | None:
    if previous_name is not None:
        return cloudformation._stacks.get(previous_name)
    created = [name for name in cloudformation._stacks if name not in before]
    return cloudformation._stacks.get(created[0]) if len(created) == 1 else None


def _fail(child: Record, error: Exception, updating: bool) -> str:
    verb, past = ("update", "updated") if updating else ("create", "created")
    failed = _failed_resources(child["StackId"], verb)
    reason = f"The following resource(s) failed to {verb}: [{', '.join(failed)}]. " if failed else str(error)
    child["StackStatusReason"] = reason
    stacks._add_event(
        child["StackId"],
        child["StackName"],
        child["StackName"],
        "AWS::CloudFormation::Stack",
        child["StackStatus"],
        reason,
        child["StackId"],
    )
    if not updating:
        asyncio.run(stacks._delete_stack_async(child["StackName"], child["StackId"]))
    return f"Embedded stack {child['StackId']} was not successfully {past}: {reason}"


def _failed_resources(stack_id: str, verb: str) -> list[str]:
    recorded = cloudformation._stack_events.get(stack_id, [])
    return [
        event["LogicalResourceId"]
        for event in recorded
        if event["ResourceStatus"] == f"{verb.upper()}_FAILED" and event["ResourceType"] != "AWS::CloudFormation::Stack"
    ]


def delete(physical_id: str, props: Properties) -> None:
    """Delete the child as a stack of its own; what it cannot delete fails the parent's resource."""
    name = provisioners._nested_stack_lookup_name(physical_id)
    child = cloudformation._stacks.get(name)
    if child is None or child["StackStatus"] == "DELETE_COMPLETE":
        return
    # We are on a worker thread (ministack runs nested stacks there), so a loop of our own is ours alone.
    asyncio.run(stacks._delete_stack_async(name, child["StackId"]))
    if child["StackStatus"] != "DELETE_COMPLETE":
        raise ValueError(
            f"Embedded stack {child['StackId']} was not successfully deleted: {child.get('StackStatusReason', '')}"
        )
