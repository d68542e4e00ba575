"""What Packer would do in a build of the project ``lockstep-image-build``: make the image, and say so.

Nothing is installed and no instance runs. The recipe must be in the account's bucket, as CodeBuild would fetch it, and
with the values of the variables for the account; the image gets the name, the tags and the size that a build is given.
What the recipe's scripts do is not seen here.
"""

import io
import json
import zipfile

from ministack.core.responses import get_region
from ministack.services import ec2, s3

from overlay import image_keys, image_lifecycle, image_records, snapshots
from overlay.shapes import Record
from overlay.state import STATE

PROJECT = "lockstep-image-build"
MADE = "LOCKSTEP_MADE"


def expect(asked: Record) -> None:
    """How a build to come ends: ``{"name"?, "status"?, "billing_product"?}``; ``name`` is the image's."""
    STATE.expected_builds.append(asked)


def outcome(build: Record) -> tuple[str, str, str | None]:
    """(status, message, billing product) of a build that ends by itself."""
    name = _tags(build).get("lockstep:image", "")
    for asked in list(STATE.expected_builds):
        if asked.get("name") in (None, name):
            STATE.expected_builds.remove(asked)
            status = asked.get("status") or "SUCCEEDED"
            return status, asked.get("message") or "the local builder was told so", asked.get("billing_product")
    return "SUCCEEDED", "", None


def run(build: Record, billing_product: str | None = None) -> str:
    """Make the image of a build; returns what is wrong with the recipe, or "" once the image is there."""
    given = _variables(build)
    files = _recipe(build)
    if files is None:
        return f"the recipe {build['source'].get('location')} is not there"
    wanted = given.get("LOCKSTEP_VARIABLES", "")
    if wanted not in files:
        return f"the recipe has no {wanted}"
    name = given["LOCKSTEP_AMI_NAME"]
    if any(image["Name"] == name for image in ec2._images.values()):
        return f"the image name {name} is in use"
    values = json.loads(files[wanted])
    named, asked = values.get("kms_key_id", ""), str(values.get("encrypted", "")).lower() == "true"
    key = image_keys.key_of_new_disk(named, asked)
    if named and not key:
        return f"there is no key {named}"
    # CodeBuild's project adds its own ARN, and AWS allows no other one.
    tags = {**json.loads(given["LOCKSTEP_TAGS"]), "lockstep:build": build["arn"]}
    _register(name, tags, values, key, build, billing_product)
    return ""


def _register(
    name: str, tags: dict[str, str], values: Record, key: str | None, build: Record, billing_product: str | None
) -> None:
    size = int(values.get("volume_gib", 8))
    snapshot_id = snapshots.duplicate({"VolumeSize": size}, "Created by CreateImage", "completed")
    disk = {"SnapshotId": snapshot_id, "VolumeSize": size, "VolumeType": "gp3"}
    encrypted = snapshots.encrypt(snapshot_id, key)
    device = {**disk, "DeleteOnTermination": "true", "Encrypted": "true" if encrypted else "false"}
    image = {
        "Name": name,
        "Architecture": "x86_64",
        "RootDeviceType": "ebs",
        "RootDeviceName": "/dev/xvda",
        "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": device}],
        "VirtualizationType": "hvm",
        "EnaSupport": True,
        "BillingProducts": [billing_product] if billing_product else [],
        **(image_records.billing_platform(billing_product) if billing_product else {}),
    }
    record = image_records.store({}, image)
    for resource in (record["ImageId"], snapshot_id):
        ec2._tags[resource] = [{"Key": tag, "Value": value} for tag, value in sorted(tags.items())]
    image_lifecycle.announce(record, build["id"], "")
    build["exportedEnvironmentVariables"] = [{"name": MADE, "value": f"{get_region()}:{record['ImageId']}"}]


def _variables(build: Record) -> dict[str, str]:
    listed = (build.get("environment") or {}).get("environmentVariables") or []
    return {one["name"]: one["value"] for one in listed}


def _tags(build: Record) -> dict[str, str]:
    return json.loads(_variables(build).get("LOCKSTEP_TAGS") or "{}")


def _recipe(build: Record) -> dict[str, bytes] | None:
    """The files of the recipe, or None if the account has no such object."""
    bucket_name, _, key = (build["source"].get("location") or "").partition("/")
    content = s3._get_object_data(bucket_name, key, build.get("sourceVersion"))
    if content is None:
        return None
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
