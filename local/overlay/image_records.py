"""The record of an image: its id and name, what is kept of it, and which one a request means."""

import re

from ministack.core.responses import get_account_id
from ministack.services import ec2

from overlay import image_view
from overlay.ec2_wire import Refused, required
from overlay.shapes import Params, Record

_ID = re.compile(r"^ami-(?:[0-9a-fA-F]{8}|[0-9a-fA-F]{17})$")
# What RegisterImage's billing products say about the platform; others change nothing that is visible.
_BILLING_PLATFORMS = {
    "bp-6ba54002": {"PlatformDetails": "Windows", "UsageOperation": "RunInstances:0002", "Platform": "windows"},
    "bp-6fa54006": {"PlatformDetails": "Red Hat Enterprise Linux", "UsageOperation": "RunInstances:0010"},
}


def not_found(image_id: str) -> Refused:
    return Refused("InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist")


def check_id(image_id: str) -> None:
    if not _ID.match(image_id):
        raise Refused("InvalidAMIID.Malformed", f'Invalid id: "{image_id}"')


def own(params: Params) -> Record:
    """The caller's own image; another account's is refused if visible, unknown otherwise."""
    image_id = required(params, "ImageId")
    check_id(image_id)
    owner, image = image_view.find(image_id)
    if image is None or not image_view.visible_to(owner, image, get_account_id()):
        raise not_found(image_id)
    if owner != get_account_id():
        raise Refused("AuthFailure", f"Not authorized for image:{image_id}")
    return image


def check_name(name: str) -> None:
    if not ec2._AMI_NAME_RE.match(name):
        raise Refused(
            "InvalidAMIName.Malformed",
            "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, "
            "'(', ')', '.', '-', '/' and '_'",
        )
    for image in ec2._images.values():
        if image["Name"] == name and image_view.state(image) != "failed":
            raise Refused("InvalidAMIName.Duplicate", f"AMI name {name} is already in use by AMI {image['ImageId']}")


def store(params: Params, image: Record) -> Record:
    """Keep a new image of the caller and the tags asked for; returns the record."""
    image_id = ec2._new_image_id().lower()
    record = {
        "ImageId": image_id,
        "ImageLocation": "",
        "Description": "",
        "CreationDate": ec2._now_ts(),
        "OwnerId": get_account_id(),
        "LaunchPermissions": [],
        "State": "available",
        **image,
    }
    ec2._images[image_id] = record
    ec2._parse_tag_specs(params, "image", image_id)
    for mapping in record["BlockDeviceMappings"]:
        snapshot_id = (mapping.get("Ebs") or {}).get("SnapshotId")
        if snapshot_id:
            ec2._parse_tag_specs(params, "snapshot", snapshot_id)
    return record


def billing_platform(product: str) -> Record:
    """What a billing product says about the platform of its image."""
    return _BILLING_PLATFORMS.get(product, {})


def snapshot_ids(image: Record) -> list[str]:
    disks = ((mapping.get("Ebs") or {}) for mapping in image.get("BlockDeviceMappings") or [])
    return [disk["SnapshotId"] for disk in disks if disk.get("SnapshotId")]
