"""Where ministack has an image action of its own, the overlay answers as it does, but for what is listed here.

The same calls go to the emulator with the overlay and to one without it.
"""

import atexit
import functools
import os
import socket
import subprocess
import sys
import unittest
import urllib.request
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError

from overlay.shapes import Record
from overlay.tests import support
from overlay.tests.support import DEVELOPMENT, PRODUCTION, REGION, Client, eventually, unique

# What the overlay adds to an image, since AWS has it and Lockstep reads it.
_ADDED = {
    "CreationDate",
    "EnaSupport",
    "Encrypted",
    "ImageOwnerAlias",
    "PlatformDetails",
    "UsageOperation",
    "State",
    "DeprecationTime",
}
# What ministack makes up: a description that nobody gave, and an empty list of tags.
_MADE_UP = {"Description", "Tags"}
# What differs from call to call.
_VARIES = {"ImageId", "Name", "ImageLocation", "CreationDate", "SnapshotId", "VolumeId", "StartTime"}


@functools.cache
def _plain() -> str:
    """The address of a ministack without the overlay, which ends with the run."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "MINISTACK_REGION": REGION,
    }
    command = [sys.executable, "-m", "ministack"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    atexit.register(process.wait)
    atexit.register(process.terminate)
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            with urllib.request.urlopen(address + "/_ministack/health", timeout=1) as reply:
                return reply.status == 200
        except OSError:
            return False

    eventually(answers, "ministack answers")
    return address


def _client(endpoint: str, account: str) -> Client:
    return support._session().create_client(
        "ec2",
        region_name=REGION,
        endpoint_url=endpoint,
        aws_access_key_id=account,
        aws_secret_access_key=support.root_secret(account),
        config=Config(retries={"total_max_attempts": 1}),
    )


def _code(call: Callable[..., Any], **arguments: Any) -> str | None:
    """The code of the refusal, or ``None`` if it is none."""
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


def _without(answer: Record, more: AbstractSet[str] = frozenset()) -> Record:
    """What is left to compare."""
    return {key: value for key, value in answer.items() if key not in _ADDED | _VARIES | more}


def _told(endpoint: str) -> Record:
    """What happens to an image that is registered, shared and deregistered: every answer, made comparable."""
    owner, other = _client(endpoint, DEVELOPMENT), _client(endpoint, PRODUCTION)
    volume = owner.create_volume(AvailabilityZone=f"{REGION}a", Size=9, VolumeType="gp3")["VolumeId"]
    disk = owner.create_snapshot(VolumeId=volume)["SnapshotId"]
    asked = {
        "Name": unique("second"),
        "Architecture": "arm64",
        "VirtualizationType": "hvm",
        "RootDeviceName": "/dev/xvda",
        "BlockDeviceMappings": [
            {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": disk, "VolumeSize": 9, "VolumeType": "gp3"}}
        ],
        "TagSpecifications": [{"ResourceType": "image", "Tags": [{"Key": "version", "Value": "1"}]}],
    }
    image_id = owner.register_image(**asked)["ImageId"]
    image = owner.describe_images(ImageIds=[image_id])["Images"][0]
    told = {
        "fields": {key for key in image if key not in _ADDED | _MADE_UP},
        "image": _without(image, {"BlockDeviceMappings", "Description"}),
        "tags": image["Tags"],
        "device": _without(image["BlockDeviceMappings"][0]["Ebs"]),
        "by tag": len(
            owner.describe_images(Filters=[{"Name": "tag:version", "Values": ["1"]}], Owners=["self"])["Images"]
        )
        > 0,
        "same name": _code(owner.register_image, **asked),
        "unseen": [one["ImageId"] for one in other.describe_images(Owners=[DEVELOPMENT])["Images"]],
    }
    owner.modify_image_attribute(ImageId=image_id, LaunchPermission={"Add": [{"UserId": PRODUCTION}]})
    shared = owner.describe_image_attribute(ImageId=image_id, Attribute="launchPermission")
    told["shared"] = shared["LaunchPermissions"]
    told["seen"] = len(other.describe_images(ImageIds=[image_id])["Images"])
    owner.modify_image_attribute(ImageId=image_id, LaunchPermission={"Remove": [{"UserId": PRODUCTION}]})
    shared = owner.describe_image_attribute(ImageId=image_id, Attribute="launchPermission")
    told["withdrawn"] = shared.get("LaunchPermissions", [])
    snapshot = owner.describe_snapshots(SnapshotIds=[disk])["Snapshots"][0]
    told["snapshot"] = _without(snapshot, _MADE_UP)
    owner.deregister_image(ImageId=image_id)
    told["gone"] = _code(owner.deregister_image, ImageId=image_id)
    owner.delete_snapshot(SnapshotId=disk)
    told["snapshot gone"] = _code(owner.delete_snapshot, SnapshotId=disk)
    return told


class SecondOpinion(unittest.TestCase):
    """One body of calls, two emulators."""

    maxDiff = None

    def test_images_are_registered_shown_shared_and_deregistered_as_by_ministack_itself(self) -> None:
        ours, theirs = _told(support.endpoint()), _told(_plain())
        self.assertEqual(set(ours), set(theirs))
        for what in theirs:
            with self.subTest(what):
                self.assertEqual(ours[what], theirs[what])
