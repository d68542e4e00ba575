"""Numbers of an AWS::Lambda::EventSourceMapping that come from a parameter.

A parameter is text, also one of type Number; CloudFormation hands it on as the number that the service
wants. ministack hands on the text, and its poller then fails at every look at the queue.
"""

from typing import Any

from ministack.services.cloudformation import provisioners

from overlay.shapes import Properties, Provisioned

_KIND = "AWS::Lambda::EventSourceMapping"
_create = provisioners._RESOURCE_HANDLERS[_KIND]["create"]
_update = provisioners._RESOURCE_HANDLERS[_KIND]["update"]
_NUMBERS = ("BatchSize", "MaximumBatchingWindowInSeconds", "MaximumConcurrency", "MaximumRetryAttempts")


def install() -> None:
    """Turn texts into numbers before a mapping is created or updated."""
    provisioners._RESOURCE_HANDLERS[_KIND].update({"create": create, "update": update})


def create(logical_id: str, props: Properties, stack_name: str) -> Provisioned:
    """Create the mapping with numbers."""
    return _create(logical_id, numbers(props), stack_name)


def update(physical_id: str, old_props: Properties, new_props: Properties, *rest: Any) -> Provisioned:
    """Update the mapping with numbers."""
    return _update(physical_id, numbers(old_props), numbers(new_props), *rest)


def numbers(props: Properties) -> Properties:
    """The properties, with a number wherever one is wanted."""
    wanted = {}
    for name, value in props.items():
        if isinstance(value, dict):
            wanted[name] = numbers(value)
        elif name in _NUMBERS and isinstance(value, str):
            wanted[name] = int(value)
        else:
            wanted[name] = value
    return wanted
