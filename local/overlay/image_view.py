"""Machine images as DescribeImages shows them: visibility, filters and XML. No state changes here."""

from collections.abc import Iterator

from ministack.core.responses import get_account_id, get_region
from ministack.services import ec2

from overlay import allowed_images
from overlay.ec2_wire import Refused, element, items, matches, tag_filter, tag_set
from overlay.shapes import Record

_WINDOWS = {"PlatformDetails": "Windows", "UsageOperation": "RunInstances:0002", "Platform": "windows"}
_LINUX = {"PlatformDetails": "Linux/UNIX", "UsageOperation": "RunInstances", "Platform": ""}


def public_images() -> Iterator[Record]:
    """The public images every account finds, as records like those of registered ones."""
    for image_id, name, description, platform, root_device, owner, alias in ec2._STUB_AMIS:
        yield {
            "ImageId": image_id,
            "Name": name,
            "ImageLocation": f"amazon/{name}",
            "Description": description,
            "Architecture": "x86_64",
            "RootDeviceType": "ebs",
            "RootDeviceName": root_device,
            "BlockDeviceMappings": [],
            "VirtualizationType": "hvm",
            "CreationDate": "2024-10-10T00:00:00.000Z",
            "OwnerId": owner,
            "ImageOwnerAlias": alias,
            "LaunchPermissions": [{"Group": "all"}],
            "State": "available",
            **(_WINDOWS if platform else _LINUX),
        }


def find(image_id: str, region: str | None = None) -> tuple[str, Record | None]:
    """(owner account, record) of an image in a region, whoever owns it; ("", None) if there is none."""
    for (account, where, key), record in ec2._images.all_items():
        if key == image_id and where == (region or get_region()):
            return account, record
    for record in public_images():
        if record["ImageId"] == image_id:
            return record["OwnerId"], record
    return "", None


def visible_to(owner: str, record: Record, account: str) -> bool:
    """Whether ``account`` sees the image: its own, shared with it, or public."""
    return owner == account or any(
        permission.get("UserId") == account or permission.get("Group") == "all"
        for permission in record.get("LaunchPermissions") or []
    )


def visible() -> list[Record]:
    """Every image the caller sees in this region."""
    account, region = get_account_id(), get_region()
    registered = [
        record
        for (owner, where, _), record in ec2._images.all_items()
        if where == region and visible_to(owner, record, account)
    ]
    return registered + list(public_images())


def is_public(record: Record) -> bool:
    """Whether everyone may launch the image."""
    return {"Group": "all"} in (record.get("LaunchPermissions") or [])


def state(record: Record) -> str:
    """The image's state; what ministack registered itself is available at once."""
    return record.get("State", "available")


def owned_by(record: Record, owners: list[str]) -> bool:
    """``Owner.N``: account ids, ``self`` and the aliases ``amazon`` and ``aws-marketplace``."""
    names = {record["OwnerId"], record.get("ImageOwnerAlias")}
    if record["OwnerId"] == get_account_id():
        names.add("self")
    return bool(names & set(owners))


def executable_by(record: Record, users: list[str]) -> bool:
    """``ExecutableBy.N``: explicitly shared with an account (``self`` is the caller), or ``all``."""
    shared = {permission.get("UserId") for permission in record.get("LaunchPermissions") or []}
    wanted = {get_account_id() if user == "self" else user for user in users}
    return bool(shared & wanted) or ("all" in users and is_public(record))


def passes(record: Record, filters: dict[str, list[str]]) -> bool:
    """Whether every filter accepts the image; an unknown filter is refused, as on AWS."""
    return all(matches(_filter_values(record, name), values) for name, values in filters.items())


def _filter_values(record: Record, name: str) -> list[str]:
    tags = tag_filter(name, ec2._tags.get(record["ImageId"], []))
    if tags is not None:
        return tags
    if name.startswith("block-device-mapping."):
        return _device_values(record, name.split(".", 1)[1])
    simple = {
        "image-id": "ImageId",
        "name": "Name",
        "description": "Description",
        "owner-id": "OwnerId",
        "owner-alias": "ImageOwnerAlias",
        "architecture": "Architecture",
        "virtualization-type": "VirtualizationType",
        "root-device-name": "RootDeviceName",
        "root-device-type": "RootDeviceType",
        "platform": "Platform",
        "creation-date": "CreationDate",
        "source-image-id": "SourceImageId",
        "source-image-region": "SourceImageRegion",
        "source-instance-id": "SourceInstanceId",
    }
    fixed = {
        "state": [state(record)],
        "is-public": ["true" if is_public(record) else "false"],
        "hypervisor": ["xen"],
        "image-type": ["machine"],
        "product-code": [code["ProductCodeId"] for code in record.get("ProductCodes") or []],
    }
    if name in fixed:
        return fixed[name]
    if name not in simple:
        raise Refused("InvalidParameterValue", f"The filter '{name}' is invalid")
    return [str(record.get(simple[name]) or "")]


