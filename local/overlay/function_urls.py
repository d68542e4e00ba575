"""Function URLs that can be called, with the caller's identity.

ministack hands out the https name AWS would, which leads nowhere. Here a URL is the loopback address at
which ministack answers for it. With AuthType AWS_IAM the event names the verified caller, as on AWS;
with AuthType NONE the function's policy must let everyone in, the permission templates forget.
"""

import json
import os
from typing import Any

from ministack.core.iam_evaluator import resolve_caller_identity
from ministack.core.responses import json_response
from ministack.core.router import extract_access_key_id
from ministack.services import lambda_svc

from overlay import patched
from overlay.shapes import Headers, Query, Record, Reply

_PATH = "/_aws/lambda-url/"
_create = patched.CREATE_FUNCTION_URL.current()
_url_id = patched.FUNCTION_URL_ID.current()
_handle = patched.SERVE_FUNCTION_URL.current()
_build_event = patched.BUILD_FUNCTION_URL_EVENT.current()


def install() -> None:
    """Replace the making, the resolving and the serving of URLs."""
    patched.CREATE_FUNCTION_URL.replace(create)
    patched.FUNCTION_URL_ID.replace(function_id)
    patched.BUILD_FUNCTION_URL_EVENT.replace(build_event)
    patched.SERVE_FUNCTION_URL.replace(handle)


def create(func_name: str, data: Record, qualifier: str | None) -> Reply:
    """CreateFunctionUrlConfig, whose URL is on this server."""
    status, headers, body = _create(func_name, data, qualifier)
    if status >= 400:
        return status, headers, body
    config = lambda_svc._function_urls[lambda_svc._url_config_key(func_name, qualifier)]
    identifier = _url_id(json.loads(body)["FunctionUrl"])
    config["FunctionUrl"] = f"http://127.0.0.1:{os.environ['GATEWAY_PORT']}{_PATH}{identifier}/"
    return json_response(config, status=status)


def function_id(function_url: str) -> str:
    """The id in a URL of either form."""
    if _PATH in function_url:
        return function_url.split(_PATH, 1)[1].split("/", 1)[0]
    return _url_id(function_url)


def build_event(
    url_id: str,
    account_id: str,
    region: str,
    method: str,
    path: str,
    headers: Headers,
    body: bytes,
    query_params: Query,
    source_ip: str = "127.0.0.1",
    anonymous: bool = False,
    trace_root: str = "",
) -> Record:
    """The event of a request, with ``requestContext.authorizer.iam`` for a URL that authenticates."""
    event = _build_event(
        url_id,
        account_id,
        region,
        method,
        path,
        headers,
        body,
        query_params,
        source_ip,
        anonymous,
        trace_root,
    )
    if not anonymous:
        # The request was authenticated and authorised before this point (lambda:InvokeFunctionUrl).
        caller = resolve_caller_identity(extract_access_key_id(headers, query_params))
        if caller:
            event["requestContext"]["authorizer"] = {"iam": _identity(caller)}
    return event


def _identity(caller: Record) -> Record:
    return {
        "accessKey": caller["accessKey"],
        "accountId": caller["accountId"],
        "callerId": caller["userId"],
        "cognitoIdentity": None,
        "principalOrgId": None,
        "userArn": caller["userArn"],
        "userId": caller["userId"],
    }


async def handle(
    url_id: str,
    method: str,
    path: str,
    headers: Headers,
    body: bytes,
    query_params: Query,
    resolved: tuple[Any, ...] | None = None,
    source_ip: str | None = None,
) -> Reply:
    """Serve a URL; an open one only if the function's policy says so."""
    resolved = resolved or lambda_svc.resolve_function_url(url_id)
    if resolved is not None and resolved[4].get("AuthType") == "NONE" and not _open_to_all(resolved):
        return (
            403,
            {"Content-Type": "application/json", "x-amzn-ErrorType": "AccessDeniedException"},
            (
                b'{"Message":"Forbidden. For troubleshooting Function URL authorization issues, see: '
                b'https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"}'
            ),
        )
    return await _handle(url_id, method, path, headers, body, query_params, resolved=resolved, source_ip=source_ip)


def _open_to_all(resolved: tuple[Any, ...]) -> bool:
    account_id, region, func_name, _qualifier, _config = resolved
    function = lambda_svc._functions.get_scoped(account_id, region, func_name) or {}
    policies = [function.get("policy")]
    policies += [alias.get("policy") for alias in (function.get("aliases") or {}).values()]
    return any(_admits_everyone(statement) for policy in policies for statement in _statements(policy))


def _statements(policy: Any) -> list[Record]:
    if isinstance(policy, str):
        policy = json.loads(policy)
    return (policy or {}).get("Statement", [])


def _admits_everyone(statement: Record) -> bool:
    return (
        statement.get("Effect") == "Allow"
        and statement.get("Principal") in ("*", {"AWS": "*"})
        and statement.get("Action") in ("lambda:InvokeFunctionUrl", "lambda:*", "*")
    )
