"""EBS snapshots with AWS's rules of sharing and of use.

A snapshot is seen by its owner and by the accounts it is shared with; one under the AWS-managed key is
never shared; one that an image needs cannot be deleted. ministack shows a snapshot to its owner only
and deletes any.
"""

from ministack.core.responses import get_account_id, get_region
from ministack.services import ec2

from overlay import image_keys, patched
from overlay.ec2_wire import (
    Refused,
    action,
    element,
    flag,
    items,
    matches,
    members,
    page,
    required,
    tag_filter,
    tag_set,
    text,
)
from overlay.shapes import Params, Record, Rendered


def install() -> None:
    """Register the snapshot actions."""
    actions = {
        "DescribeSnapshots": describe,
        "DeleteSnapshot": delete,
        "CopySnapshot": copy,
        "ModifySnapshotAttribute": modify_attribute,
        "DescribeSnapshotAttribute": describe_attribute,
        "ResetSnapshotAttribute": reset_attribute,
    }
    for name, function in actions.items():
        patched.EC2_ACTIONS.replace(name, action(function))


def find(snapshot_id: str, region: str | None = None) -> tuple[str, Record | None]:
    """(owner account, record) of a snapshot in a region, whoever owns it; ("", None) if there is none."""
    for (account, where, key), record in ec2._snapshots.all_items():
        if key == snapshot_id and where == (region or get_region()):
            return account, record
    return "", None


def readable_by(owner: str, record: Record, account: str) -> bool:
    """Whether ``account`` may create volumes from the snapshot."""
    permissions = record.get("CreateVolumePermissions", [])
    return owner == account or any(
        permission.get("UserId") == account or permission.get("Group") == "all" for permission in permissions
    )


def _not_found(snapshot_id: str) -> Refused:
    return Refused("InvalidSnapshot.NotFound", f"The snapshot '{snapshot_id}' does not exist.")


def _own(snapshot_id: str) -> Record:
    """The caller's own snapshot: another account's is refused, one it cannot see does not exist."""
    owner, record = find(snapshot_id)
    if record is None or not readable_by(owner, record, get_account_id()):
        raise _not_found(snapshot_id)
    if owner != get_account_id():
        raise Refused("UnauthorizedOperation", "You are not authorized to perform this operation.", 403)
    return record


def describe(params: Params, _request_id: str) -> Rendered:
    """DescribeSnapshots: the caller's own and those shared with it."""
    account, region = get_account_id(), get_region()
    visible = [
        record
        for (owner, where, _), record in ec2._snapshots.all_items()
        if where == region and readable_by(owner, record, account)
    ]
    visible = _selected(visible, params)
    shown, token = page(visible, params)
    return "DescribeSnapshotsResponse", f"<snapshotSet>{items(render(one) for one in shown)}</snapshotSet>{token}"


def _selected(visible: list[Record], params: Params) -> list[Record]:
    wanted = members(params, "SnapshotId")
    known = {record["SnapshotId"] for record in visible}
    for snapshot_id in wanted:
        if snapshot_id not in known:
            raise _not_found(snapshot_id)
    owners = [get_account_id() if owner == "self" else owner for owner in members(params, "Owner")]
    restorable = [get_account_id() if user == "self" else user for user in members(params, "RestorableBy")]
    filters = ec2._parse_filters(params)
    return [
        record
        for record in visible
        if (not wanted or record["SnapshotId"] in wanted)
        and (not owners or record["OwnerId"] in owners)
        and (not restorable or any(readable_by(record["OwnerId"], record, user) for user in restorable))
        and all(matches(_filter_values(record, name), values) for name, values in filters.items())
    ]


def _filter_values(record: Record, name: str) -> list[str]:
    tags = tag_filter(name, ec2._tags.get(record["SnapshotId"], []))
    if tags is not None:
        return tags
    simple = {
        "snapshot-id": "SnapshotId",
        "volume-id": "VolumeId",
        "volume-size": "VolumeSize",
        "status": "State",
        "start-time": "StartTime",
        "progress": "Progress",
        "owner-id": "OwnerId",
        "description": "Description",
        "storage-tier": "StorageTier",
    }
    if name == "encrypted":
        return ["true" if record.get("Encrypted") else "false"]
    if name not in simple:
        raise Refused("InvalidParameterValue", f"The filter '{name}' is invalid")
    return [str(record.get(simple[name], ""))]


def render(record: Record) -> str:
    """A snapshot as DescribeSnapshots shows it to the caller."""
    return (
        element("snapshotId", record["SnapshotId"])
        + element("volumeId", record.get("VolumeId"))
        + element("status", record["State"])
        + element("statusMessage", record.get("StateMessage"))
        + element("startTime", record["StartTime"])
        + element("progress", record["Progress"])
        + element("ownerId", record["OwnerId"])
        + element("volumeSize", record["VolumeSize"])
        + f"<description>{element('d', record.get('Description', ''))[3:-4]}</description>"
        + element("encrypted", bool(record.get("Encrypted")))
        + element("kmsKeyId", record.get("KmsKeyId"))
        + element("storageTier", record.get("StorageTier", "standard"))
        + tag_set(ec2._tags.get(record["SnapshotId"], []))
    )


