"""Records every Lambda execution, however it was started, and lets faults strike those of Step Functions.

An API call to Invoke is in the journal as a call as well; this entry (``kind: invocation``) counts what
really ran, with the function's own account. Faults on service ``lambda``, action ``Invoke`` also strike
a state machine's invocation, as the errors a state machine sees: ``Lambda.TooManyRequestsException``,
``Lambda.ServiceException``, ``Lambda.Unknown`` when the reply is lost.
"""

import json
import time
from collections.abc import Callable
from typing import Any

from ministack.services import stepfunctions

from overlay import patched, rules
from overlay.contracts import CallLambda
from overlay.shapes import Record

_run = patched.RUN_FUNCTION.current()


def install() -> None:
    """Stand around the one function every execution passes through, and the one Step Functions uses."""
    patched.RUN_FUNCTION.replace(run)
    patched.CALL_LAMBDA.replace(_with_faults(patched.CALL_LAMBDA.current()))


def run(func: Record, config: Record, event: Record, request_id: str, started: float) -> Record:
    """Run a function and record it."""
    result = _run(func, config, event, request_id, started)
    arn = config.get("FunctionArn", "")
    rules.calls.add(
        {
            "kind": "invocation",
            "time": started,
            "duration_ms": round((time.time() - started) * 1000),
            "service": "lambda",
            "action": "Execute",
            "account": arn.split(":")[4] if arn.count(":") >= 6 else "",
            "function": config.get("FunctionName", ""),
            "principal": config.get("Role", ""),
            "status": 500 if result.get("error") else 200,
            "request_id": request_id,
        }
    )
    return result


def _with_faults(call: CallLambda) -> CallLambda:
    def call_lambda(func_ref: Any, event: Any) -> Any:
        parts = func_ref.split(":") if isinstance(func_ref, str) else []
        facts = {
            "service": "lambda",
            "action": "Invoke",
            "account": parts[4] if len(parts) > 6 else "",
            "principal": "states.amazonaws.com",
            "contains": f"{func_ref} {json.dumps(event)}",
        }
        rule = rules.faults.striking("call", facts)
        return _struck(rule.effect, lambda: call(func_ref, event)) if rule else call(func_ref, event)

    return call_lambda


def _struck(effect: Record, proceed: Callable[[], Any]) -> Any:
    kind = effect["kind"]
    if kind == "delay":
        time.sleep(effect.get("ms", 1000) / 1000)
        return proceed()
    if kind == "throttle":
        raise stepfunctions._ExecutionError("Lambda.TooManyRequestsException", "Rate exceeded")
    if kind in ("server_error", "reset"):
        raise stepfunctions._ExecutionError("Lambda.ServiceException", "Service unavailable")
    if kind == "error":
        raise stepfunctions._ExecutionError(effect.get("code", "Lambda.Unknown"), effect.get("message", ""))
    if kind == "drop_reply":
        proceed()
        raise stepfunctions._ExecutionError("Lambda.Unknown", "The reply of the function was lost.")
    return proceed()
