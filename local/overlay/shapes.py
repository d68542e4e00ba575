"""The values that ministack and the overlay hand each other, by name.

ministack declares none of them: the record of a resource, the properties of a template and a parsed body are
dictionaries whose fields depend on what they describe.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

Record: TypeAlias = dict[str, Any]
"""A document: a resource as ministack stores it, an event, a JSON body."""

Properties: TypeAlias = dict[str, Any]
"""The properties of a resource as a template writes them, or its attributes."""

Params: TypeAlias = dict[str, Any]
"""The parameters of a request in the query protocols: each a text, or a list of texts."""

Headers: TypeAlias = dict[str, str]
Query: TypeAlias = dict[str, list[str]]

Reply: TypeAlias = tuple[int, Headers, bytes]
"""The answer to a request: its status, headers and body."""

Rendered: TypeAlias = tuple[str, str]
"""The answer of an EC2 action: the root tag and the XML inside it."""

Provisioned: TypeAlias = tuple[str, Properties]
"""A resource of a stack: its physical id and its attributes."""

Tag: TypeAlias = dict[str, str]
"""A tag: its ``Key`` and its ``Value``."""

Scope: TypeAlias = dict[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[dict[str, Any]]]
Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]
