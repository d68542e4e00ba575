"""Where moto has an action that the overlay answers, both answer alike, but for what is listed here.

moto is another emulator, made by others, within one account: what it and the overlay agree on, two have thought of.
The same calls go to both. Compared is the shape of each answer (which fields, of which type), the values that the call
decides, and the code of each refusal. A difference is listed with its reason; one that is gone fails the test like
one that is new.

Runs in a virtual environment of its own (``requirements.txt`` here): moto is no part of the local cloud.
"""

import ast
import unittest
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError
from moto import mock_aws

from overlay.shapes import Record
from overlay.tests import support
from overlay.tests.support import DEVELOPMENT, PRODUCTION, REGION, Client, eventually

_OVERLAY = Path(__file__).resolve().parents[1]
# What Lockstep calls beside EC2: of KMS the overlay answers DescribeKey, ministack the rest.
_BESIDE_EC2 = {"CreateKey", "DescribeKey", "CreateGrant", "ListGrants", "RevokeGrant"}
_BESIDE_EC2 |= {"PutParameter", "GetParameter", "GetParametersByPath", "DeleteParameter"}
# Actions that moto has not: there is AWS's documentation alone to ask.
_NOT_IN_MOTO = {
    "DescribeImageReferences",
    "DisableAllowedImagesSettings",
    "DisableImageDeprecation",
    "DisableImageDeregistrationProtection",
    "EnableAllowedImagesSettings",
    "EnableImageDeprecation",
    "EnableImageDeregistrationProtection",
    "GetAllowedImagesSettings",
    "GetEbsDefaultKmsKeyId",
    "ReplaceImageCriteriaInAllowedImagesSettings",
    "ResetEbsDefaultKmsKeyId",
    "ResetImageAttribute",
    "ResetSnapshotAttribute",
}
# Fields whose value the calls decide, so that it must be the same one. The others differ with each run.
_SAME_VALUE = {
    "Architecture",
    "Description",
    "DeviceName",
    "Encrypted",
    "Key",
    "Name",
    "Public",
    "RootDeviceType",
    "State",
    "Type",
}
_SAME_VALUE |= {"UserId", "Value", "VirtualizationType", "VolumeSize", "VolumeType"}

_DEVICE = "Images[].BlockDeviceMappings[]."
_METADATA = {"CurrentKeyMaterialId", "KeyUsage", "MultiRegion"}
# (why, action or call, places in its answer); the place of a refusal is "".
_ACCEPTED = (
    (
        "what AWS tells of an image and moto leaves out",
        "DescribeImages",
        {
            "Images[]." + one
            for one in ("EnaSupport", "Hypervisor", "ImageLocation", "PlatformDetails", "UsageOperation")
        }
        | {"Images[].SourceImageId", "Images[].SourceImageRegion", f"{_DEVICE}Ebs.Encrypted"},
    ),
    (
        "moto's images have one device of its own making, whatever was registered",
        "DescribeImages",
        {f"{_DEVICE}DeviceName", f"{_DEVICE}Ebs.VolumeSize", f"{_DEVICE}Ebs.VolumeType", "Images[].RootDeviceType"},
    ),
    (
        "of a registered image moto keeps the name alone",
        "DescribeImages",
        {"Images[]." + one for one in ("Architecture", "VirtualizationType", "Tags[].Key", "Tags[].Value")},
    ),
    (
        "moto writes what is empty, and a boot mode of its own",
        "DescribeImages",
        {"Images[]." + one for one in ("BootMode", "Description", "Platform", "ProductCodes[]", "Tags[]")},
    ),
    (
        "AWS answers the tags of a copied snapshot too; nothing here reads them",
        "CopySnapshot",
        {"Tags[]", "Tags[].Key", "Tags[].Value"},
    ),
    ("ministack writes what is empty", "CreateVolume", {"MultiAttachEnabled", "SnapshotId", "Tags[]"}),
    ("what AWS tells of a key and moto leaves out", "CreateKey", {f"KeyMetadata.{one}" for one in _METADATA}),
    ("what AWS tells of a key and moto leaves out", "DescribeKey", {f"KeyMetadata.{one}" for one in _METADATA}),
    (
        "what AWS tells of a grant and moto leaves out",
        "ListGrants",
        {"Grants[].CreationDate", "Grants[].IssuingAccount"},
    ),
    ("on AWS a name is one image's; moto does not look", "registered again", {""}),
    ("on AWS an id of the wrong form is malformed, not unknown", "malformed", {""}),
    (
        "on AWS an image is unknown soon after it was deregistered; moto shows none, and calls it unavailable",
        "as gone",
        {""},
    ),
    ("as above", "deregistered again", {""}),
)