def _device_values(record: Record, name: str) -> list[str]:
    field = {"snapshot-id": "SnapshotId", "volume-size": "VolumeSize", "volume-type": "VolumeType"}.get(name)
    mappings = record.get("BlockDeviceMappings") or []
    if name == "device-name":
        return [mapping["DeviceName"] for mapping in mappings]
    if field is None:
        raise Refused("InvalidParameterValue", f"The filter 'block-device-mapping.{name}' is invalid")
    return [str((mapping.get("Ebs") or {}).get(field, "")) for mapping in mappings]


def render(record: Record) -> str:
    """An image as DescribeImages shows it to the caller: tags are the caller's own, never the owner's."""
    reason = record.get("StateReason")
    reason_xml = element("code", reason["Code"]) + element("message", reason["Message"]) if reason else ""
    codes = items(
        element("productCode", code["ProductCodeId"]) + element("type", code["ProductCodeType"])
        for code in record.get("ProductCodes") or []
    )
    return (
        element("imageId", record["ImageId"])
        + element("imageLocation", record.get("ImageLocation") or f"{record['OwnerId']}/{record['Name']}")
        + element("imageState", state(record))
        + element("imageOwnerId", record["OwnerId"])
        + element("creationDate", record.get("CreationDate"))
        + element("isPublic", is_public(record))
        + (f"<productCodes>{codes}</productCodes>" if codes else "")
        + element("architecture", record["Architecture"])
        + element("imageType", "machine")
        + element("platform", record.get("Platform"))
        + element("platformDetails", record.get("PlatformDetails") or _LINUX["PlatformDetails"])
        + element("usageOperation", record.get("UsageOperation") or _LINUX["UsageOperation"])
        + (f"<stateReason>{reason_xml}</stateReason>" if reason else "")
        + element("imageOwnerAlias", record.get("ImageOwnerAlias"))
        + element("name", record["Name"])
        + element("description", record.get("Description"))
        + element("rootDeviceType", record["RootDeviceType"])
        + element("rootDeviceName", record["RootDeviceName"])
        + _devices(record)
        + element("virtualizationType", record["VirtualizationType"])
        + element("hypervisor", "xen")
        + element("enaSupport", bool(record.get("EnaSupport", True)))
        + element("deprecationTime", record.get("DeprecationTime"))
        + (element("imageAllowed", allowed_images.allows(record)) if allowed_images.state() != "disabled" else "")
        + element("deregistrationProtection", record.get("DeregistrationProtection"))
        + element("sourceInstanceId", record.get("SourceInstanceId"))
        + element("sourceImageId", record.get("SourceImageId"))
        + element("sourceImageRegion", record.get("SourceImageRegion"))
        + tag_set(ec2._tags.get(record["ImageId"], []))
    )


def _devices(record: Record) -> str:
    if record["RootDeviceType"] != "ebs":
        return ""
    mappings = record.get("BlockDeviceMappings") or [
        {"DeviceName": record["RootDeviceName"], "Ebs": {"VolumeSize": "8", "VolumeType": "gp3"}}
    ]
    return f"<blockDeviceMapping>{items(_device(mapping) for mapping in mappings)}</blockDeviceMapping>"


def _device(mapping: Record) -> str:
    disk = mapping.get("Ebs")
    rendered = element("deviceName", mapping["DeviceName"]) + element("virtualName", mapping.get("VirtualName"))
    if not disk:
        return rendered
    return (
        rendered
        + "<ebs>"
        + element("snapshotId", disk.get("SnapshotId"))
        + element("volumeSize", disk.get("VolumeSize", "8"))
        + element("volumeType", disk.get("VolumeType", "gp3"))
        + element("iops", disk.get("Iops"))
        + element("throughput", disk.get("Throughput"))
        + element("deleteOnTermination", disk.get("DeleteOnTermination", "true"))
        + element("encrypted", disk.get("Encrypted", "false"))
        + "</ebs>"
    )
