"""Resources that fail once because a test says so.

A test names the next resource of a stack that fails to be created or imported. CloudFormation then rolls back as it
does for every other reason, so that each point of an installation can be made to fail.
"""

from typing import Any

from ministack.core.responses import get_account_id

from overlay import patched
from overlay.shapes import Properties, Provisioned, Record
from overlay.state import STATE

MESSAGE = 'Resource handler returned message: "A test lets it fail." (HandlerErrorCode: InternalFailure)'

_provision = patched.PROVISION_RESOURCE.current()
_adopt = patched.ADOPT_RESOURCE.current()


def install() -> None:
    """Look at every creation and import first."""
    patched.PROVISION_RESOURCE.replace(provision)
    patched.ADOPT_RESOURCE.replace(adopt)


def fail_next(account: str, stack: str, resource: str) -> None:
    """Let the next creation or import of one resource fail."""
    STATE.failing_resources.add((account, stack, resource))


def disarm() -> int:
    """Forget what has not failed yet; returns how many."""
    count = len(STATE.failing_resources)
    STATE.failing_resources.clear()
    return count


def provision(resource_type: str, logical_id: str, props: Properties, stack_name: str) -> Provisioned:
    """Create the resource, unless it is its turn to fail."""
    _strike(stack_name, logical_id)
    return _provision(resource_type, logical_id, props, stack_name)


def adopt(stack_id: str, stack_name: str, logical_id: str, resource_type: str, identifier: Record) -> Any:
    """Import the resource, unless it is its turn to fail."""
    _strike(stack_name, logical_id)
    return _adopt(stack_id, stack_name, logical_id, resource_type, identifier)


def _strike(stack_name: str, logical_id: str) -> None:
    key = (get_account_id(), stack_name, logical_id)
    if key in STATE.failing_resources:
        STATE.failing_resources.discard(key)
        raise ValueError(MESSAGE)
