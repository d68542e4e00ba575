"""EC2's checks of resources and tags: what a call touches, what it makes, and what it tags from the start.

As in the service authorization reference: RunInstances is asked about for each resource it uses or makes, a call that
tags what it makes needs ``ec2:CreateTags`` on each type that it tags (with ``ec2:CreateAction`` and
``aws:RequestTag``), and CreateTags and DeleteTags are asked about for each resource they name. A thing that does not
exist yet is ``type/*``.
"""

from collections.abc import Callable, Iterable

from ministack.core.responses import get_region
from ministack.services import ec2

from overlay import checks
from overlay.checks import Check, Request
from overlay.shapes import Record

_WITHOUT_ACCOUNT = ("image", "snapshot")
_TYPES = {
    "ami": "image",
    "snap": "snapshot",
    "i": "instance",
    "vol": "volume",
    "eni": "network-interface",
    "sg": "security-group",
    "subnet": "subnet",
    "vpc": "vpc",
    "lt": "launch-template",
    "key": "key-pair",
    "igw": "internet-gateway",
    "rtb": "route-table",
    "vpce": "vpc-endpoint",
    "eipalloc": "elastic-ip",
    "nat": "natgateway",
    "acl": "network-acl",
}
"""What the id of a resource begins with, and its type."""

Named = Iterable[tuple[str, str]]


def install() -> None:
    """Ask for resources in the place of ministack, and for tags beside it."""
    checks.instead("ec2", resources)
    checks.beside(tags_on_creation)


def resources(request: Request) -> list[Check] | None:
    """Returns a check for each resource that a call uses or makes; ``None`` where ministack's own check is right."""
    named = _NAMED.get(request.action)
    if named is None:
        return None
    by_type, of_call = _tags_by_type(request), _tags(request)
    asked = ((kind, name, of_call or by_type.get(kind, {})) for kind, name in named(request))
    return [_check(request, request.action, kind, name, tags) for kind, name, tags in asked] or None


def tags_on_creation(request: Request) -> list[Check]:
    """Returns a check of ``ec2:CreateTags`` for each type that a call tags while it makes it."""
    if request.service != "ec2":
        return []
    action = {"ec2:CreateAction": request.action}
    given = _tags_by_type(request).items()
    return [_check(request, "CreateTags", kind, "*", tags, action) for kind, tags in given if tags]


def _check(
    request: Request, action: str, kind: str, name: str, tags: dict[str, str], more: Record | None = None
) -> Check:
    """Returns the check of one resource, with the tags that the call gives it and those that it has."""
    account = "" if kind in _WITHOUT_ACCOUNT else request.account
    context: Record = {**(more or {}), **{f"aws:RequestTag/{key}": value for key, value in tags.items()}}
    if tags:
        context["aws:TagKeys"] = sorted(tags)
    context.update(_of_resource(name))
    return Check(f"ec2:{action}", f"arn:aws:ec2:{request.region}:{account}:{kind}/{name}", context)


def _of_resource(name: str) -> dict[str, str]:
    """Returns the keys of the tags that a resource has."""
    tags = {tag["Key"]: tag.get("Value", "") for tag in ec2._tags.get(name) or []} if name != "*" else {}
    return {f"{service}:ResourceTag/{key}": value for service in ("aws", "ec2") for key, value in tags.items()}


def may_delete_snapshot(snapshot_id: str) -> bool:
    """Whether whoever made the running call may delete a snapshot of the account."""
    arn = f"arn:aws:ec2:{get_region()}::snapshot/{snapshot_id}"
    return checks.allowed("ec2:DeleteSnapshot", arn, _of_resource(snapshot_id))


def _tags_by_type(request: Request) -> dict[str, dict[str, str]]:
    """Returns the tags that a call gives to what it makes, by type (``TagSpecification.N``)."""
    found: dict[str, dict[str, str]] = {}
    number = 1
    while kind := request.text(f"TagSpecification.{number}.ResourceType"):
        found.setdefault(kind, {}).update(_tags(request, f"TagSpecification.{number}."))
        number += 1
    return found


def _tags(request: Request, prefix: str = "") -> dict[str, str]:
    """Returns ``Tag.N`` of a call (CreateTags, DeleteTags), or those below a prefix."""
    found: dict[str, str] = {}
    while key := request.text(f"{prefix}Tag.{len(found) + 1}.Key"):
        found[key] = request.text(f"{prefix}Tag.{len(found) + 1}.Value")
    return found


def _run_instances(request: Request) -> Named:
    yield from (("instance", "*"), ("network-interface", "*"), ("volume", "*"))
    yield "image", request.text("ImageId") or "*"
    interface = "NetworkInterface.1."
    subnet = request.text("SubnetId") or request.text(f"{interface}SubnetId")
    groups = request.members("SecurityGroupId") or request.members(f"{interface}SecurityGroupId")
    # Without one, the default subnet and its security group are used.
    yield "subnet", subnet or "*"
    yield from (("security-group", group) for group in groups or ["*"])
    if key := request.text("KeyName"):
        yield "key-pair", key
    if template := request.text("LaunchTemplate.LaunchTemplateId"):
        yield "launch-template", template


def _create_image(request: Request) -> Named:
    return [("instance", request.text("InstanceId")), ("image", "*"), ("snapshot", "*")]


def _copy_image(request: Request) -> Named:
    return [("image", request.text("SourceImageId")), ("snapshot", "*")]


def _create_snapshot(request: Request) -> Named:
    return [("volume", request.text("VolumeId")), ("snapshot", "*")]


def _create_volume(request: Request) -> Named:
    yield "volume", "*"
    if source := request.text("SnapshotId"):
        yield "snapshot", source


def _register_image(request: Request) -> Named:
    yield "image", "*"
    number = 1
    while request.text(f"BlockDeviceMapping.{number}.DeviceName"):
        if source := request.text(f"BlockDeviceMapping.{number}.Ebs.SnapshotId"):
            yield "snapshot", source
        number += 1


def _create_security_group(request: Request) -> Named:
    yield "security-group", "*"
    yield "vpc", request.text("VpcId") or "*"


def _create_network_interface(request: Request) -> Named:
    yield "network-interface", "*"
    yield "subnet", request.text("SubnetId")
    yield from (("security-group", group) for group in request.members("SecurityGroupId"))


def _tagged(request: Request) -> Named:
    for resource in request.members("ResourceId"):
        kind = _TYPES.get(resource.split("-", 1)[0])
        if kind:
            yield kind, resource


_NAMED: dict[str, Callable[[Request], Named]] = {
    "CopyImage": _copy_image,
    "CreateImage": _create_image,
    "CreateNetworkInterface": _create_network_interface,
    "CreateSecurityGroup": _create_security_group,
    "CreateSnapshot": _create_snapshot,
    "CreateTags": _tagged,
    "CreateVolume": _create_volume,
    "DeleteTags": _tagged,
    "RegisterImage": _register_image,
    "RunInstances": _run_instances,
}
