"""Live models of resources that CloudFormation made, as Cloud Control returns them.

ministack's Cloud Control knows only what was made through it. ``GetResource`` also finds a resource of a stack by its
type and physical id, and reads it with the reader of the drift detection, or with one of the readers below for types
that the detection does not check. A type without a reader cannot be read, as on AWS: ``UnsupportedActionException``.
"""

import json
from collections.abc import Iterator
from typing import Any

from ministack.core.responses import error_response_json, json_response
from ministack.services import cloudformation, ec2, eventbridge, kms
from ministack.services.cloudformation import drift

from overlay import patched
from overlay.contracts import DriftReader
from overlay.shapes import Properties, Record, Reply

_get = patched.GET_RESOURCE.current()


def install() -> None:
    """Stand around GetResource."""
    patched.GET_RESOURCE.replace(get_resource)


def get_resource(data: Record) -> Reply:
    """GetResource, of what was made through Cloud Control or by a stack."""
    kind, identifier = data.get("TypeName") or "", data.get("Identifier") or ""
    record = next(_of_stacks(kind, identifier), None)
    if record is None:
        return _get(data)
    reader = _reader(kind)
    if reader is None:
        return error_response_json(
            "UnsupportedActionException", f"Resource type {kind} does not support READ action", 400
        )
    model = reader(identifier, record.get("Properties") or {})
    if model is None:
        message = f"Resource of type '{kind}' with identifier '{identifier}' was not found."
        return error_response_json("ResourceNotFoundException", message, 400)
    described = {"Identifier": identifier, "Properties": json.dumps(model, default=str)}
    return json_response({"TypeName": kind, "ResourceDescription": described})


def _of_stacks(kind: str, identifier: str) -> Iterator[Record]:
    for stack in list(cloudformation._stacks.values()):
        if stack.get("StackStatus") == "DELETE_COMPLETE":
            continue
        for record in stack.get("_resources", {}).values():
            if record.get("ResourceType") == kind and record.get("PhysicalResourceId") == identifier:
                yield record


def _reader(kind: str) -> DriftReader | None:
    if kind in _READERS:
        return _READERS[kind]
    return drift._DRIFT_READERS[kind][0] if kind in drift._DRIFT_READERS else None


def _vpc(physical_id: str, _props: Properties) -> Properties | None:
    return _named(ec2._vpcs.get(physical_id), {"VpcId": "VpcId", "CidrBlock": "CidrBlock"})


def _subnet(physical_id: str, _props: Properties) -> Properties | None:
    names = {name: name for name in ("SubnetId", "VpcId", "CidrBlock", "AvailabilityZone", "MapPublicIpOnLaunch")}
    return _named(ec2._subnets.get(physical_id), names)


def _key(physical_id: str, _props: Properties) -> Properties | None:
    record = kms._resolve_key(physical_id)
    if record is None or record.get("KeyState") == "PendingDeletion":
        return None
    names = ("KeyId", "Arn", "Description", "Enabled", "KeyUsage", "KeySpec")
    return _named(record, {name: name for name in names})


def _bus(physical_id: str, _props: Properties) -> Properties | None:
    bus = eventbridge._event_buses.get(physical_id)
    return _named(bus, {name: name for name in ("Name", "Arn", "Description")})


def _named(record: Any, names: dict[str, str]) -> Properties | None:
    """Returns the fields of a record under the names of the properties."""
    if record is None:
        return None
    return {name: record[field] for name, field in names.items() if record.get(field) is not None}


_READERS: dict[str, DriftReader] = {
    "AWS::EC2::Subnet": _subnet,
    "AWS::EC2::VPC": _vpc,
    "AWS::Events::EventBus": _bus,
    "AWS::KMS::Key": _key,
}
"""The types that only Cloud Control reads, as many on AWS: the detection reports nothing about them."""