def delete(params: Params, _request_id: str) -> Rendered:
    """DeleteSnapshot: refused while an image of the account needs it."""
    snapshot_id = required(params, "SnapshotId")
    _own(snapshot_id)
    user = image_using(snapshot_id)
    if user:
        raise Refused("InvalidSnapshot.InUse", f"The snapshot {snapshot_id} is currently in use by {user}")
    remove(snapshot_id)
    return "DeleteSnapshotResponse", "<return>true</return>"


def remove(snapshot_id: str) -> None:
    """Take the caller's snapshot and its tags away."""
    ec2._snapshots.pop(snapshot_id, None)
    ec2._tags.pop(snapshot_id, None)


def encrypt(snapshot_id: str, key: str | None) -> bool:
    """Put the caller's new snapshot under a key, if there is one; returns whether it is encrypted now."""
    if key:
        ec2._snapshots[snapshot_id].update(Encrypted=True, KmsKeyId=key)
    return bool(key)


def image_using(snapshot_id: str) -> str | None:
    """The id of an image of the caller that needs the snapshot, or None."""
    for image in ec2._images.values():
        for mapping in image.get("BlockDeviceMappings") or []:
            if (mapping.get("Ebs") or {}).get("SnapshotId") == snapshot_id:
                return image["ImageId"]
    return None


def copy(params: Params, _request_id: str) -> Rendered:
    """CopySnapshot, also of a snapshot another account shares."""
    source_id, region = required(params, "SourceSnapshotId"), text(params, "SourceRegion", get_region())
    owner, source = find(source_id, region)
    if source is None or not readable_by(owner, source, get_account_id()):
        raise _not_found(source_id)
    named, asked = text(params, "KmsKeyId"), bool(source.get("Encrypted")) or flag(params, "Encrypted")
    new_id = duplicate(source, text(params, "Description", source.get("Description", "")), "completed")
    if not encrypt(new_id, image_keys.key_of_new_disk(named, asked)) and named:
        remove(new_id)
        raise Refused("InvalidKmsKeyId.NotFound", f"The key {named} does not exist")
    ec2._parse_tag_specs(params, "snapshot", new_id)
    return "CopySnapshotResponse", element("snapshotId", new_id)


def duplicate(source: Record | None, description: str, state: str) -> str:
    """A new snapshot of the caller with the size of ``source``: nothing shared, no tags. Returns its id."""
    new_id = ec2._new_snapshot_id()
    ec2._snapshots[new_id] = {
        "SnapshotId": new_id,
        "VolumeId": "vol-ffffffff",
        "VolumeSize": (source or {}).get("VolumeSize", 8),
        "Description": description,
        "State": state,
        "StartTime": ec2._now_ts(),
        "Progress": "100%" if state == "completed" else "0%",
        "OwnerId": get_account_id(),
        "Encrypted": bool((source or {}).get("Encrypted")),
        "KmsKeyId": (source or {}).get("KmsKeyId"),
        "StorageTier": "standard",
    }
    return new_id


def modify_attribute(params: Params, _request_id: str) -> Rendered:
    """ModifySnapshotAttribute: createVolumePermission, in both of the forms SDKs send."""
    record = _own(required(params, "SnapshotId"))
    added, removed = _requested_permissions(params)
    if added and image_keys.is_managed(record.get("KmsKeyId") or ""):
        raise Refused("OperationNotPermitted", "Encrypted snapshots with EBS default key cannot be shared")
    if record.get("Encrypted") and {"Group": "all"} in added:
        raise Refused("OperationNotPermitted", "Encrypted snapshots cannot be shared publicly")
    kept = [one for one in record.get("CreateVolumePermissions", []) if one not in removed]
    record["CreateVolumePermissions"] = kept + [one for one in added if one not in kept]
    return "ModifySnapshotAttributeResponse", "<return>true</return>"


def _requested_permissions(params: Params) -> tuple[list[Record], list[Record]]:
    added = ec2._parse_launch_permission_list(params, "CreateVolumePermission.Add")
    removed = ec2._parse_launch_permission_list(params, "CreateVolumePermission.Remove")
    if added or removed:
        return added, removed
    flat = [{"UserId": user} for user in members(params, "UserId")]
    flat += [{"Group": group} for group in members(params, "UserGroup")]
    operation = text(params, "OperationType")
    if not flat or operation not in ("add", "remove"):
        raise Refused("InvalidParameterCombination", "No attributes specified.")
    return (flat, []) if operation == "add" else ([], flat)


def describe_attribute(params: Params, _request_id: str) -> Rendered:
    """DescribeSnapshotAttribute: createVolumePermission, to the owner only."""
    snapshot_id = required(params, "SnapshotId")
    record = _own(snapshot_id)
    permissions = items(
        element("userId", one.get("UserId")) + element("group", one.get("Group"))
        for one in record.get("CreateVolumePermissions", [])
    )
    inner = element("snapshotId", snapshot_id) + f"<createVolumePermission>{permissions}</createVolumePermission>"
    return "DescribeSnapshotAttributeResponse", inner


def reset_attribute(params: Params, _request_id: str) -> Rendered:
    """ResetSnapshotAttribute: shared with nobody again."""
    _own(required(params, "SnapshotId"))["CreateVolumePermissions"] = []
    return "ResetSnapshotAttributeResponse", "<return>true</return>"
