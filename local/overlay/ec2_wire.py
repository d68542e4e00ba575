"""EC2's wire format: parameters in, XML out. No state and no rules."""

import uuid
from collections.abc import Callable, Iterable
from html import escape
from typing import Any, TypeVar

from ministack.services import ec2

from overlay.contracts import QueryAction
from overlay.shapes import Params, Rendered, Reply, Tag

T = TypeVar("T")
_NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"


class Refused(Exception):
    """A request EC2 answers with an error: its code, its words, its HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


def action(function: Callable[[Params, str], Rendered]) -> QueryAction:
    """Make an EC2 handler of a function that returns (root tag, inner XML) or raises ``Refused``.

    The function gets the parameters and the request id, which events about the call repeat.
    """

    def handler(params: Params) -> Reply:
        request_id = str(uuid.uuid4())
        try:
            root, inner = function(params, request_id)
        except Refused as refusal:
            return ec2._error(refusal.code, escape(refusal.message), refusal.status)
        body = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{_NAMESPACE}">'
            f"<requestId>{request_id}</requestId>{inner}</{root}>"
        )
        return 200, {"Content-Type": "text/xml;charset=UTF-8", "x-amzn-requestid": request_id}, body.encode()

    handler.__name__ = function.__name__
    return handler


def text(params: Params, name: str, default: str = "") -> str:
    """One parameter as text."""
    return ec2._p(params, name) or default


def required(params: Params, name: str) -> str:
    """One parameter that the request must contain."""
    value = ec2._p(params, name)
    if not value:
        raise Refused("MissingParameter", f"The request must contain the parameter {name}")
    return value


def flag(params: Params, name: str) -> bool:
    """A boolean parameter, false when absent."""
    return ec2._p(params, name).lower() == "true"


def members(params: Params, name: str) -> list[str]:
    """``Name.1``, ``Name.2``, ... as a list."""
    return ec2._parse_member_list(params, name)


def element(tag: str, value: Any) -> str:
    """``<tag>value</tag>``, or nothing when there is no value."""
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        value = "true" if value else "false"
    return f"<{tag}>{escape(str(value))}</{tag}>"


def items(rendered: Iterable[str]) -> str:
    """A list as ``<item>`` elements."""
    return "".join(f"<item>{one}</item>" for one in rendered)


def tag_set(tags: list[Tag]) -> str:
    """A ``tagSet``, left out when empty, as EC2 does."""
    if not tags:
        return ""
    pairs = (element("key", tag["Key"]) + f"<value>{escape(tag.get('Value', ''))}</value>" for tag in tags)
    return f"<tagSet>{items(pairs)}</tagSet>"


def matches(actual: Iterable[str], wanted: Iterable[str]) -> bool:
    """Whether one of the values (``*`` and ``?`` are wildcards) fits one of the actual ones."""
    return any(ec2._glob_match(pattern, value or "") for pattern in wanted for value in actual)


def tag_filter(name: str, tags: list[Tag]) -> list[str] | None:
    """The values a ``tag:`` or ``tag-key`` filter compares, or None for another filter."""
    if name == "tag-key":
        return [tag["Key"] for tag in tags]
    if name.startswith("tag:"):
        return [tag.get("Value", "") for tag in tags if tag["Key"] == name[4:]]
    return None


def page(everything: list[T], params: Params) -> tuple[list[T], str]:
    """The page a request asks for and its ``nextToken`` element."""
    size = int(ec2._p(params, "MaxResults") or 0)
    start = int(ec2._p(params, "NextToken") or 0)
    if not size:
        return everything[start:], ""
    following = start + size
    token = element("nextToken", following) if following < len(everything) else ""
    return everything[start:following], token
