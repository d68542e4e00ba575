"""Step Functions task tokens that behave like AWS's.

A Lambda that fails while it is being given a token fails the task at once (ministack waits for the
timeout); every attempt has a token of its own (ministack reuses the first); a token is answered once,
and an answer to a closed or invented one is refused with AWS's errors.
"""

import threading
from typing import Any

from ministack.core.responses import error_response_json, new_uuid
from ministack.services import stepfunctions

from overlay import patched
from overlay.contracts import JsonAction
from overlay.shapes import Record, Reply
from overlay.state import STATE

_MOST_REMEMBERED = 10_000
_invoke_with_callback = patched.INVOKE_WITH_CALLBACK.current()
_apply_jsonata_arguments = patched.APPLY_ARGUMENTS.current()
_call_lambda = patched.CALL_LAMBDA.current()
_CALLBACK = ".waitForTaskToken"
# An execution runs on a thread of its own, and hands its token out on it.
_handing_out = threading.local()
owner = threading.local()
"""On an execution's thread, ``execution_arn`` is its ARN (set by ``executions``)."""


def install() -> None:
    """Replace the callback invocation, the arguments of a retry and the two answers."""
    patched.INVOKE_WITH_CALLBACK.replace(invoke_with_callback)
    patched.APPLY_ARGUMENTS.replace(apply_jsonata_arguments)
    patched.CALL_LAMBDA.replace(call_lambda)
    for answer in patched.SEND_TASK_ANSWERS:
        answer.replace(_answered_once(answer.current()))


class _LambdaFailed(Exception):
    """A failure of the invoked function, carried past the handler in ministack that swallows it."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def apply_jsonata_arguments(state_def: Record, raw_input: Any, ctx: Record | None = None) -> Any:
    """Evaluate the arguments; a retried callback gets a fresh token first."""
    if _CALLBACK in state_def.get("Resource", "") and ctx and (ctx.get("State") or {}).get("RetryCount"):
        ctx["Task"] = {"Token": new_uuid()}
    return _apply_jsonata_arguments(state_def, raw_input, ctx)


def invoke_with_callback(resource: str, input_data: Any, token: str, state_def: Record) -> Any:
    """Remember the token, then wait for its answer or fail with the function's own error."""
    STATE.issued_tokens[token] = getattr(owner, "execution_arn", None)
    while len(STATE.issued_tokens) > _MOST_REMEMBERED:
        STATE.issued_tokens.popitem(last=False)
    _handing_out.token = token
    try:
        return _invoke_with_callback(resource, input_data, token, state_def)
    except _LambdaFailed as failure:
        stepfunctions._task_tokens.pop(token, None)
        raise failure.error from None
    finally:
        _handing_out.token = None


def call_lambda(func_ref: Any, event: Any) -> Any:
    """Invoke a function; if it fails while its token is open, the failure is the task's."""
    try:
        return _call_lambda(func_ref, event)
    except stepfunctions._ExecutionError as error:
        token = getattr(_handing_out, "token", None)
        waiting = stepfunctions._task_tokens.get(token) if token else None
        if waiting is not None and not waiting["event"].is_set():
            raise _LambdaFailed(error) from None
        raise


def close_all(execution_arn: str | None) -> None:
    """Close the open tokens of an execution that was stopped, so that its thread ends."""
    for token in [token for token, of in list(STATE.issued_tokens.items()) if of == execution_arn]:
        waiting = stepfunctions._task_tokens.pop(token, None)
        if waiting is not None:
            waiting["error"] = {"Error": "States.Aborted", "Cause": "The execution was stopped."}
            waiting["event"].set()


def _answered_once(original: JsonAction) -> JsonAction:
    def answer(data: Record) -> Reply:
        token = data.get("taskToken", "")
        waiting = stepfunctions._task_tokens.get(token)
        if waiting is not None and not waiting["event"].is_set():
            return original(data)
        if token in STATE.issued_tokens:
            message = "Task Timed Out: 'Provided task does not exist anymore'"
            return error_response_json("TaskTimedOut", message, 400)
        return error_response_json("InvalidToken", "Invalid Token: 'Invalid token'", 400)

    return answer
