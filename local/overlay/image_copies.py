"""CopyImage: what may leave its account, the keys of the copy, and a token that makes one copy of two requests."""

from ministack.core.responses import get_account_id
from ministack.services import ec2

from overlay import allowed_images, image_keys, image_lifecycle, image_records, image_view, snapshots
from overlay.ec2_wire import Refused, element, flag, required, text
from overlay.shapes import Params, Record, Rendered
from overlay.state import STATE

# What a copy takes over from its source.
_KEPT = (
    "Architecture",
    "RootDeviceType",
    "RootDeviceName",
    "VirtualizationType",
    "EnaSupport",
    "Platform",
    "PlatformDetails",
    "UsageOperation",
    "BillingProducts",
    "ProductCodes",
)


def copy(params: Params, request_id: str) -> Rendered:
    """CopyImage, into the caller's account and region; idempotent by its client token."""
    token = text(params, "ClientToken")
    asked = {key: value for key, value in params.items() if key not in ("ClientToken", "Action", "Version")}
    if token and token in STATE.copies:
        before, image_id = STATE.copies[token]
        if before != asked:
            raise Refused(
                "IdempotentParameterMismatch",
                "The request uses the same client token as a previous, but non-identical request. "
                "Do not reuse a client token with different requests, unless the requests are identical.",
            )
        return "CopyImageResponse", element("imageId", image_id)
    record = _copy(params, request_id)
    if token:
        STATE.copies[token] = (asked, record["ImageId"])
    return "CopyImageResponse", element("imageId", record["ImageId"])


def _copy(params: Params, request_id: str) -> Record:
    name, source_id, region = (required(params, key) for key in ("Name", "SourceImageId", "SourceRegion"))
    image_records.check_id(source_id)
    owner, source = image_view.find(source_id, region)
    if source is None or not image_view.visible_to(owner, source, get_account_id()) or allowed_images.hides(source):
        raise image_records.not_found(source_id)
    if image_view.state(source) != "available":
        message = f"The image ID '{source_id}' is currently {image_view.state(source)} and may not be copied."
        raise Refused("InvalidAMIID.Unavailable", message)
    image_records.check_name(name)
    if owner != get_account_id():
        _check_may_leave(source, region)
    _check_room()
    key = _target_key(params)
    devices = [_copied_device(mapping, source_id, region, key) for mapping in source["BlockDeviceMappings"] or []]
    image = {
        **{field: source.get(field) for field in _KEPT},
        "Name": name,
        "Description": text(params, "Description", source.get("Description", "")),
        "BlockDeviceMappings": devices,
        "SourceImageId": source_id,
        "SourceImageRegion": region,
    }
    record = image_records.store(params, image)
    if flag(params, "CopyImageTags"):
        _copy_tags(source_id, record["ImageId"])
    image_lifecycle.begin(record, request_id, _unusable_key(source, region, record))
    return record


def _check_room() -> None:
    """Refuse a copy while as many as AWS allows are being made in the caller's account and region."""
    made = [one for one in ec2._images.values() if one.get("SourceImageId") and image_view.state(one) == "pending"]
    if len(made) >= STATE.copies_at_once:
        message = f"You have exceeded the maximum number of concurrent copies: {STATE.copies_at_once}"
        raise Refused("ResourceLimitExceeded", message)


def _check_may_leave(source: Record, region: str) -> None:
    """Refuse, in AWS's words, an image that must stay in the account that owns it."""
    if any(code["ProductCodeType"] == "marketplace" for code in source.get("ProductCodes") or []):
        raise Refused("InvalidRequest", "Images from AWS Marketplace cannot be copied to another AWS account")
    amazon = source.get("ImageOwnerAlias") == "amazon"
    licensed = source.get("BillingProducts") or "Windows" in (source.get("PlatformDetails") or "")
    if licensed and not amazon:
        message = "Images with EC2 BillingProduct codes cannot be copied to another AWS account"
        raise Refused("InvalidRequest", message)
    for snapshot_id in image_records.snapshot_ids(source):
        snapshot_owner, snapshot = snapshots.find(snapshot_id, region)
        shared = snapshot and snapshots.readable_by(snapshot_owner, snapshot, get_account_id())
        if snapshot is None or not shared or image_keys.is_managed(snapshot.get("KmsKeyId") or ""):
            raise Refused("InvalidRequest", "You do not have permission to access the storage of this ami")


def _target_key(params: Params) -> str | None:
    """The key the copy is encrypted under, if the request or the account's default asks for encryption."""
    reference = text(params, "KmsKeyId")
    # A key that cannot be used fails the image later, not the request, as on AWS.
    return image_keys.key_of_new_disk(reference, flag(params, "Encrypted")) or reference or None


def _copied_device(mapping: Record, source_id: str, region: str, key: str | None) -> Record:
    disk = mapping.get("Ebs")
    if not disk or not disk.get("SnapshotId"):
        return {**mapping}
    _, source = snapshots.find(disk["SnapshotId"], region)
    new_id = snapshots.duplicate(source, f"Copied for DestinationAmi from SourceAmi {source_id}", "pending")
    copied = ec2._snapshots[new_id]
    if key or copied["Encrypted"]:
        # Without a key of its own, an encrypted copy is under the account's default key.
        copied.update(Encrypted=True, KmsKeyId=key or image_keys.default_key_arn())
    encrypted = "true" if copied["Encrypted"] else "false"
    return {**mapping, "Ebs": {**disk, "SnapshotId": new_id, "Encrypted": encrypted}}


def _unusable_key(source: Record, region: str, record: Record) -> Record | None:
    """Why the copy will fail: a key that the caller may not use, on either side."""
    account = get_account_id()
    keys = [(snapshots.find(one, region)[1] or {}).get("KmsKeyId") for one in image_records.snapshot_ids(source)]
    keys += [(ec2._snapshots.get(one) or {}).get("KmsKeyId") for one in image_records.snapshot_ids(record)]
    for key in filter(None, keys):
        if not image_keys.usable_by(key, account):
            return {"Code": "Client.InvalidKMSKey.InvalidState", "Message": f"Given key ID is not accessible: {key}"}
    return None


def _copy_tags(source_id: str, new_id: str) -> None:
    """CopyImageTags: the caller's own tags of the source. What others tagged stays behind."""
    own = [tag for tag in ec2._tags.get(source_id, []) if not tag["Key"].startswith("aws:")]
    given = {tag["Key"] for tag in ec2._tags.get(new_id, [])}
    merged = ec2._tags.get(new_id, []) + [tag for tag in own if tag["Key"] not in given]
    if merged:
        ec2._tags[new_id] = merged
