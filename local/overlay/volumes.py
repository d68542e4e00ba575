"""AWS::EC2::Volume, which ministack's CloudFormation does not have.

A volume that outlives its instance is what a database of one's own is made of. As on AWS its size,
type and speed change in place, and anything else makes another volume.
"""

import re
from typing import Any

from ministack.services import ec2
from ministack.services.cloudformation import provisioners

from overlay import patched
from overlay.shapes import Params, Properties, Provisioned

_MESSAGE = re.compile(rb"<Message>(.*?)</Message>", re.DOTALL)
_VOLUME_ID = re.compile(rb"<volumeId>(.*?)</volumeId>")
_PLAIN = ("AvailabilityZone", "Size", "VolumeType", "SnapshotId", "Iops", "Throughput", "Encrypted", "KmsKeyId")


def install() -> None:
    """Register the type."""
    patched.add_resource_type("AWS::EC2::Volume", {"create": create, "update": update, "delete": delete})


def _call(action: str, params: Params) -> bytes:
    status, _, body = patched.EC2_ACTIONS.current(action)(params)
    if status >= 400:
        message = _MESSAGE.search(body)
        raise ValueError(message[1].decode() if message else body.decode())
    return body


def create(logical_id: str, props: Properties, stack_name: str) -> Provisioned:
    """A new volume; ``Ref`` is its id."""
    params = {name: _text(props[name]) for name in _PLAIN if props.get(name) not in (None, "")}
    params["TagSpecification.1.ResourceType"] = "volume"
    for number, tag in enumerate(props.get("Tags") or [], start=1):
        params[f"TagSpecification.1.Tag.{number}.Key"] = tag["Key"]
        params[f"TagSpecification.1.Tag.{number}.Value"] = tag["Value"]
    created = _VOLUME_ID.search(_call("CreateVolume", params))
    if created is None:
        raise ValueError("CreateVolume returned no id")
    volume = created[1].decode()
    return volume, {"VolumeId": volume}


def update(physical_id: str, old_props: Properties, new_props: Properties, stack_name: str) -> Provisioned:
    """Size, type and speed change in place; any other difference makes another volume."""
    replaced = ("AvailabilityZone", "SnapshotId", "Encrypted", "KmsKeyId")
    if any(_text(old_props.get(name)) != _text(new_props.get(name)) for name in replaced):
        created = create(physical_id, new_props, stack_name)
        provisioners._delete_predecessor(delete, physical_id, old_props)
        return created
    changed = {
        name: _text(new_props[name])
        for name in ("Size", "VolumeType", "Iops", "Throughput")
        if new_props.get(name) and _text(old_props.get(name)) != _text(new_props[name])
    }
    if changed:
        _call("ModifyVolume", {"VolumeId": physical_id, **changed})
    return physical_id, {"VolumeId": physical_id}


def delete(physical_id: str, props: Properties) -> None:
    """Delete the volume; tolerates that it is gone."""
    if physical_id in ec2._volumes:
        _call("DeleteVolume", {"VolumeId": physical_id})


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
