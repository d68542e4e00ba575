"""CodeBuild builds that take a moment and say when they end.

ministack's build has succeeded before StartBuild answers, and no event tells. Here a build is in
progress for ``build_delay_ms`` and then succeeds, or ends as a test says, or is stopped; "CodeBuild Build State
Change" is published at both points. The same idempotency token gives the same build, and refuses other
parameters. Nothing is built, but a build of the project that bakes images makes the image (``image_builder``).
"""

import copy
import json
import threading
import time

from ministack.core.responses import (
    error_response_json,
    get_account_id,
    get_region,
    json_response,
    request_scope,
)
from ministack.services import codebuild

from overlay import events, image_builder, patched
from overlay.shapes import Record, Reply
from overlay.state import STATE

_CONSOLE = "https://console.aws.amazon.com"
# What a build goes through before its commands.
_BEFORE = ("SUBMITTED", "QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD")
_start_build, _stop_build = patched.START_BUILD.current(), patched.STOP_BUILD.current()


def install() -> None:
    """Replace StartBuild and StopBuild."""
    patched.START_BUILD.replace(start)
    patched.STOP_BUILD.replace(stop)


def start(data: Record) -> Reply:
    """StartBuild: in progress now, ended later."""
    token = data.get("idempotencyToken")
    if token and token in STATE.builds:
        before, build_id = STATE.builds[token]
        if before != data:
            message = "The idempotency token was used before, with other parameters."
            return error_response_json("InvalidInputException", message, 400)
        return json_response({"build": copy.deepcopy(codebuild._builds[build_id])})
    status, headers, body = _start_build(data)
    if status >= 400:
        return status, headers, body
    build = codebuild._builds[json.loads(body)["build"]["id"]]
    build.pop("endTime", None)
    build.update(buildStatus="IN_PROGRESS", currentPhase="SUBMITTED", buildComplete=False)
    build["phases"] = [{"phaseType": "SUBMITTED", "startTime": build["startTime"]}]
    # Where a build's artifacts are; the type is the project's.
    build["artifacts"] = {"location": ""}
    overrides = data.get("environmentVariablesOverride")
    if overrides:
        build["environment"] = {**build.get("environment", {}), "environmentVariables": overrides}
    if data.get("sourceLocationOverride"):
        source = {"type": data.get("sourceTypeOverride", "S3"), "location": data["sourceLocationOverride"]}
        build["source"] = {**build.get("source", {}), **source}
    if data.get("sourceVersion"):
        build["sourceVersion"] = data["sourceVersion"]
    build["logs"] = {"deepLink": f"{_CONSOLE}/codesuite/codebuild/projects/{build['projectName']}/build/{build['id']}"}
    if token:
        STATE.builds[token] = (data, build["id"])
    _announce(build)
    if STATE.build_delay_ms >= 0:
        arguments = (get_account_id(), get_region(), build["id"])
        timer = threading.Timer(STATE.build_delay_ms / 1000, finish, arguments)
        timer.daemon = True
        timer.start()
    return json_response({"build": copy.deepcopy(build)})


def stop(data: Record) -> Reply:
    """StopBuild: what is in progress is stopped, and says so; what has ended stays as it ended."""
    build_id = data.get("id", "")
    if build_id not in codebuild._builds:
        return _stop_build(data)
    finish(get_account_id(), get_region(), build_id, "STOPPED")
    return json_response({"build": copy.deepcopy(codebuild._builds[build_id])})


def finish(account: str, region: str, build_id: str, status: str | None = None) -> bool:
    """End a build that is in progress, as SUCCEEDED, FAILED, FAULT, TIMED_OUT or STOPPED, or as it ends by itself.

    Returns whether it was in progress.
    """
    with request_scope(account, region):
        build = codebuild._builds.get(build_id)
        if build is None or build["buildStatus"] != "IN_PROGRESS":
            return False
        message, billing_product = "ended by a test", None
        if status is None:
            status, message, billing_product = image_builder.outcome(build)
        if status == "SUCCEEDED" and build["projectName"] == image_builder.PROJECT:
            message = image_builder.run(build, billing_product)
            status = "FAILED" if message else "SUCCEEDED"
        now = int(time.time())
        build["phases"] = _phases(build["startTime"], now, status, message)
        build.update(buildStatus=status, currentPhase="COMPLETED", buildComplete=True, endTime=now)
        _announce(build)
        return True


