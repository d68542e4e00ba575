"""``DryRun`` on every EC2 action: permissions were checked before this point, nothing happens after it."""

from ministack.services import ec2

from overlay import patched
from overlay.contracts import QueryAction
from overlay.shapes import Params, Reply


def install() -> None:
    """Wrap every action, ours included. ministack ignores the parameter and acts."""
    for name in patched.EC2_ACTIONS.names():
        patched.EC2_ACTIONS.replace(name, _guarded(patched.EC2_ACTIONS.current(name)))


def _guarded(handler: QueryAction) -> QueryAction:
    def guarded(params: Params) -> Reply:
        if ec2._p(params, "DryRun").lower() == "true":
            return ec2._error("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)
        return handler(params)

    return guarded
