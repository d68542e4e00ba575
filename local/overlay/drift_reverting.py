"""Change sets that revert drift (``DeploymentMode=REVERT_DRIFT``).

Such a change set compares the template with what is there and not with what the stack was. A property that somebody
changed becomes a change of its own, a resource that somebody deleted is made again, and the change set has no changes
only if nothing differs. A rollback puts back what was there before the execution, drift included. Types that no reader
knows are left as they are.
"""

import json
from typing import Any

from ministack.core.responses import now_iso
from ministack.services import cloudformation
from ministack.services.cloudformation import changesets, drift, helpers

from overlay import patched
from overlay.shapes import Params, Record, Reply

_create = patched.CLOUDFORMATION_ACTIONS.current("CreateChangeSet")
_describe = patched.CLOUDFORMATION_ACTIONS.current("DescribeChangeSet")
_execute = patched.CLOUDFORMATION_ACTIONS.current("ExecuteChangeSet")


def install() -> None:
    """Stand around the making, the describing and the execution of change sets."""
    patched.CLOUDFORMATION_ACTIONS.replace("CreateChangeSet", create)
    patched.CLOUDFORMATION_ACTIONS.replace("DescribeChangeSet", describe)
    patched.CLOUDFORMATION_ACTIONS.replace("ExecuteChangeSet", execute)


def create(params: Params) -> Reply:
    """CreateChangeSet, which looks at what is there if it is asked to revert drift."""
    mode = helpers._p(params, "DeploymentMode")
    if mode not in ("", "REVERT_DRIFT"):
        message = (
            f"Value '{mode}' at 'deploymentMode' failed to satisfy constraint: "
            "Member must satisfy enum value set: [REVERT_DRIFT]"
        )
        return helpers._error("ValidationError", message)
    answer = _create(params)
    if mode and answer[0] < 400:
        _, change_set = _named(params)
        _look(change_set, cloudformation._stacks[change_set["StackName"]])
    return answer


def _named(params: Params) -> tuple[str, Record]:
    return changesets._find_change_set(helpers._p(params, "ChangeSetName"), helpers._p(params, "StackName"))


def _look(change_set: Record, stack: Record) -> None:
    """Add to a change set what drifted of the resources that its template keeps."""
    kept, found = change_set["_template"].get("Resources", {}), {}
    for logical_id, record in stack.get("_resources", {}).items():
        if logical_id in kept and drift.supports_drift(record["ResourceType"]):
            found[logical_id] = drift.detect_resource_drift(stack, logical_id, record, now_iso())
    change_set["_drift"] = {
        one: of for one, of in found.items() if of["StackResourceDriftStatus"] in ("MODIFIED", "DELETED")
    }
    change_set["_examined"] = {one: of["StackResourceDriftStatus"] for one, of in found.items()}
    change_set["DeploymentMode"] = "REVERT_DRIFT"
    if not change_set["_drift"] or (
        change_set["Status"] == "FAILED" and "didn't contain changes" not in change_set["StatusReason"]
    ):
        return
    changes = {one["ResourceChange"]["LogicalResourceId"]: one for one in change_set["Changes"]}
    for logical_id, of in change_set["_drift"].items():
        changes[logical_id] = _change(logical_id, of, changes.get(logical_id))
    change_set.update(
        Changes=list(changes.values()), Status="CREATE_COMPLETE", ExecutionStatus="AVAILABLE", StatusReason=""
    )


def _change(logical_id: str, of: Record, planned: Record | None) -> Record:
    """Returns the change that reverts a resource, beside what was planned for it anyway."""
    if of["StackResourceDriftStatus"] == "DELETED":
        return {
            "ResourceChange": {"Action": "Add", "LogicalResourceId": logical_id, "ResourceType": of["ResourceType"]}
        }
    names = {one["PropertyPath"].split("/")[1] for one in of["PropertyDifferences"]}
    change = (planned or {}).get("ResourceChange") or {
        "Action": "Modify",
        "LogicalResourceId": logical_id,
        "PhysicalResourceId": of["PhysicalResourceId"],
        "ResourceType": of["ResourceType"],
        "Replacement": "False",
        "Scope": [],
        "Details": [],
    }
    change["Scope"] = sorted({*change.get("Scope", []), "Properties"})
    change["Details"] = change.get("Details", []) + [
        {
            "Target": {"Attribute": "Properties", "Name": name, "RequiresRecreation": "Never"},
            "Evaluation": "Static",
            "ChangeSource": "NoModification",
        }
        for name in sorted(names)
    ]
    return {"ResourceChange": change}


def describe(params: Params) -> Reply:
    """DescribeChangeSet, with the mode and with the drift of each resource that changes."""
    status, headers, body = _describe(params)
    _, change_set = _named(params)
    if status >= 400 or not change_set or "DeploymentMode" not in change_set:
        return status, headers, body
    for logical_id, found in change_set["_examined"].items():
        named = f"<LogicalResourceId>{logical_id}</LogicalResourceId>".encode()
        body = body.replace(named, named + f"<ResourceDriftStatus>{found}</ResourceDriftStatus>".encode())
    drifted = "DRIFTED" if change_set["_drift"] else "IN_SYNC"
    told = f"<DeploymentMode>REVERT_DRIFT</DeploymentMode><StackDriftStatus>{drifted}</StackDriftStatus>"
    return status, headers, body.replace(b"</DescribeChangeSetResult>", told.encode() + b"</DescribeChangeSetResult>")


def execute(params: Params) -> Reply:
    """ExecuteChangeSet, which starts from what is there if it reverts drift."""
    _, change_set = _named(params)
    stack = cloudformation._stacks.get((change_set or {}).get("StackName", "")) or {}
    if change_set and change_set["ExecutionStatus"] == "AVAILABLE":
        for logical_id, of in change_set.get("_drift", {}).items():
            _start_from(stack["_resources"], logical_id, of)
    return _execute(params)


def _start_from(resources: dict[str, Any], logical_id: str, of: Record) -> None:
    """Make the record of a resource say what is there now, so that the update sees the difference."""
    if of["StackResourceDriftStatus"] == "DELETED":
        resources.pop(logical_id, None)
        return
    expected, actual = json.loads(of["ExpectedProperties"]), json.loads(of["ActualProperties"])
    properties = dict(resources[logical_id]["Properties"])
    for name in {one["PropertyPath"].split("/")[1] for one in of["PropertyDifferences"]}:
        if name in actual:
            properties[name] = actual[name]
        elif name in expected:
            properties.pop(name, None)
    resources[logical_id]["Properties"] = properties
