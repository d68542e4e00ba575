"""Step Functions executions that start, nest and stop the way AWS's do.

* The same name and input given to a running execution is the same execution; to a closed one, or with
  another input, it is refused. ministack refuses the first, and a nested start overwrites the second.
* A nested execution that fails is ``States.TaskFailed``, its description the cause.
* Stopping an execution stops what it waits for: its token is closed, its nested execution stopped.
* An execution starts at once (ministack waits 150 ms, which a deployment pays a dozen times).
"""

import json
import threading
import time
from typing import Any

from ministack.services import stepfunctions

from overlay import patched, task_tokens
from overlay.shapes import Record, Reply

_START_DELAY_SECONDS = 0.15
_start_execution = patched.START_EXECUTION.current()
_stop_execution = patched.STOP_EXECUTION.current()
_execute_task = patched.EXECUTE_TASK.current()
_running = threading.local()


def install() -> None:
    """Replace starting, nesting and stopping."""
    patched.START_EXECUTION.replace(start)
    patched.STOP_EXECUTION.replace(stop)
    patched.EXECUTE_TASK.replace(execute_task)
    patched.START_NESTED_EXECUTION.replace(start_nested_and_wait)
    stepfunctions.time = _Clock()  # type: ignore[assignment] # It stands for the module.


class _Clock:
    """The ``time`` module as Step Functions sees it: its start delay is short, all else is real."""

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    @staticmethod
    def sleep(seconds: float) -> None:
        time.sleep(0.005 if seconds == _START_DELAY_SECONDS else seconds)


def start(data: Record) -> Reply:
    """StartExecution, idempotent while the execution runs."""
    status, headers, body = _start_execution(data)
    if status < 400 or "ExecutionAlreadyExists" not in body.decode():
        return status, headers, body
    existing = _named(data)
    if existing is None or existing["status"] != "RUNNING" or existing["input"] != data.get("input", "{}"):
        return status, headers, body
    answer = {"executionArn": existing["executionArn"], "startDate": existing["startDate"]}
    return stepfunctions.json_response(answer)


def _named(data: Record) -> Record | None:
    machine = stepfunctions._resolve_state_machine_arn(data.get("stateMachineArn", "").split("#")[0])
    for execution in stepfunctions._executions.values():
        if execution["stateMachineArn"] == machine and execution["name"] == data.get("name"):
            return execution
    return None


def execute_task(state_def: Record, raw_input: Any, execution: Record | None, ctx: Record | None) -> Any:
    """Run a task, remembering on its thread which execution it belongs to."""
    before = getattr(_running, "execution", None)
    _running.execution = execution
    task_tokens.owner.execution_arn = (execution or {}).get("executionArn")
    try:
        return _execute_task(state_def, raw_input, execution, ctx)
    finally:
        _running.execution = before
        task_tokens.owner.execution_arn = (before or {}).get("executionArn")


def start_nested_and_wait(resource: str, input_data: Any) -> Record:
    """``startExecution.sync`` and ``.sync:2``: start by name or join, then wait for the end."""
    request = stepfunctions._nested_start_execution_request(input_data)
    status, _, body = stepfunctions._start_execution(request)
    answer = json.loads(body)
    if status >= 400:
        raise stepfunctions._ExecutionError(_error_name(answer), answer.get("message", ""))
    child = stepfunctions._executions[answer["executionArn"]]
    _wait(child)
    description = _description(child)
    if child["status"] != "SUCCEEDED":
        raise stepfunctions._ExecutionError("States.TaskFailed", json.dumps(description))
    if resource.endswith(".sync:2"):
        description["Output"] = json.loads(child["output"])
    return description


def _error_name(answer: Record) -> str:
    code = answer.get("__type", "Unknown").rsplit("#", 1)[-1]
    return f"StepFunctions.{code}" if code.endswith("Exception") else f"StepFunctions.{code}Exception"


def _wait(child: Record) -> None:
    parent = getattr(_running, "execution", None) or {"status": "RUNNING"}
    while child["status"] == "RUNNING":
        if parent["status"] != "RUNNING":
            stop({"executionArn": child["executionArn"], "error": "States.Aborted", "cause": "The parent was stopped."})
            return
        time.sleep(0.005)


def _description(execution: Record) -> Record:
    shown = {
        "ExecutionArn": execution["executionArn"],
        "Input": execution["input"],
        "InputDetails": {"Included": True},
        "Name": execution["name"],
        "StartDate": execution["startDate"],
        "StateMachineArn": execution["stateMachineArn"],
        "Status": execution["status"],
        "StopDate": execution["stopDate"],
    }
    if execution["status"] == "SUCCEEDED":
        return {**shown, "Output": execution["output"], "OutputDetails": {"Included": True}}
    return {**shown, "Error": execution.get("error"), "Cause": execution.get("cause")}


def stop(data: Record) -> Reply:
    """StopExecution, which closes the tokens the execution waits for."""
    answer = _stop_execution(data)
    if answer[0] < 400:
        task_tokens.close_all(data.get("executionArn"))
    return answer
