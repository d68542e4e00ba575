"""Error answers in the words and the format of each service, for injected faults."""

import json

from ministack.core.iam_actions import _SERVICE_PROTOCOL, access_denied_response

from overlay.shapes import Headers, Record, Reply

# Service -> (code, status) of a throttled call; the others answer ThrottlingException with 400.
_THROTTLES = {
    "ec2": ("RequestLimitExceeded", 503),
    "s3": ("SlowDown", 503),
    "cloudformation": ("Throttling", 400),
    "sts": ("Throttling", 400),
    "iam": ("Throttling", 400),
    "sqs": ("RequestThrottled", 403),
    "sns": ("Throttled", 429),
    "lambda": ("TooManyRequestsException", 429),
}
_SERVER_ERRORS = {"ec2": "InternalError", "s3": "InternalError", "dynamodb": "InternalServerError"}


def reply(effect: Record, service: str, headers: Headers, request_id: str) -> Reply:
    """(status, headers, body) of the error an effect asks for."""
    kind = effect["kind"]
    if kind == "throttle":
        code, status = _THROTTLES.get(service, ("ThrottlingException", 400))
        message = "Rate exceeded"
    elif kind == "server_error":
        status = int(effect.get("status", 500))
        code = "ServiceUnavailable" if status == 503 else _SERVER_ERRORS.get(service, "InternalFailure")
        message = "We encountered an internal error. Please try again."
    else:
        code, status = effect.get("code", "AccessDenied"), int(effect.get("status", 400))
        message = effect.get("message", "injected by a fault rule")
    return _rendered(code, status, message, service, headers, request_id)


def _rendered(code: str, status: int, message: str, service: str, headers: Headers, request_id: str) -> Reply:
    if _SERVICE_PROTOCOL.get(service, "json") in ("json", "rest-json"):
        body = json.dumps({"__type": code, "message": message, "Message": message}).encode()
        kind = headers.get("content-type", "") if headers.get("x-amz-target") else ""
        return (
            status,
            {
                "Content-Type": kind or "application/json",
                "x-amzn-errortype": code,
                "x-amzn-requestid": request_id,
            },
            body,
        )
    # The emulator knows each XML dialect; only the status is ours.
    _, reply_headers, body = access_denied_response(
        service, "", "", request_id, error_code=code, message=message, headers=headers
    )
    return status, {**reply_headers, "x-amzn-requestid": request_id}, body
