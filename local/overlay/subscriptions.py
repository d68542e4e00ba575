"""Numbers of an AWS::Lambda::EventSourceMapping that come from a parameter.

A parameter is text, also one of type Number; CloudFormation hands it on as the number that the service
wants. ministack hands on the text, and its poller then fails at every look at the queue.
"""

from overlay import patched
from overlay.shapes import Properties, Provisioned

_create = patched.CREATE_MAPPING.current()
_update = patched.UPDATE_MAPPING.current()
_NUMBERS = ("BatchSize", "MaximumBatchingWindowInSeconds", "MaximumConcurrency", "MaximumRetryAttempts")


def install() -> None:
    """Turn texts into numbers before a mapping is created or updated."""
    patched.CREATE_MAPPING.replace(create)
    patched.UPDATE_MAPPING.replace(update)


def create(logical_id: str, props: Properties, stack_name: str) -> Provisioned:
    """Create the mapping with numbers."""
    return _create(logical_id, numbers(props), stack_name)


def update(physical_id: str, old_props: Properties, new_props: Properties, stack_name: str) -> Provisioned:
    """Update the mapping with numbers."""
    return _update(physical_id, numbers(old_props), numbers(new_props), stack_name)


def numbers(props: Properties) -> Properties:
    """The properties, with a number wherever one is wanted."""
    wanted: Properties = {}
    for name, value in props.items():
        if isinstance(value, dict):
            wanted[name] = numbers(value)
        elif name in _NUMBERS and isinstance(value, str):
            wanted[name] = int(value)
        else:
            wanted[name] = value
    return wanted
