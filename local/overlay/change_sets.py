"""ListChangeSets of a stack that is named by its ARN: ministack compares it with names and finds none."""

from ministack.services.cloudformation import helpers

from overlay import patched
from overlay.shapes import Params, Reply

_list_change_sets = patched.CLOUDFORMATION_ACTIONS.current("ListChangeSets")


def install() -> None:
    """Replace the action."""
    patched.CLOUDFORMATION_ACTIONS.replace("ListChangeSets", list_change_sets)


def list_change_sets(params: Params) -> Reply:
    """ministack's own list, by the name that an ARN ends in: ``...:stack/<name>/<id>``."""
    stack = helpers._p(params, "StackName")
    if stack.startswith("arn:"):
        params = {**params, "StackName": [stack.split("/")[1]]}
    return _list_change_sets(params)
