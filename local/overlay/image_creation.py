"""RegisterImage and CreateImage: new images from snapshots and from instances."""

from ministack.core.responses import get_account_id, get_region
from ministack.services import ec2

from overlay import image_keys, image_lifecycle, image_records, image_view, snapshots
from overlay.ec2_wire import Refused, element, flag, members, required, text
from overlay.shapes import Params, Record, Rendered


def register(params: Params, request_id: str) -> Rendered:
    """RegisterImage, from snapshots of the caller or from nothing; available at once."""
    name = required(params, "Name")
    image_records.check_name(name)
    location = text(params, "ImageLocation")
    root_type = "instance-store" if location else "ebs"
    billing = members(params, "BillingProduct")
    image = {
        "Name": name,
        "ImageLocation": location,
        "Description": text(params, "Description"),
        "Architecture": text(params, "Architecture", "i386"),
        "RootDeviceType": root_type,
        "RootDeviceName": text(params, "RootDeviceName", "/dev/xvda" if root_type == "ebs" else "/dev/sda1"),
        "BlockDeviceMappings": [_registered_device(one) for one in ec2._parse_register_block_device_mappings(params)],
        "VirtualizationType": text(params, "VirtualizationType", "paravirtual"),
        "EnaSupport": flag(params, "EnaSupport"),
        "BillingProducts": billing,
    }
    for product in billing:
        image.update(image_records.billing_platform(product))
    record = image_records.store(
        {key: value for key, value in params.items() if not _tags_snapshots(params, key)}, image
    )
    image_lifecycle.announce(record, request_id)
    return "RegisterImageResponse", element("imageId", record["ImageId"])


def _tags_snapshots(params: Params, key: str) -> bool:
    """RegisterImage tags the image only: its snapshots are older than it."""
    if not key.startswith("TagSpecification."):
        return False
    number = key.split(".")[1]
    return text(params, f"TagSpecification.{number}.ResourceType") == "snapshot"


def _registered_device(mapping: Record) -> Record:
    disk = mapping.get("Ebs") or {}
    snapshot_id = disk.get("SnapshotId")
    if not snapshot_id:
        return mapping
    owner, snapshot = snapshots.find(snapshot_id)
    if snapshot is None or not snapshots.readable_by(owner, snapshot, get_account_id()):
        raise Refused("InvalidSnapshot.NotFound", f"The snapshot '{snapshot_id}' does not exist.")
    disk.setdefault("VolumeSize", str(snapshot["VolumeSize"]))
    disk["Encrypted"] = "true" if snapshot.get("Encrypted") else "false"
    return mapping


def create(params: Params, request_id: str) -> Rendered:
    """CreateImage from an instance: pending, then available, with a new snapshot of its root volume."""
    instance_id, name = required(params, "InstanceId"), required(params, "Name")
    instance = ec2._instances.get(instance_id)
    if instance is None:
        raise Refused("InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist")
    image_records.check_name(name)
    _, source = image_view.find(instance.get("ImageId", ""))
    source = source or next(image_view.public_images())
    size = _root_size(source)
    snapshot_id = snapshots.duplicate({"VolumeSize": size}, f"Created by CreateImage({instance_id})", "pending")
    disk = {"SnapshotId": snapshot_id, "VolumeSize": str(size), "VolumeType": "gp3", "DeleteOnTermination": "true"}
    disk["Encrypted"] = "true" if snapshots.encrypt(snapshot_id, image_keys.key_of_new_disk()) else "false"
    image = {
        **{key: source.get(key) for key in ("Architecture", "RootDeviceName", "VirtualizationType", "Platform")},
        **{key: source.get(key) for key in ("PlatformDetails", "UsageOperation", "BillingProducts", "ProductCodes")},
        "Name": name,
        "Description": text(params, "Description"),
        "RootDeviceType": "ebs",
        "SourceInstanceId": instance_id,
        "SourceImageId": source["ImageId"],
        "SourceImageRegion": get_region(),
        "BlockDeviceMappings": [{"DeviceName": source["RootDeviceName"], "Ebs": disk}],
    }
    record = image_records.store(params, image)
    image_lifecycle.begin(record, request_id)
    return "CreateImageResponse", element("imageId", record["ImageId"])


def _root_size(image: Record) -> int:
    for mapping in image.get("BlockDeviceMappings") or []:
        if mapping["DeviceName"] == image["RootDeviceName"] and mapping.get("Ebs"):
            return int(mapping["Ebs"].get("VolumeSize", 8))
    return 8