class _Story:
    """Calls made to one emulator, and what came of each: the shape of the answer, or the code of the refusal."""

    def __init__(self, clients: dict[str, Client]) -> None:
        self._clients = clients
        self.told: dict[str, Record] = {}
        self.called: dict[str, str] = {}

    def __call__(self, label: str, service: str, action: str, **arguments: Any) -> Any:
        api = self._clients[service]
        operation = api.meta.method_to_api_mapping[action]
        self.called[label] = operation
        try:
            answer = getattr(api, action)(**arguments)
        except ClientError as error:
            self.told[label] = {"": "refused: " + error.response["Error"]["Code"]}
            return {}
        except NotImplementedError:
            # moto says so of an action, and of a filter.
            return {}
        answer.pop("ResponseMetadata")
        self.told[label] = dict(_flat(answer))
        return answer

    def missing(self) -> set[str]:
        """The actions of which no call was answered, nor refused."""
        return set(self.called.values()) - {self.called[label] for label in self.told}


def _flat(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """The fields of an answer by their place: the value, if the calls decide it, or else its type."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{place}.{key}" if place else key)
    elif isinstance(value, list):
        yield f"{place}[]", len(value)
        for inner in value[:1]:
            yield from _flat(inner, f"{place}[]")
    else:
        yield place, value if place.rsplit(".", 1)[-1] in _SAME_VALUE else type(value).__name__


def _of_volumes(call: _Story) -> Any:
    """A volume and its snapshots; returns the id of one."""
    volume = call("a volume", "ec2", "create_volume", AvailabilityZone=f"{REGION}a", Size=9, VolumeType="gp3")[
        "VolumeId"
    ]
    tags = [{"ResourceType": "snapshot", "Tags": [{"Key": "Name", "Value": "disk"}]}]
    asked = {"VolumeId": volume, "Description": "a disk", "TagSpecifications": tags}
    disk = call("a snapshot", "ec2", "create_snapshot", **asked)["SnapshotId"]
    call("its description", "ec2", "describe_snapshots", SnapshotIds=[disk])
    call("an unknown snapshot", "ec2", "describe_snapshots", SnapshotIds=["snap-0123456789abcdef0"])
    copied = {"SourceSnapshotId": disk, "SourceRegion": REGION, "Description": "a copy", "TagSpecifications": tags}
    copy = call("a copy of it", "ec2", "copy_snapshot", **copied)["SnapshotId"]
    attribute = {"SnapshotId": copy, "Attribute": "createVolumePermission"}
    users = {**attribute, "UserIds": [PRODUCTION]}
    call("shared", "ec2", "modify_snapshot_attribute", OperationType="add", **users)
    call("with whom", "ec2", "describe_snapshot_attribute", **attribute)
    call("withdrawn", "ec2", "modify_snapshot_attribute", OperationType="remove", **users)
    call("with nobody", "ec2", "describe_snapshot_attribute", **attribute)
    call("reset", "ec2", "reset_snapshot_attribute", **attribute)
    call("tried to delete", "ec2", "delete_snapshot", SnapshotId=copy, DryRun=True)
    call("deleted", "ec2", "delete_snapshot", SnapshotId=copy)
    call("deleted again", "ec2", "delete_snapshot", SnapshotId=copy)
    return disk


def _of_registered_images(call: _Story, disk: Record) -> None:
    """An image of a snapshot, until it is gone."""
    device = {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": disk, "VolumeSize": 9, "VolumeType": "gp3"}}
    asked = {
        "Name": "of-a-disk",
        "Architecture": "x86_64",
        "VirtualizationType": "hvm",
        "RootDeviceName": "/dev/xvda",
        "BlockDeviceMappings": [device],
        "TagSpecifications": [{"ResourceType": "image", "Tags": [{"Key": "version", "Value": "1"}]}],
    }
    image = call("registered", "ec2", "register_image", **asked)["ImageId"]
    call("registered again", "ec2", "register_image", **asked)
    call("as registered", "ec2", "describe_images", ImageIds=[image])
    call("deprecated", "ec2", "enable_image_deprecation", ImageId=image, DeprecateAt="2031-01-01T00:00:00Z")
    call("no longer deprecated", "ec2", "disable_image_deprecation", ImageId=image)
    call("protected", "ec2", "enable_image_deregistration_protection", ImageId=image)
    call("no longer protected", "ec2", "disable_image_deregistration_protection", ImageId=image)
    call("who refers to it", "ec2", "describe_image_references", ImageIds=[image], IncludeAllResourceTypes=True)
    call("deregistered", "ec2", "deregister_image", ImageId=image)
    call("deregistered again", "ec2", "deregister_image", ImageId=image)


def _of_instances(call: _Story, instance: str, settled: Callable[[str], None]) -> None:
    """An image of an instance: made, copied, shared, disabled, gone."""
    tags = [{"ResourceType": "image", "Tags": [{"Key": "version", "Value": "2"}]}]
    made = {"InstanceId": instance, "Name": "of-an-instance", "Description": "made", "TagSpecifications": tags}
    none = {"ImageId": "ami-0123456789abcdef9", "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
    call("tried to launch", "ec2", "run_instances", DryRun=True, **none)
    call("tried to make", "ec2", "create_image", DryRun=True, **made)
    image = call("made", "ec2", "create_image", **made)["ImageId"]
    settled(image)
    call("as made", "ec2", "describe_images", ImageIds=[image])
    call("by tag", "ec2", "describe_images", Owners=["self"], Filters=[{"Name": "tag:version", "Values": ["2"]}])
    call("by another tag", "ec2", "describe_images", Filters=[{"Name": "tag:version", "Values": ["3"]}])
    call("unknown", "ec2", "describe_images", ImageIds=["ami-0123456789abcdef9"])
    call("malformed", "ec2", "describe_images", ImageIds=["ami-nonsense"])
    call("of an unknown filter", "ec2", "describe_images", Filters=[{"Name": "nonsense", "Values": ["x"]}])
    disk = call("its device", "ec2", "describe_images", ImageIds=[image])["Images"][0]["BlockDeviceMappings"][0]["Ebs"]
    call("a snapshot in use", "ec2", "delete_snapshot", SnapshotId=disk["SnapshotId"])
    _of_copies(call, settled, image)
    _of_sharing(call, image)
    call("disabled", "ec2", "disable_image", ImageId=image)
    call("as disabled", "ec2", "describe_images", ImageIds=[image])
    call("enabled", "ec2", "enable_image", ImageId=image)
    call("as enabled", "ec2", "describe_images", ImageIds=[image])


def _of_copies(call: _Story, settled: Callable[[str], None], image: str) -> None:
    asked = {"Name": "a-copy", "SourceImageId": image, "SourceRegion": REGION, "Description": "copied"}
    call("tried to copy", "ec2", "copy_image", DryRun=True, **asked)
    copy = call("copied", "ec2", "copy_image", **asked)["ImageId"]
    settled(copy)
    call("as copied", "ec2", "describe_images", ImageIds=[copy])
    call(
        "copied of nothing", "ec2", "copy_image", **{**asked, "Name": "none", "SourceImageId": "ami-0123456789abcdef9"}
    )
    call("a copy is gone", "ec2", "deregister_image", ImageId=copy)
    call("as gone", "ec2", "describe_images", ImageIds=[copy])


def _of_sharing(call: _Story, image: str) -> None:
    permission = {"ImageId": image, "Attribute": "launchPermission"}
    call(
        "an image is shared",
        "ec2",
        "modify_image_attribute",
        ImageId=image,
        LaunchPermission={"Add": [{"UserId": PRODUCTION}]},
    )
    call("an image's users", "ec2", "describe_image_attribute", **permission)
    call(
        "an image is withdrawn",
        "ec2",
        "modify_image_attribute",
        ImageId=image,
        LaunchPermission={"Remove": [{"UserId": PRODUCTION}]},
    )
    call("an image without users", "ec2", "describe_image_attribute", **permission)
    call(
        "shared with no account",
        "ec2",
        "modify_image_attribute",
        ImageId=image,
        LaunchPermission={"Add": [{"UserId": "nobody"}]},
    )
    call("an image is reset", "ec2", "reset_image_attribute", **permission)


def _of_the_account(call: _Story) -> None:
    """What an account sets for itself, as it is at first, changed and put back."""
    call("encryption at first", "ec2", "get_ebs_encryption_by_default")
    call("encryption on", "ec2", "enable_ebs_encryption_by_default")
    call("encryption as set", "ec2", "get_ebs_encryption_by_default")
    call("encryption off", "ec2", "disable_ebs_encryption_by_default")
    call("the default key", "ec2", "get_ebs_default_kms_key_id")
    key = call("a default key", "kms", "create_key")["KeyMetadata"]["Arn"]
    call("a chosen key", "ec2", "modify_ebs_default_kms_key_id", KmsKeyId=key)
    call("the default key again", "ec2", "reset_ebs_default_kms_key_id")
    call("allowed images at first", "ec2", "get_allowed_images_settings")
    criteria = [{"ImageProviders": ["amazon"], "ImageNames": ["a-*"]}]
    call("criteria", "ec2", "replace_image_criteria_in_allowed_images_settings", ImageCriteria=criteria)
    call("audited", "ec2", "enable_allowed_images_settings", AllowedImagesSettingsState="audit-mode")
    call("as audited", "ec2", "get_allowed_images_settings")
    call("all allowed", "ec2", "disable_allowed_images_settings")


def _of_keys(call: _Story) -> None:
    key = call("a key", "kms", "create_key")["KeyMetadata"]["Arn"]
    call("a key's description", "kms", "describe_key", KeyId=key)
    call("an unknown key", "kms", "describe_key", KeyId="01234567-0123-0123-0123-0123456789ab")
    grantee = f"arn:aws:iam::{PRODUCTION}:role/lockstep-promotion-image-target"
    asked = {"KeyId": key, "GranteePrincipal": grantee, "Operations": ["Decrypt"], "Name": "a-grant"}
    grant = call("a grant", "kms", "create_grant", **asked)["GrantId"]
    call("grants", "kms", "list_grants", KeyId=key)
    call("a grant is revoked", "kms", "revoke_grant", KeyId=key, GrantId=grant)
    call("no grants", "kms", "list_grants", KeyId=key)
    call("an unknown grant", "kms", "revoke_grant", KeyId=key, GrantId=grant)


def _of_parameters(call: _Story) -> None:
    name = "/lockstep/images/logstash/2.1"
    call("a parameter", "ssm", "put_parameter", Name=name, Value="ami-1", Type="String")
    call("a parameter again", "ssm", "put_parameter", Name=name, Value="ami-2", Type="String")
    call("a parameter changes", "ssm", "put_parameter", Name=name, Value="ami-2", Type="String", Overwrite=True)
    call("a parameter's value", "ssm", "get_parameter", Name=name)
    call("parameters below", "ssm", "get_parameters_by_path", Path="/lockstep/images", Recursive=True)
    call("an unknown parameter", "ssm", "get_parameter", Name="/lockstep/images/none")
    call("a parameter goes", "ssm", "delete_parameter", Name=name)
    call("a parameter is gone", "ssm", "delete_parameter", Name=name)


def _tell(clients: dict[str, Client]) -> _Story:
    """The whole story, told to one emulator. Nothing of it was there before, and nothing refers to another run."""
    call = _Story(clients)

    def settled(image: str) -> None:
        def look() -> bool:
            return clients["ec2"].describe_images(ImageIds=[image])["Images"][0]["State"] != "pending"

        eventually(look, f"{image} is no longer pending")

    disk = _of_volumes(call)
    _of_registered_images(call, disk)
    _of_instances(call, _instance(clients["ec2"]), settled)
    _of_the_account(call)
    _of_keys(call)
    _of_parameters(call)
    return call


def _instance(ec2: Client) -> str:
    """An instance that nobody compares."""
    public = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    asked = {"ImageId": public, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
    return ec2.run_instances(**asked)["Instances"][0]["InstanceId"]


def _clients(account: str, endpoint: str | None = None) -> dict[str, Client]:
    """Clients of an account's root."""
    session = botocore.session.Session()
    asked = {"aws_access_key_id": account, "aws_secret_access_key": support.root_secret(account), "region_name": REGION}
    config = Config(retries={"total_max_attempts": 1})
    services = ("ec2", "kms", "ssm")
    return {one: session.create_client(one, endpoint_url=endpoint, config=config, **asked) for one in services}


def _installed_by_the_overlay(service_model: Any) -> set[str]:
    """The EC2 actions that some ``install()`` of the overlay registers."""
    found: set[str] = set()
    for path in _OVERLAY.glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name == "install":
                constants = (one.value for one in ast.walk(node) if isinstance(one, ast.Constant))
                found |= {one for one in constants if isinstance(one, str) and one in service_model.operation_names}
    return found


class SecondOpinionOfMoto(unittest.TestCase):
    """One story, two emulators."""

    maxDiff = None
    ours: ClassVar[_Story]
    theirs: ClassVar[_Story]

    @classmethod
    def setUpClass(cls) -> None:
        cls.ours = _tell(_clients(DEVELOPMENT, support.endpoint()))
        with mock.patch.dict("os.environ", {"MOTO_ACCOUNT_ID": DEVELOPMENT}), mock_aws():
            cls.theirs = _tell(_clients(DEVELOPMENT))

    def test_each_action_of_the_overlay_is_in_the_story(self) -> None:
        model = botocore.session.Session().get_service_model("ec2")
        wanted = _installed_by_the_overlay(model)
        self.assertGreater(len(wanted), 20)
        self.assertEqual((wanted | _BESIDE_EC2) - set(self.ours.called.values()), set())

    def test_what_moto_does_not_have_is_known(self) -> None:
        self.assertEqual(self.theirs.missing(), _NOT_IN_MOTO)
        self.assertEqual(self.ours.missing(), set())

    def test_answers_and_refusals_are_those_of_moto_but_for_what_is_explained(self) -> None:
        found: dict[tuple[str, str], tuple[str, Any, Any]] = {}
        for label, theirs in self.theirs.told.items():
            ours = self.ours.told[label]
            if "" in ours or "" in theirs:
                if ours != theirs:
                    found[label, ""] = (label, ours, theirs)
                continue
            for place in ours.keys() | theirs.keys():
                if ours.get(place) != theirs.get(place):
                    found[self.ours.called[label], place] = (label, ours.get(place), theirs.get(place))
        accepted = {(what, place) for _, what, places in _ACCEPTED for place in places}
        self.assertEqual({what: found[what] for what in found.keys() - accepted}, {}, "call, ours, moto's")
        self.assertEqual(accepted - found.keys(), set(), "accepted, and no longer so")
