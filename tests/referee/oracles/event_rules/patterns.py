"""Event patterns, matched as EventBridge matches them.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
"""

import fnmatch
import ipaddress
from collections.abc import Iterator
from typing import Any

from oracles.event_rules.shapes import MISSING, at

_COMPARE = {
    "=": lambda a, b: a == b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def matches(pattern: dict, event: dict) -> bool:
    """Returns true if a rule with the pattern matches the event."""
    for key, expected in pattern.items():
        if key == "$or":
            if not any(matches(each, event) for each in expected):
                return False
        elif isinstance(expected, dict):
            inner = event.get(key) if isinstance(event, dict) else None
            if not isinstance(inner, dict) or not matches(expected, inner):
                return False
        elif not _field(expected, event.get(key, MISSING) if isinstance(event, dict) else MISSING):
            return False
    return True


def _field(expected: list, value: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    if value == [] or value is MISSING:
        return any(isinstance(each, dict) and each.get("exists") is False for each in expected)
    return any(_one(each, item) for each in expected for item in values)


def _one(expected: Any, value: Any) -> bool:
    if not isinstance(expected, dict):
        return expected == value and isinstance(expected, bool) == isinstance(value, bool)
    ((operator, operand),) = expected.items()
    text = value if isinstance(value, str) else None
    match operator:
        case "exists":
            return bool(operand)
        case "prefix" | "suffix":
            return text is not None and _affix(operator, operand, text)
        case "equals-ignore-case":
            return text is not None and text.lower() == operand.lower()
        case "wildcard":
            return text is not None and fnmatch.fnmatchcase(text, operand.replace("[", "[[]").replace("?", "[?]"))
        case "anything-but":
            return _anything_but(operand, value)
        case "numeric":
            pairs = zip(operand[::2], operand[1::2], strict=True)
            return (
                isinstance(value, (int, float))
                and not isinstance(value, bool)
                and all(_COMPARE[sign](value, number) for sign, number in pairs)
            )
        case "cidr":
            return text is not None and ipaddress.ip_address(text) in ipaddress.ip_network(operand)
    raise ValueError(f"EventBridge has no operator {operator}")


def _affix(operator: str, operand: Any, text: str) -> bool:
    if isinstance(operand, dict):
        operand, text = operand["equals-ignore-case"].lower(), text.lower()
    return text.startswith(operand) if operator == "prefix" else text.endswith(operand)


def _anything_but(operand: Any, value: Any) -> bool:
    if isinstance(operand, dict):
        ((operator, inner),) = operand.items()
        inners = inner if isinstance(inner, list) else [inner]
        return not any(_one({operator: each}, value) for each in inners)
    return value not in (operand if isinstance(operand, list) else [operand])


def leaves(pattern: dict, pointer: str = "") -> Iterator[tuple[str, list]]:
    """Yields each field that a pattern compares, and the expected values."""
    for key, expected in pattern.items():
        if key == "$or":
            for each in expected:
                yield from leaves(each, pointer)
        elif isinstance(expected, dict):
            yield from leaves(expected, f"{pointer}/{key}")
        else:
            yield f"{pointer}/{key}", expected


def filled(pattern: dict, event: dict) -> dict:
    """Returns an example with the names of a pattern, such as a project's, in the place of AWS's names."""
    made = {**event}
    for key, expected in pattern.items():
        if isinstance(expected, dict):
            made[key] = filled(expected, made.get(key, {}))
        elif expected and isinstance(expected[0], str) and at(event, f"/{key}") is not MISSING:
            made[key] = expected[0]
    return made
