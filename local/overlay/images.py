"""Machine images with AWS's rules, in every account and region.

Register, create, copy, describe, share, disable and deregister. ministack has no CopyImage and no
CreateImage, and its DescribeImages answers an unknown id with an empty list.
"""

from ministack.core.responses import get_account_id
from ministack.services import ec2

from overlay import (
    allowed_images,
    ec2_checks,
    image_attributes,
    image_copies,
    image_creation,
    image_lifecycle,
    image_records,
    image_view,
    patched,
    snapshots,
)
from overlay.ec2_wire import Refused, action, element, flag, items, members, page, required, text
from overlay.shapes import Params, Record, Rendered, Reply

_run_instances = patched.EC2_ACTIONS.current("RunInstances")


def install() -> None:
    """Register the image actions."""
    actions = {
        "RegisterImage": image_creation.register,
        "CreateImage": image_creation.create,
        "CopyImage": image_copies.copy,
        "DescribeImages": describe,
        "DeregisterImage": deregister,
        "ModifyImageAttribute": image_attributes.modify_attribute,
        "DescribeImageAttribute": image_attributes.describe_attribute,
        "ResetImageAttribute": image_attributes.reset_attribute,
        "DisableImage": disable,
        "EnableImage": enable,
        "EnableImageDeregistrationProtection": enable_protection,
        "DisableImageDeregistrationProtection": disable_protection,
        "EnableImageDeprecation": enable_deprecation,
        "DisableImageDeprecation": disable_deprecation,
    }
    for name, function in actions.items():
        patched.EC2_ACTIONS.replace(name, action(function))
    patched.EC2_ACTIONS.replace("RunInstances", launch)


def launch(params: Params) -> Reply:
    """RunInstances, from an image that the account finds."""
    _, image = image_view.find(text(params, "ImageId"))
    if image is not None and allowed_images.hides(image):
        return ec2._error("InvalidAMIID.NotFound", f"The image id '[{image['ImageId']}]' does not exist", 400)
    return _run_instances(params)


def describe(params: Params, _request_id: str) -> Rendered:
    """DescribeImages: the caller's own, shared and public images."""
    wanted = members(params, "ImageId")
    found = [image for image in image_view.visible() if not allowed_images.hides(image)]
    known = {image["ImageId"] for image in found}
    for image_id in wanted:
        image_records.check_id(image_id)
    missing = [image_id for image_id in wanted if image_id not in known]
    if missing:
        raise image_records.not_found(", ".join(missing))
    owners, users = members(params, "Owner"), members(params, "ExecutableBy")
    filters = ec2._parse_filters(params)
    selected = [
        image
        for image in found
        if (image["ImageId"] in wanted if wanted else _listed(image, params))
        and (not owners or image_view.owned_by(image, owners))
        and (not users or image_view.executable_by(image, users))
        and image_view.passes(image, filters)
    ]
    shown, token = page(selected, params)
    rendered = items(image_view.render(image) for image in shown)
    return "DescribeImagesResponse", f"<imagesSet>{rendered}</imagesSet>{token}"


def _listed(image: Record, params: Params) -> bool:
    """Disabled images, and other accounts' deprecated ones, are listed on request only."""
    if image_view.state(image) == "disabled" and not flag(params, "IncludeDisabled"):
        return False
    deprecated = (image.get("DeprecationTime") or "9999") < ec2._now_ts()
    return not deprecated or image["OwnerId"] == get_account_id() or flag(params, "IncludeDeprecated")


def deregister(params: Params, request_id: str) -> Rendered:
    """DeregisterImage, with its snapshots if asked: those that other images need are skipped."""
    image = image_records.own(params)
    if image.get("DeregistrationProtection", "disabled") != "disabled":
        raise Refused("OperationNotPermitted", f"Deregistration protection is enabled for {image['ImageId']}.")
    ec2._images.pop(image["ImageId"], None)
    ec2._tags.pop(image["ImageId"], None)
    image["State"] = "deregistered"
    image_lifecycle.announce(image, request_id)
    results = ""
    if flag(params, "DeleteAssociatedSnapshots"):
        rendered = items(_delete_associated(one) for one in image_records.snapshot_ids(image))
        results = f"<deleteSnapshotResultSet>{rendered}</deleteSnapshotResultSet>"
    return "DeregisterImageResponse", f"<return>true</return>{results}"


def _delete_associated(snapshot_id: str) -> str:
    code = "success"
    if snapshots.image_using(snapshot_id):
        code = "skipped"
    elif snapshot_id not in ec2._snapshots or not ec2_checks.may_delete_snapshot(snapshot_id):
        code = "missing-permissions"
    else:
        snapshots.remove(snapshot_id)
    return element("snapshotId", snapshot_id) + element("returnCode", code)


def disable(params: Params, request_id: str) -> Rendered:
    """DisableImage: no longer shared, listed or launched."""
    image = image_records.own(params)
    image.update(State="disabled", LaunchPermissions=[])
    image_lifecycle.announce(image, request_id)
    return "DisableImageResponse", "<return>true</return>"


def enable(params: Params, request_id: str) -> Rendered:
    """EnableImage: available again; its sharing does not come back."""
    image = image_records.own(params)
    image["State"] = "available"
    image_lifecycle.announce(image, request_id)
    return "EnableImageResponse", "<return>true</return>"


def enable_protection(params: Params, _request_id: str) -> Rendered:
    """EnableImageDeregistrationProtection, with or without a cooldown."""
    kind = "with" if flag(params, "WithCooldown") else "without"
    image_records.own(params)["DeregistrationProtection"] = f"enabled-{kind}-cooldown"
    return "EnableImageDeregistrationProtectionResponse", "<return>true</return>"


def disable_protection(params: Params, _request_id: str) -> Rendered:
    """DisableImageDeregistrationProtection: at once, or after a cooldown of a day, in which it still protects."""
    image = image_records.own(params)
    cooling = image.get("DeregistrationProtection") == "enabled-with-cooldown"
    image["DeregistrationProtection"] = "disabling-after-cooldown" if cooling else "disabled"
    return "DisableImageDeregistrationProtectionResponse", "<return>true</return>"


def enable_deprecation(params: Params, _request_id: str) -> Rendered:
    """EnableImageDeprecation: hidden from other accounts' lists once the time has come."""
    image_records.own(params)["DeprecationTime"] = required(params, "DeprecateAt")
    return "EnableImageDeprecationResponse", "<return>true</return>"


def disable_deprecation(params: Params, _request_id: str) -> Rendered:
    """DisableImageDeprecation."""
    image_records.own(params).pop("DeprecationTime", None)
    return "DisableImageDeprecationResponse", "<return>true</return>"
