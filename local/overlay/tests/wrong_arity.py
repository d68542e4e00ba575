"""Patches of the wrong arity: the type checker must refuse each.

Each line that puts one in place names the error. ``warn_unused_ignores`` turns the line into an error of its own when
the type checker finds nothing there, so that the check cannot silently end. Only ``test_contracts`` calls them.
"""

from collections.abc import Callable
from typing import Any

from overlay import patched
from overlay.shapes import Params, Properties, Provisioned, Record, Reply


def update_without_logical_id(
    physical_id: str, old_props: Properties, new_props: Properties, stack_name: str
) -> Provisioned:
    """An update of a function as it once was: ministack also gives the logical id."""
    return physical_id, {}


def delete_with_stack(physical_id: str, props: Properties, stack_name: str) -> None:
    """A deletion that wants the stack, which ministack does not give."""


def action_with_request_id(params: Params, request_id: str) -> Reply:
    """An EC2 action without the wrapper that makes it one."""
    return 200, {}, b""


def start_of(body: Record) -> Reply:
    """A StartBuild whose parameter has another name than ministack calls it by."""
    return 200, {}, b""


def put_in_place() -> None:
    """Replaces a function by each of them; never called."""
    patched.UPDATE_FUNCTION.replace(update_without_logical_id)  # type: ignore[arg-type]
    patched.DELETE_ROLE.replace(delete_with_stack)  # type: ignore[arg-type]
    patched.EC2_ACTIONS.replace("CopyImage", action_with_request_id)  # type: ignore[arg-type]
    patched.START_BUILD.replace(start_of)  # type: ignore[arg-type]
    patched.add_resource_type(
        "AWS::EC2::Volume",
        {
            "create": lambda logical_id, props: (logical_id, props),  # type: ignore[typeddict-item]
            "update": update_without_logical_id,
            "delete": delete_with_stack,  # type: ignore[typeddict-item]
        },
    )


PLANTED: tuple[tuple[Callable[..., Any], tuple[Any, ...]], ...] = (
    (update_without_logical_id, ("id", {}, {}, "stack", "Function")),
    (delete_with_stack, ("id", {})),
    (action_with_request_id, ({},)),
)
"""Patches, each with arguments that ministack gives."""
