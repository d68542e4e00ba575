"""Actions on change sets of a stack that is named by its ARN: ministack compares it with names and finds none."""

from collections.abc import Callable

from ministack.services.cloudformation import helpers

from overlay import patched
from overlay.shapes import Params, Reply

_ACTIONS = ("DescribeChangeSet", "ListChangeSets")


def install() -> None:
    """Replace the actions."""
    for action in _ACTIONS:
        patched.CLOUDFORMATION_ACTIONS.replace(action, _by_name(patched.CLOUDFORMATION_ACTIONS.current(action)))


def _by_name(own: Callable[[Params], Reply]) -> Callable[[Params], Reply]:
    """Return ministack's own action, called with the name that an ARN ends in: ``...:stack/<name>/<id>``."""

    def action(params: Params) -> Reply:
        stack = helpers._p(params, "StackName")
        if stack.startswith("arn:"):
            params = {**params, "StackName": [stack.split("/")[1]]}
        return own(params)

    return action
