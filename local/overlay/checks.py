"""The permissions that a call needs beside, or instead of, the one that ministack asks for.

ministack asks once for each call: the action, one resource, a few condition keys. AWS asks for more: each resource of
RunInstances, the tags that a call gives, the role that it passes, the leading keys of items. A module that knows what
AWS asks for registers a function here. It gets the request and returns the checks, before anything has happened.
"""

import json
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id

from overlay import patched
from overlay.shapes import Headers, Query, Record, Reply

_dispatch = patched.DISPATCH.current()
_enforce = patched.ENFORCE.current()
_asked_already: ContextVar[bool] = ContextVar("asked_already", default=False)
_caller: ContextVar[tuple[str, str] | None] = ContextVar("caller", default=None)  # access key, region


@dataclass(frozen=True)
class Request:
    """A call: its service, its action, its parameters (of a query or of a JSON body), and where it goes."""

    service: str
    action: str
    params: dict[str, Any]
    body: bytes
    path: str
    region: str
    account: str

    def text(self, name: str) -> str:
        """Returns a parameter of a query; empty if there is none."""
        value = self.params.get(name, "")
        return str(value[0] if isinstance(value, list) and value else value or "")

    def members(self, prefix: str) -> list[str]:
        """Returns ``Prefix.1``, ``Prefix.2``, ... of a query."""
        found: list[str] = []
        while value := self.text(f"{prefix}.{len(found) + 1}"):
            found.append(value)
        return found

    @property
    def json(self) -> dict[str, Any]:
        """Returns a JSON body; empty if it is none."""
        try:
            value = json.loads(self.body or b"{}")
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


@dataclass(frozen=True)
class Check:
    """An action that the caller must be allowed to do to a resource, with what conditions may ask about."""

    action: str
    resource: str
    context: dict[str, Any] = field(default_factory=dict)


Asked = Callable[[Request], Iterable[Check] | None]
_instead: dict[str, Asked] = {}
_beside: list[Asked] = []


def instead(service: str, asked: Asked) -> None:
    """Ask for these in the place of ministack's own check of a service; ``None`` leaves a call to ministack."""
    _instead[service] = asked


def beside(asked: Asked) -> None:
    """Ask for these too, whatever the service."""
    _beside.append(asked)


def install() -> None:
    """Stand before every call, and keep ministack from asking what was asked here already."""
    patched.DISPATCH.replace(dispatch)
    patched.ENFORCE.replace(enforce)


async def dispatch(
    method: str, path: str, headers: Headers, body: bytes, query_params: Query, request_id: str
) -> Reply:
    """One call: asked for here first, then by ministack."""
    if not app.AUTH:
        return await _dispatch(method, path, headers, body, query_params, request_id)
    request = _request(method, path, headers, body, query_params)
    own = _instead[request.service](request) if request.service in _instead else None
    checks = [*(own or ()), *(check for asked in _beside for check in asked(request) or ())]
    access_key = app.extract_access_key_id(headers, query_params)
    for check in checks:
        denied = _enforce(access_key, check.action, request.service, request.region, check.resource, check.context)
        if isinstance(denied, iam_evaluator.AuthError):
            # A signature is looked at once: here.
            return app._credential_failure(request.service, check.action, request_id, denied, headers)
        if denied:
            return _denial(request, check, denied, headers, request_id)
    asked, caller = _asked_already.set(bool(own)), _caller.set((access_key, request.region))
    try:
        return await _dispatch(method, path, headers, body, query_params, request_id)
    finally:
        _asked_already.reset(asked)
        _caller.reset(caller)


def allowed(action: str, resource: str, context: dict[str, Any] | None = None) -> bool:
    """Whether whoever made the running call may also do this; asked in the middle of a call."""
    caller = _caller.get()
    if caller is None:
        return True  # Nobody called: a service acts by itself.
    access_key, region = caller
    return _enforce(access_key, action, action.split(":")[0], region, resource, context or {}) is None


def enforce(
    access_key_id: str,
    iam_action: str,
    service: str,
    region: str,
    resource_arn: str = "*",
    service_context: Record | None = None,
) -> iam_evaluator.EvalResult | iam_evaluator.AuthError | None:
    """ministack's own check, unless this call was asked about here."""
    if _asked_already.get():
        return None
    return _enforce(access_key_id, iam_action, service, region, resource_arn, service_context)


def _request(method: str, path: str, headers: Headers, body: bytes, query_params: Query) -> Request:
    params = app._routing_params(method, path, headers, body, query_params)
    service = app.detect_service(method, path, headers, params)
    action = iam_actions.extract_iam_action(service, method, path, headers, body, params) or ":"
    return Request(service, action.split(":", 1)[1], params, body, path, app.extract_region(headers), get_account_id())


def _denial(
    request: Request, check: Check, denied: iam_evaluator.EvalResult, headers: Headers, request_id: str
) -> Reply:
    """Returns the refusal in the format of the service, which names the action that is missing and its resource."""
    explicit = denied.decision == "Deny"
    message = iam_actions.identity_denial_message(check.action, denied.principal_arn, check.resource, explicit)
    if request.service == "ec2":
        message = f"You are not authorized to perform this operation. {message}"
    return iam_actions.access_denied_response(
        request.service,
        check.action,
        denied.principal_arn,
        request_id,
        headers=headers,
        message=message,
        resource_arn=check.resource,
        explicit_deny=explicit,
    )
