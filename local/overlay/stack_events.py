"""CloudFormation's "Stack Status Change" events, for root and nested stacks.

ministack records stack events for DescribeStackEvents but publishes none. Every status change of a
stack passes through ``_add_event`` with the stack's own logical id; that is where we publish, with
the client request token of the operation that is running. The status UPDATE_COMPLETE_CLEANUP_IN_PROGRESS,
which AWS shows before every UPDATE_COMPLETE and ministack leaves out, is added.
"""

import sys

from ministack.services import cloudformation
from ministack.services.cloudformation import stacks

from overlay import events, patched

_STACK = "AWS::CloudFormation::Stack"
_original = patched.ADD_EVENT.current()


def install() -> None:
    """Replace the event recorder in every CloudFormation module that imported it by name."""
    importers = [
        name
        for name, module in sys.modules.items()
        if name.startswith("ministack.services.cloudformation") and getattr(module, "_add_event", None) is _original
    ]
    patched.ADD_EVENT.replace(record, *importers)


def record(
    stack_id: str,
    stack_name: str,
    logical_id: str,
    resource_type: str,
    status: str,
    reason: str = "",
    physical_id: str = "",
    detailed_status: str = "",
) -> None:
    """Record a stack event as ministack does, and publish it when it is about the stack itself."""
    about_itself = resource_type == _STACK and logical_id == stack_name and physical_id in ("", stack_id)
    if about_itself and status == "UPDATE_COMPLETE":
        _record_one(stack_id, stack_name, logical_id, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "", "")
    if about_itself and status == "ROLLBACK_IN_PROGRESS" and reason == "Rollback requested":
        reason = _rollback_reason(stack_id)
    if about_itself:
        _record_one(stack_id, stack_name, logical_id, status, reason, detailed_status)
    else:
        _original(stack_id, stack_name, logical_id, resource_type, status, reason, physical_id, detailed_status)


def _rollback_reason(stack_id: str) -> str:
    """AWS names what failed; ministack does so for updates only."""
    failed = [
        event["LogicalResourceId"]
        for event in cloudformation._stack_events.get(stack_id, [])
        if event["ResourceStatus"] == "CREATE_FAILED"
    ]
    named = f"The following resource(s) failed to create: [{', '.join(failed)}]. " if failed else ""
    return f"{named}Rollback requested by user."


def _record_one(
    stack_id: str, stack_name: str, logical_id: str, status: str, reason: str, detailed_status: str
) -> None:
    _original(stack_id, stack_name, logical_id, _STACK, status, reason, stack_id, detailed_status)
    _publish(stack_id, status, reason)


def _publish(stack_id: str, status: str, reason: str) -> None:
    # The ARN, not the request, says where: a nested stack or a timer has no request of its own.
    region, account = stack_id.split(":")[3:5]
    events.publish(
        account,
        region,
        "aws.cloudformation",
        "CloudFormation Stack Status Change",
        {
            "stack-id": stack_id,
            "status-details": {"status": status, "status-reason": reason},
            "client-request-token": stacks.CLIENT_REQUEST_TOKEN.get(),
        },
        [stack_id],
    )
