"""Resources that fail once because a test says so.

A test names the next resource of a stack that fails to be created or imported. CloudFormation then rolls back as it
does for every other reason, so that each point of an installation can be made to fail.
"""

from typing import Any

from ministack.core.responses import get_account_id
from ministack.services.cloudformation import stacks

from overlay.shapes import Properties, Provisioned

MESSAGE = 'Resource handler returned message: "A test lets it fail." (HandlerErrorCode: InternalFailure)'

_provision = stacks._provision_resource
_adopt = stacks._adopt_resource
_armed: set[tuple[str, str, str]] = set()


def install() -> None:
    """Look at every creation and import first."""
    stacks._provision_resource = provision
    stacks._adopt_resource = adopt


def fail_next(account: str, stack: str, resource: str) -> None:
    """Let the next creation or import of one resource fail."""
    _armed.add((account, stack, resource))


def disarm() -> int:
    """Forget what has not failed yet; returns how many."""
    count = len(_armed)
    _armed.clear()
    return count


def provision(resource_type: str, logical_id: str, props: Properties, stack_name: str, *more: Any) -> Provisioned:
    """Create the resource, unless it is its turn to fail."""
    _strike(stack_name, logical_id)
    return _provision(resource_type, logical_id, props, stack_name, *more)


def adopt(stack_id: str, stack_name: str, logical_id: str, *more: Any) -> Any:
    """Import the resource, unless it is its turn to fail."""
    _strike(stack_name, logical_id)
    return _adopt(stack_id, stack_name, logical_id, *more)


def _strike(stack_name: str, logical_id: str) -> None:
    key = (get_account_id(), stack_name, logical_id)
    if key in _armed:
        _armed.discard(key)
        raise ValueError(MESSAGE)
