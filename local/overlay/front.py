"""The guard before everything that the emulator serves: it refuses web pages and callers without a valid signature.

A web page reaches every port of this machine, and functions run here as the developer. Its requests have an ``Origin``
or the name of another host (DNS rebinding), the browser says where they come from (``Sec-Fetch-Site``), or it asks
first (``OPTIONS``). Nothing that Lockstep runs sends any of these, so there is no exception. The servers from which
functions take their invocations have the same guard.

A request without a signature is served where AWS takes one: at a function URL, whose ``AuthType`` decides, and at the
address to which a custom resource or a wait condition answers, whose token is the authority. The emulator's health and
the control paths, which AWS does not have, need none either.
"""

import ipaddress
import json
import os
import uuid
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, quote

from ministack import app

from overlay import control, patched, signatures
from overlay.shapes import Headers, Query, Receive, Reply, Scope, Send

_app = patched.APP.current()
_parse_request = patched.PARSE_REQUEST.current()

_OWN_NAMES = ("127.0.0.1", "localhost", "[::1]")
_INTERNAL = ("/_ministack/", "/_localstack/")
_HEALTH = "/_ministack/health"
_ANSWERS = ("/_ministack/cfn-response/", "/_ministack/cfn-signal/")


def install() -> None:
    """Stand before the server's entry, and before the servers of functions."""
    patched.APP.replace(entry)
    patched.PARSE_REQUEST.replace(parse_request)


def sent_by_a_page(method: str, headers: Mapping[str, str], port: int) -> str | None:
    """Returns the sign that a web page sent a request; ``None`` without one. Names of headers are in lower case."""
    if headers.get("host") not in [f"{name}:{port}" for name in _OWN_NAMES]:
        return "the local cloud answers to the loopback address and its own port only"
    if method == "OPTIONS" or "origin" in headers or headers.get("sec-fetch-site", "none") != "none":
        return "the local cloud answers no web page"
    return None


def parse_request(handler: BaseHTTPRequestHandler) -> bool:
    """Reads a request to the server of a function, and refuses that of a web page."""
    if not _parse_request(handler):
        return False
    headers = {name.lower(): value for name, value in handler.headers.items()}
    refused = sent_by_a_page(handler.command, headers, handler.connection.getsockname()[1])
    if refused:
        handler.send_error(403, refused)
    return refused is None


async def entry(scope: Scope, receive: Receive, send: Send) -> None:
    """The server's entry: a request passes if no page sent it and its signature is valid, or none is asked for."""
    if scope["type"] == "websocket":
        # Nothing here speaks it. A close before the handshake is answered with 403.
        await send({"type": "websocket.close"})
        return
    if scope["type"] != "http":
        await _app(scope, receive, send)
        return
    headers, query = _headers(scope), parse_qs(scope["query_string"].decode(), keep_blank_values=True)
    refused = _refusal(scope, headers, query)
    if refused:
        await _answer(send, (403, {"content-type": "application/json"}, json.dumps({"message": refused}).encode()))
        return
    if not _is_open(scope, headers, query):
        body, receive = await _read(receive)
        raw_path = (scope.get("raw_path") or quote(scope["path"]).encode()).decode("latin-1")
        failure = signatures.failure(scope["method"], raw_path, query, headers, body)
        if failure:
            params = app._routing_params(scope["method"], scope["path"], headers, body, query)
            service = app.detect_service(scope["method"], scope["path"], headers, params)
            await _answer(send, app._credential_failure(service, "", str(uuid.uuid4()), failure, headers))
            return
    await _app(scope, receive, _without_cors(send))


def _headers(scope: Scope) -> Headers:
    """Returns the headers by name in lower case. A repeated one is signed with a comma between its values."""
    headers: Headers = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]},{text}" if key in headers else text
    return headers


def _refusal(scope: Scope, headers: Headers, query: Query) -> str | None:
    client = (scope.get("client") or ("0.0.0.0",))[0]
    if not ipaddress.ip_address(client).is_loopback:
        return "the local cloud answers this machine only"
    if page := sent_by_a_page(scope["method"], headers, int(os.environ["GATEWAY_PORT"])):
        return page
    if scope["path"].startswith(_INTERNAL) and not _is_open(scope, headers, query):
        return "the local cloud does not offer this path of the emulator"
    return None


def _is_open(scope: Scope, headers: Headers, query: Query) -> bool:
    """Returns whether a request needs no signature."""
    method, path = scope["method"], scope["path"]
    if path.startswith(control.PREFIX):
        return True
    if signatures.carries_one(headers, query):
        return False
    return (
        app._parse_lambda_url(headers["host"], path) is not None
        or (method == "GET" and path == _HEALTH)
        or (method == "PUT" and path.startswith(_ANSWERS))
    )


async def _read(receive: Receive) -> tuple[bytes, Receive]:
    """Returns the whole body, and what gives its messages once more."""
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    again = iter(messages)

    async def replay() -> dict[str, object]:
        return next(again, None) or await receive()

    return b"".join(message.get("body", b"") for message in messages), replay


def _without_cors(send: Send) -> Send:
    """Returns what sends an answer without the permission for web pages to read it."""

    async def sent(message: dict[str, object]) -> None:
        given = message.get("headers")
        if isinstance(given, list):
            kept = [(name, value) for name, value in given if not name.lower().startswith(b"access-control-")]
            message = {**message, "headers": kept}
        await send(message)

    return sent


async def _answer(send: Send, reply: Reply) -> None:
    status, headers, body = reply
    wire = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    wire.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": wire})
    await send({"type": "http.response.body", "body": body})
