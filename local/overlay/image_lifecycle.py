"""How an image gets from pending to available or failed, and the event that says so.

A new image is pending for ``image_delay_ms`` with its snapshots; then it is available, or failed if a reason
was found while copying or asked for by a test. "EC2 AMI State Change" is published as on AWS, also when
an image is deregistered or disabled. There is no event for pending.
"""

import threading

from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import ec2

from overlay import events
from overlay.shapes import Record
from overlay.state import STATE


def fail_next(message: str, name: str | None = None) -> None:
    """Let the next image that is made (or the next one called ``name``) end in ``failed``."""
    STATE.failing_images.append({"message": message, "name": name})


def begin(image: Record, request_id: str, failure: Record | None = None) -> None:
    """Start the pending time of the caller's new image; ``failure`` is why it will not become available."""
    image["State"] = "pending"
    image["_failure"] = failure or _asked_failure(image["Name"])
    image["_request_id"] = request_id
    timer = threading.Timer(STATE.image_delay_ms / 1000, finish, (get_account_id(), get_region(), image["ImageId"]))
    timer.daemon = True
    timer.start()


def _asked_failure(name: str) -> Record | None:
    for failure in list(STATE.failing_images):
        if failure["name"] in (None, name):
            STATE.failing_images.remove(failure)
            return {"Code": "Client.InternalError", "Message": failure["message"]}
    return None


def finish(account: str, region: str, image_id: str) -> None:
    """End the pending time now; nothing happens to an image that is gone or no longer pending."""
    with request_scope(account, region):
        image = ec2._images.get(image_id)
        if image is None or image.get("State") != "pending":
            return
        failure = image.pop("_failure", None)
        image["State"] = "failed" if failure else "available"
        if failure:
            image["StateReason"] = failure
        for mapping in image.get("BlockDeviceMappings") or []:
            snapshot = ec2._snapshots.get((mapping.get("Ebs") or {}).get("SnapshotId", ""))
            if snapshot and snapshot["State"] == "pending":
                snapshot.update(_ended_snapshot(failure))
        announce(image, image["_request_id"], failure["Message"] if failure else "")


def _ended_snapshot(failure: Record | None) -> Record:
    if failure:
        return {"State": "error", "StateMessage": failure["Message"]}
    return {"State": "completed", "Progress": "100%"}


def announce(image: Record, request_id: str, error_message: str = "") -> None:
    """Publish the image's present state in the caller's account and region."""
    account, region, image_id = get_account_id(), get_region(), image["ImageId"]
    events.publish(
        account,
        region,
        "aws.ec2",
        "EC2 AMI State Change",
        {
            "RequestId": request_id,
            "ImageId": image_id,
            "State": image["State"],
            "ErrorMessage": error_message,
        },
        [f"arn:aws:ec2:{region}::image/{image_id}"],
    )