def _phases(begun: int, ended: int, status: str, message: str) -> list[Record]:
    """What a build went through: its commands run in BUILD, and there it fails."""
    times = {"startTime": begun, "endTime": ended}
    phases = [{"phaseType": one, "phaseStatus": "SUCCEEDED", **times} for one in _BEFORE]
    build = {"phaseType": "BUILD", "phaseStatus": status, **times}
    if status != "SUCCEEDED":
        build["contexts"] = [{"statusCode": "COMMAND_EXECUTION_ERROR", "message": message}]
    return [*phases, build, {"phaseType": "COMPLETED", "startTime": ended}]


def _announce(build: Record) -> None:
    """Publish the build's state with every field of AWS's example.

    https://docs.aws.amazon.com/codebuild/latest/userguide/sample-build-notifications-ref.html
    """
    account, region = build["arn"].split(":")[4], build["arn"].split(":")[3]
    events.publish(
        account,
        region,
        "aws.codebuild",
        "CodeBuild Build State Change",
        {
            "build-status": build["buildStatus"],
            "project-name": build["projectName"],
            "build-id": build["arn"],
            "additional-information": _information(build),
            "current-phase": build["currentPhase"],
            "current-phase-context": "[]",
            "version": "1",
        },
        [build["arn"]],
    )


def _information(build: Record) -> Record:
    environment, source = build.get("environment", {}), build.get("source", {})
    variables = [
        {"name": each["name"], "type": each.get("type", "PLAINTEXT"), "value": each["value"]}
        for each in environment.get("environmentVariables", [])
    ]
    return {
        "artifact": {"location": build.get("artifacts", {}).get("location", "")},
        "environment": {
            "image": environment.get("image", ""),
            "privileged-mode": environment.get("privilegedMode", False),
            "compute-type": environment.get("computeType", ""),
            "type": environment.get("type", ""),
            "environment-variables": variables,
        },
        "timeout-in-minutes": build.get("timeoutInMinutes", 60),
        "build-complete": build["buildComplete"],
        "initiator": build.get("initiator", ""),
        "build-start-time": _told_time(build["startTime"]),
        "source": {"location": source.get("location", ""), "type": source.get("type", "")},
        "source-version": build.get("sourceVersion", ""),
        "logs": {
            "group-name": f"/aws/codebuild/{build['projectName']}",
            "stream-name": build["id"].partition(":")[2],
            "deep-link": build.get("logs", {}).get("deepLink", ""),
        },
        "phases": [_told_phase(phase) for phase in build["phases"]],
    }


def _told_phase(phase: Record) -> Record:
    told = {"phase-type": phase["phaseType"], "start-time": _told_time(phase["startTime"])}
    if "endTime" in phase:
        duration = int(phase["endTime"]) - int(phase["startTime"])
        contexts = [f"{each['statusCode']}: {each['message']}" for each in phase.get("contexts", [])]
        told |= {"end-time": _told_time(phase["endTime"]), "duration-in-seconds": duration, "phase-context": contexts}
        told |= {"phase-status": phase["phaseStatus"]}
    return told


def _told_time(seconds: float) -> str:
    """Returns a time as CodeBuild writes it into events: Sep 1, 2017 4:12:29 PM."""
    at = time.gmtime(seconds)
    return (
        f"{time.strftime('%b', at)} {at.tm_mday}, {at.tm_year} {at.tm_hour % 12 or 12}:{time.strftime('%M:%S %p', at)}"
    )
