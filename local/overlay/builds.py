"""CodeBuild builds that take a moment and say when they end.

ministack's build has succeeded before StartBuild answers, and no event tells. Here a build is in
progress for ``delay_ms`` and then succeeds, or ends as a test says; "CodeBuild Build State Change" is
published at both points. The same idempotency token gives the same build. Nothing is built, but a build
of the project that bakes images makes the image (``image_builder``).
"""

import copy
import json
import os
import threading
import time

from ministack.core.responses import AccountRegionScopedDict, get_account_id, get_region, json_response, request_scope
from ministack.services import codebuild

from overlay import events, image_builder

delay_ms = int(os.environ.get("LOCKSTEP_BUILD_DELAY_MS", "300"))
"""How long a build is in progress, in milliseconds; negative: until ``finish`` is called."""

_CONSOLE = "https://console.aws.amazon.com"
_start_build = codebuild._start_build
_by_token = AccountRegionScopedDict()


def install():
    """Replace StartBuild."""
    codebuild._start_build = start


def start(data):
    """StartBuild: in progress now, ended later."""
    token = data.get("idempotencyToken")
    if token and token in _by_token:
        return json_response({"build": copy.deepcopy(codebuild._builds[_by_token[token]])})
    status, headers, body = _start_build(data)
    if status >= 400:
        return status, headers, body
    build = codebuild._builds[json.loads(body)["build"]["id"]]
    build.pop("endTime", None)
    build.update(buildStatus="IN_PROGRESS", currentPhase="SUBMITTED", buildComplete=False)
    overrides = data.get("environmentVariablesOverride")
    if overrides:
        build["environment"] = {**build.get("environment", {}), "environmentVariables": overrides}
    if data.get("sourceLocationOverride"):
        source = {"type": data.get("sourceTypeOverride", "S3"), "location": data["sourceLocationOverride"]}
        build["source"] = {**build.get("source", {}), **source}
    build["logs"] = {"deepLink": f"{_CONSOLE}/codesuite/codebuild/projects/{build['projectName']}/build/{build['id']}"}
    if token:
        _by_token[token] = build["id"]
    _announce(build)
    if delay_ms >= 0:
        arguments = (get_account_id(), get_region(), build["id"])
        timer = threading.Timer(delay_ms / 1000, finish, arguments)
        timer.daemon = True
        timer.start()
    return json_response({"build": copy.deepcopy(build)})


def finish(account, region, build_id, status=None):
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
        if status != "SUCCEEDED":
            context = {"statusCode": "COMMAND_EXECUTION_ERROR", "message": message}
            build["phases"] = [{"phaseType": "BUILD", "phaseStatus": "FAILED", "contexts": [context]}]
        build.update(buildStatus=status, currentPhase="COMPLETED", buildComplete=True, endTime=int(time.time()))
        _announce(build)
        return True


def _announce(build):
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
            "current-phase": build["currentPhase"],
            "current-phase-context": "[]",
            "version": "1",
            "additional-information": {
                "build-complete": build["buildComplete"],
                "initiator": build.get("initiator", ""),
                "source-version": build.get("sourceVersion", ""),
            },
        },
        [build["arn"]],
    )
