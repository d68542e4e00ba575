"""The HTTP side of the overlay: the journal and the recording of calls, faults on them, and the control paths.

Every AWS call passes through ``dispatch`` or, for a function URL, ``function_url``. A fault strikes
before the effect (throttle, error, reset, hold), or after it (lost or held reply).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from hypercorn.protocol.http_stream import HTTPStream
from ministack import app
from ministack.core.iam_evaluator import request_caller_arn
from ministack.core.responses import get_account_id

from overlay import control, fault_replies, patched, recording, rules
from overlay.shapes import Headers, Params, Query, Receive, Record, Reply, Scope, Send

_LONGEST_HOLD_SECONDS = 120
# What ``contains`` looks at: more than the longest template in a request, less than an uploaded archive.
_SEARCHED_BYTES = 64 * 1024
_dispatch = patched.DISPATCH.current()
_function_url = patched.DISPATCH_FUNCTION_URL.current()
_app = patched.APP.current()
_send_error_response = patched.SEND_ERROR_RESPONSE.current()

Facts: TypeAlias = dict[str, str]
Proceed: TypeAlias = Callable[[], Awaitable[Reply]]


class ConnectionLost(Exception):
    """The client is to see its connection close without a byte of an answer."""


def install() -> None:
    """Stand around the server's entry and its two roads to a service."""
    patched.DISPATCH.replace(dispatch)
    patched.DISPATCH_FUNCTION_URL.replace(function_url)
    patched.APP.replace(entry)
    patched.SEND_ERROR_RESPONSE.replace(send_error_response)


async def entry(scope: Scope, receive: Receive, send: Send) -> None:
    """The server's entry: control paths first, then the emulator."""
    if scope["type"] == "http" and scope["path"].startswith(control.PREFIX):
        await control.serve(scope, receive, send)
        return
    try:
        await _app(scope, receive, send)
    except ConnectionLost:
        scope["lockstep.silent"] = True


async def send_error_response(stream: HTTPStream, status_code: int) -> None:
    """Hypercorn's own error answer, which a lost connection does not get."""
    if not stream.scope.get("lockstep.silent"):
        await _send_error_response(stream, status_code)


async def dispatch(
    method: str, path: str, headers: Headers, body: bytes, query_params: Query, request_id: str
) -> Reply:
    """One AWS call: recorded, and struck by a fault if a rule says so."""
    params = app._routing_params(method, path, headers, body, query_params)
    service = app.detect_service(method, path, headers, params)
    facts = _facts(service, _action(service, method, path, headers, body, params), headers, query_params, path, body)

    async def proceed() -> Reply:
        return await _dispatch(method, path, headers, body, query_params, request_id)

    return await _recorded(
        facts, _request(service, facts, method, path, headers, query_params, body), request_id, proceed
    )


def _action(service: str, method: str, path: str, headers: Headers, body: bytes, params: Params) -> str:
    from ministack.core.iam_actions import extract_iam_action

    action = extract_iam_action(service, method, path, headers, body, params)
    if action:
        return action.split(":", 1)[1]
    return headers.get("x-amz-target", "").rsplit(".", 1)[-1] or (params.get("Action") or [f"{method} {path}"])[0]


async def function_url(
    host: str, path: str, method: str, headers: Headers, body: bytes, query_params: Query, source_ip: str | None = None
) -> Reply | None:
    """A request to a function URL: the call ``lambda:InvokeFunctionUrl``."""
    if app._parse_lambda_url(host, path) is None:
        return None

    async def proceed() -> Reply:
        answer = await _function_url(host, path, method, headers, body, query_params, source_ip)
        assert answer is not None, "the path was looked at above"
        return answer

    facts = _facts("lambda", "InvokeFunctionUrl", headers, query_params, path, body)
    request = _request("lambda-url", facts, method, path, headers, query_params, body)
    return await _recorded(facts, request, "", proceed)


def _request(
    service: str, facts: Record, method: str, path: str, headers: Headers, query_params: Query, body: bytes
) -> recording.Request:
    return recording.Request(service, facts["action"], method, path, headers, query_params, body)


def _facts(service: str, action: str, headers: Headers, query_params: Query, path: str, body: bytes) -> Facts:
    signed = bool(app.extract_access_key_id(headers, query_params))
    return {
        "service": service,
        "action": action,
        "account": get_account_id(),
        "principal": request_caller_arn(headers, query_params) if signed else "anonymous",
        "contains": f"{path} {body[:_SEARCHED_BYTES].decode('utf-8', 'replace')}",
    }


async def _recorded(facts: Facts, request: recording.Request, request_id: str, proceed: Proceed) -> Reply:
    """Carry a call out under the rules, and write down what its caller saw."""
    started = time.time()
    rule = rules.faults.striking("call", facts)
    status, body = 0, b""
    try:
        answer = await (_struck(rule, facts, request.headers, request_id, proceed) if rule else proceed())
        status, body = answer[0], answer[2]
        return answer
    finally:
        request.answered(status, body, rule.effect["kind"] if rule else None)
        rules.calls.add(
            {
                "kind": "call",
                "time": started,
                "duration_ms": round((time.time() - started) * 1000),
                **{name: facts[name] for name in ("service", "action", "account", "principal")},
                "status": status,
                "fault": rule.effect["kind"] if rule else None,
                "request_id": request_id,
            }
        )


async def _struck(rule: rules.Rule, facts: Facts, headers: Headers, request_id: str, proceed: Proceed) -> Reply:
    kind = rule.effect["kind"]
    if kind in ("throttle", "server_error", "error"):
        return fault_replies.reply(rule.effect, facts["service"], headers, request_id)
    if kind == "reset":
        raise ConnectionLost
    if kind == "delay":
        await asyncio.sleep(rule.effect.get("ms", 1000) / 1000)
    if kind == "hold":
        await _until_released(rule)
    seen = rules.events.last() if kind == "hold_reply" else 0
    answer = await proceed()
    if kind == "drop_reply":
        raise ConnectionLost
    if kind == "hold_reply":
        await _until_event(rule, seen)
    return answer


async def _until_released(rule: rules.Rule) -> None:
    """Wait for the rule's release, at most two minutes."""
    deadline = time.monotonic() + _LONGEST_HOLD_SECONDS
    while not rule.released.is_set() and time.monotonic() < deadline:
        await asyncio.sleep(0.01)


async def _until_event(rule: rules.Rule, seen: int) -> None:
    """Wait for the event the effect names in ``until`` (or for the release), so that it comes before the reply.

    After the event was handed to its rules, ``settle_ms`` more give its consumer time to act on it.
    """
    until = rule.effect.get("until")
    if not until:
        await _until_released(rule)
        return
    deadline = time.monotonic() + _LONGEST_HOLD_SECONDS
    while time.monotonic() < deadline and not rule.released.is_set():
        if any(_is_awaited(event, until) for event in rules.events.read(after=seen)[0]):
            await asyncio.sleep(rule.effect.get("settle_ms", 200) / 1000)
            return
        await asyncio.sleep(0.01)


def _is_awaited(event: Record, until: Record) -> bool:
    return (
        until.get("source") in (None, event["source"])
        and until.get("detail_type") in (None, event["detail_type"])
        and until.get("contains", "") in str(event["detail"])
    )
