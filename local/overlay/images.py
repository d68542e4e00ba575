"""Machine images with AWS's rules, in every account and region.

Register, create, copy, describe, share, disable and deregister. ministack has no CopyImage and no
CreateImage, and its DescribeImages answers an unknown id with an empty list.
"""

import re

from ministack.core.responses import AccountRegionScopedDict, get_account_id, get_region
from ministack.services import ec2

from overlay import allowed_images, ec2_checks, image_keys, image_lifecycle, image_view, snapshots
from overlay.ec2_wire import Refused, action, element, flag, items, members, page, required, text

_ID = re.compile(r"^ami-(?:[0-9a-fA-F]{8}|[0-9a-fA-F]{17})$")
# What RegisterImage's billing products say about the platform; others change nothing that is visible.
_BILLING_PLATFORMS = {
    "bp-6ba54002": {"PlatformDetails": "Windows", "UsageOperation": "RunInstances:0002", "Platform": "windows"},
    "bp-6fa54006": {"PlatformDetails": "Red Hat Enterprise Linux", "UsageOperation": "RunInstances:0010"},
}
_run_instances = ec2._ACTION_MAP["RunInstances"]
_copies = AccountRegionScopedDict()  # client token -> (parameters, image id)


def install():
    """Register the image actions."""
    actions = {
        "RegisterImage": register,
        "CreateImage": create,
        "CopyImage": copy,
        "DescribeImages": describe,
        "DeregisterImage": deregister,
        "ModifyImageAttribute": modify_attribute,
        "DescribeImageAttribute": describe_attribute,
        "ResetImageAttribute": reset_attribute,
        "DisableImage": disable,
        "EnableImage": enable,
        "EnableImageDeregistrationProtection": enable_protection,
        "DisableImageDeregistrationProtection": disable_protection,
        "EnableImageDeprecation": enable_deprecation,
        "DisableImageDeprecation": disable_deprecation,
    }
    ec2._ACTION_MAP.update({name: action(function) for name, function in actions.items()})
    ec2._ACTION_MAP["RunInstances"] = launch


def launch(params):
    """RunInstances, from an image that the account finds."""
    _, image = image_view.find(text(params, "ImageId"))
    if image is not None and allowed_images.hides(image):
        return ec2._error("InvalidAMIID.NotFound", f"The image id '[{image['ImageId']}]' does not exist", 400)
    return _run_instances(params)


def not_found(image_id):
    return Refused("InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist")


def check_id(image_id):
    if not _ID.match(image_id):
        raise Refused("InvalidAMIID.Malformed", f'Invalid id: "{image_id}"')


def own(params):
    """The caller's own image; another account's is refused if visible, unknown otherwise."""
    image_id = required(params, "ImageId")
    check_id(image_id)
    owner, image = image_view.find(image_id)
    if image is None or not image_view.visible_to(owner, image, get_account_id()):
        raise not_found(image_id)
    if owner != get_account_id():
        raise Refused("AuthFailure", f"Not authorized for image:{image_id}")
    return image


def check_name(name):
    if not ec2._AMI_NAME_RE.match(name):
        raise Refused(
            "InvalidAMIName.Malformed",
            "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, "
            "'(', ')', '.', '-', '/' and '_'",
        )
    for image in ec2._images.values():
        if image["Name"] == name and image_view.state(image) != "failed":
            raise Refused("InvalidAMIName.Duplicate", f"AMI name {name} is already in use by AMI {image['ImageId']}")


def store(params, image):
    """Keep a new image of the caller and the tags asked for; returns the record."""
    image_id = ec2._new_image_id().lower()
    record = {
        "ImageId": image_id,
        "ImageLocation": "",
        "Description": "",
        "CreationDate": ec2._now_ts(),
        "OwnerId": get_account_id(),
        "LaunchPermissions": [],
        "State": "available",
        **image,
    }
    ec2._images[image_id] = record
    ec2._parse_tag_specs(params, "image", image_id)
    for mapping in record["BlockDeviceMappings"]:
        snapshot_id = (mapping.get("Ebs") or {}).get("SnapshotId")
        if snapshot_id:
            ec2._parse_tag_specs(params, "snapshot", snapshot_id)
    return record


def billing_platform(product):
    """What a billing product says about the platform of its image."""
    return _BILLING_PLATFORMS.get(product, {})


def register(params, request_id):
    """RegisterImage, from snapshots of the caller or from nothing; available at once."""
    name = required(params, "Name")
    check_name(name)
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
        image.update(billing_platform(product))
    record = store({key: value for key, value in params.items() if not _tags_snapshots(params, key)}, image)
    image_lifecycle.announce(record, request_id)
    return "RegisterImageResponse", element("imageId", record["ImageId"])


def _tags_snapshots(params, key):
    """RegisterImage tags the image only: its snapshots are older than it."""
    if not key.startswith("TagSpecification."):
        return False
    number = key.split(".")[1]
    return text(params, f"TagSpecification.{number}.ResourceType") == "snapshot"


def _registered_device(mapping):
    disk = mapping.get("Ebs")
    snapshot_id = (disk or {}).get("SnapshotId")
    if not snapshot_id:
        return mapping
    owner, snapshot = snapshots.find(snapshot_id)
    if snapshot is None or not snapshots.readable_by(owner, snapshot, get_account_id()):
        raise Refused("InvalidSnapshot.NotFound", f"The snapshot '{snapshot_id}' does not exist.")
    disk.setdefault("VolumeSize", str(snapshot["VolumeSize"]))
    disk["Encrypted"] = "true" if snapshot.get("Encrypted") else "false"
    return mapping


def create(params, request_id):
    """CreateImage from an instance: pending, then available, with a new snapshot of its root volume."""
    instance_id, name = required(params, "InstanceId"), required(params, "Name")
    instance = ec2._instances.get(instance_id)
    if instance is None:
        raise Refused("InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist")
    check_name(name)
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
    record = store(params, image)
    image_lifecycle.begin(record, request_id)
    return "CreateImageResponse", element("imageId", record["ImageId"])


def _root_size(image):
    for mapping in image.get("BlockDeviceMappings") or []:
        if mapping["DeviceName"] == image["RootDeviceName"] and mapping.get("Ebs"):
            return int(mapping["Ebs"].get("VolumeSize", 8))
    return 8


def copy(params, request_id):
    """CopyImage, into the caller's account and region; idempotent by its client token."""
    token = text(params, "ClientToken")
    asked = {key: value for key, value in params.items() if key not in ("ClientToken", "Action", "Version")}
    if token and token in _copies:
        before, image_id = _copies[token]
        if before != asked:
            raise Refused(
                "IdempotentParameterMismatch",
                "The request uses the same client token as a previous, but non-identical request. "
                "Do not reuse a client token with different requests, unless the requests are identical.",
            )
        return "CopyImageResponse", element("imageId", image_id)
    record = _copy(params, request_id)
    if token:
        _copies[token] = (asked, record["ImageId"])
    return "CopyImageResponse", element("imageId", record["ImageId"])


def _copy(params, request_id):
    name, source_id, region = (required(params, key) for key in ("Name", "SourceImageId", "SourceRegion"))
    check_id(source_id)
    owner, source = image_view.find(source_id, region)
    if source is None or not image_view.visible_to(owner, source, get_account_id()) or allowed_images.hides(source):
        raise not_found(source_id)
    if image_view.state(source) != "available":
        message = f"The image ID '{source_id}' is currently {image_view.state(source)} and may not be copied."
        raise Refused("InvalidAMIID.Unavailable", message)
    check_name(name)
    if owner != get_account_id():
        _check_may_leave(source, region)
    _check_room()
    key = _target_key(params)
    devices = [_copied_device(mapping, source_id, region, key) for mapping in source["BlockDeviceMappings"] or []]
    kept = ("Architecture", "RootDeviceType", "RootDeviceName", "VirtualizationType", "EnaSupport", "Platform")
    kept += ("PlatformDetails", "UsageOperation", "BillingProducts", "ProductCodes")
    image = {
        **{field: source.get(field) for field in kept},
        "Name": name,
        "Description": text(params, "Description", source.get("Description", "")),
        "BlockDeviceMappings": devices,
        "SourceImageId": source_id,
        "SourceImageRegion": region,
    }
    record = store(params, image)
    if flag(params, "CopyImageTags"):
        _copy_tags(source_id, record["ImageId"])
    image_lifecycle.begin(record, request_id, _unusable_key(source, region, record))
    return record


def _check_room():
    """Refuse a copy while as many as AWS allows are being made in the caller's account and region."""
    made = [one for one in ec2._images.values() if one.get("SourceImageId") and image_view.state(one) == "pending"]
    if len(made) >= image_lifecycle.copies_at_once:
        message = f"You have exceeded the maximum number of concurrent copies: {image_lifecycle.copies_at_once}"
        raise Refused("ResourceLimitExceeded", message)


def _check_may_leave(source, region):
    """Refuse, in AWS's words, an image that must stay in the account that owns it."""
    if any(code["ProductCodeType"] == "marketplace" for code in source.get("ProductCodes") or []):
        raise Refused("InvalidRequest", "Images from AWS Marketplace cannot be copied to another AWS account")
    amazon = source.get("ImageOwnerAlias") == "amazon"
    licensed = source.get("BillingProducts") or "Windows" in (source.get("PlatformDetails") or "")
    if licensed and not amazon:
        message = "Images with EC2 BillingProduct codes cannot be copied to another AWS account"
        raise Refused("InvalidRequest", message)
    for snapshot_id in snapshot_ids(source):
        snapshot_owner, snapshot = snapshots.find(snapshot_id, region)
        shared = snapshot is not None and snapshots.readable_by(snapshot_owner, snapshot, get_account_id())
        if not shared or image_keys.is_managed(snapshot.get("KmsKeyId") or ""):
            raise Refused("InvalidRequest", "You do not have permission to access the storage of this ami")


def snapshot_ids(image):
    disks = ((mapping.get("Ebs") or {}) for mapping in image.get("BlockDeviceMappings") or [])
    return [disk["SnapshotId"] for disk in disks if disk.get("SnapshotId")]


def _target_key(params):
    """The key the copy is encrypted under, if the request or the account's default asks for encryption."""
    reference = text(params, "KmsKeyId")
    # A key that cannot be used fails the image later, not the request, as on AWS.
    return image_keys.key_of_new_disk(reference, flag(params, "Encrypted")) or reference or None


def _copied_device(mapping, source_id, region, key):
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


def _unusable_key(source, region, record):
    """Why the copy will fail: a key that the caller may not use, on either side."""
    account = get_account_id()
    keys = [(snapshots.find(one, region)[1] or {}).get("KmsKeyId") for one in snapshot_ids(source)]
    keys += [(ec2._snapshots.get(one) or {}).get("KmsKeyId") for one in snapshot_ids(record)]
    for key in filter(None, keys):
        if not image_keys.usable_by(key, account):
            return {"Code": "Client.InvalidKMSKey.InvalidState", "Message": f"Given key ID is not accessible: {key}"}
    return None


def _copy_tags(source_id, new_id):
    """CopyImageTags: the caller's own tags of the source. What others tagged stays behind."""
    own = [tag for tag in ec2._tags.get(source_id, []) if not tag["Key"].startswith("aws:")]
    given = {tag["Key"] for tag in ec2._tags.get(new_id, [])}
    merged = ec2._tags.get(new_id, []) + [tag for tag in own if tag["Key"] not in given]
    if merged:
        ec2._tags[new_id] = merged


def describe(params, _request_id):
    """DescribeImages: the caller's own, shared and public images."""
    wanted = members(params, "ImageId")
    found = [image for image in image_view.visible() if not allowed_images.hides(image)]
    known = {image["ImageId"] for image in found}
    for image_id in wanted:
        check_id(image_id)
    missing = [image_id for image_id in wanted if image_id not in known]
    if missing:
        raise not_found(", ".join(missing))
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


def _listed(image, params):
    """Disabled images, and other accounts' deprecated ones, are listed on request only."""
    if image_view.state(image) == "disabled" and not flag(params, "IncludeDisabled"):
        return False
    deprecated = (image.get("DeprecationTime") or "9999") < ec2._now_ts()
    return not deprecated or image["OwnerId"] == get_account_id() or flag(params, "IncludeDeprecated")


def deregister(params, request_id):
    """DeregisterImage, with its snapshots if asked: those that other images need are skipped."""
    image = own(params)
    if image.get("DeregistrationProtection", "disabled") != "disabled":
        raise Refused("OperationNotPermitted", f"Deregistration protection is enabled for {image['ImageId']}.")
    ec2._images.pop(image["ImageId"], None)
    ec2._tags.pop(image["ImageId"], None)
    image["State"] = "deregistered"
    image_lifecycle.announce(image, request_id)
    results = ""
    if flag(params, "DeleteAssociatedSnapshots"):
        rendered = items(_delete_associated(one) for one in snapshot_ids(image))
        results = f"<deleteSnapshotResultSet>{rendered}</deleteSnapshotResultSet>"
    return "DeregisterImageResponse", f"<return>true</return>{results}"


def _delete_associated(snapshot_id):
    code = "success"
    if snapshots.image_using(snapshot_id):
        code = "skipped"
    elif snapshot_id not in ec2._snapshots or not ec2_checks.may_delete_snapshot(snapshot_id):
        code = "missing-permissions"
    else:
        snapshots.remove(snapshot_id)
    return element("snapshotId", snapshot_id) + element("returnCode", code)


def modify_attribute(params, _request_id):
    """ModifyImageAttribute: launch permissions, in both of the forms SDKs send, and the description."""
    image = own(params)
    description = text(params, "Description.Value") or (
        text(params, "Value") if text(params, "Attribute") == "description" else ""
    )
    if description:
        image["Description"] = description
        return "ModifyImageAttributeResponse", "<return>true</return>"
    added, removed = _requested_permissions(params)
    for permission in added + removed:
        if permission.get("Group") not in (None, "all"):
            raise Refused("InvalidParameterValue", f"Value ({permission['Group']}) for parameter Group is invalid.")
        if permission.get("UserId") and not re.fullmatch(r"\d{12}", permission["UserId"]):
            raise Refused("InvalidAMIAttributeItemValue", f'Invalid attribute item value "{permission["UserId"]}"')
    kept = [one for one in image.get("LaunchPermissions") or [] if one not in removed]
    image["LaunchPermissions"] = kept + [one for one in added if one not in kept]
    return "ModifyImageAttributeResponse", "<return>true</return>"


def _requested_permissions(params):
    added = ec2._parse_launch_permission_list(params, "LaunchPermission.Add")
    removed = ec2._parse_launch_permission_list(params, "LaunchPermission.Remove")
    if added or removed:
        return added, removed
    flat = [{"UserId": user} for user in members(params, "UserId")]
    flat += [{"Group": group} for group in members(params, "UserGroup")]
    if not flat:
        raise Refused("InvalidParameterCombination", "No attributes specified.")
    return (flat, []) if text(params, "OperationType") != "remove" else ([], flat)


def describe_attribute(params, _request_id):
    """DescribeImageAttribute: launchPermission, description or productCodes, to the owner only."""
    image, attribute = own(params), required(params, "Attribute")
    if attribute == "launchPermission":
        permissions = items(
            element("userId", one.get("UserId")) + element("group", one.get("Group"))
            for one in image.get("LaunchPermissions") or []
        )
        value = f"<launchPermission>{permissions}</launchPermission>"
    elif attribute == "description":
        value = f"<description>{element('value', image.get('Description'))}</description>"
    elif attribute == "productCodes":
        codes = image.get("ProductCodes") or []
        rendered = items(element("productCode", one["ProductCodeId"]) for one in codes)
        value = f"<productCodes>{rendered}</productCodes>"
    else:
        raise Refused("InvalidParameterValue", f"Value ({attribute}) for parameter attribute is invalid.")
    return "DescribeImageAttributeResponse", element("imageId", image["ImageId"]) + value


def reset_attribute(params, _request_id):
    """ResetImageAttribute: shared with nobody again."""
    image = own(params)
    if text(params, "Attribute") != "launchPermission":
        raise Refused("InvalidParameterValue", "Only launchPermission can be reset.")
    image["LaunchPermissions"] = []
    return "ResetImageAttributeResponse", "<return>true</return>"


def disable(params, request_id):
    """DisableImage: no longer shared, listed or launched."""
    image = own(params)
    image.update(State="disabled", LaunchPermissions=[])
    image_lifecycle.announce(image, request_id)
    return "DisableImageResponse", "<return>true</return>"


def enable(params, request_id):
    """EnableImage: available again; its sharing does not come back."""
    image = own(params)
    image["State"] = "available"
    image_lifecycle.announce(image, request_id)
    return "EnableImageResponse", "<return>true</return>"


def enable_protection(params, _request_id):
    """EnableImageDeregistrationProtection, with or without a cooldown."""
    kind = "with" if flag(params, "WithCooldown") else "without"
    own(params)["DeregistrationProtection"] = f"enabled-{kind}-cooldown"
    return "EnableImageDeregistrationProtectionResponse", "<return>true</return>"


def disable_protection(params, _request_id):
    """DisableImageDeregistrationProtection: at once, or after a cooldown of a day, in which it still protects."""
    image = own(params)
    cooling = image.get("DeregistrationProtection") == "enabled-with-cooldown"
    image["DeregistrationProtection"] = "disabling-after-cooldown" if cooling else "disabled"
    return "DisableImageDeregistrationProtectionResponse", "<return>true</return>"


def enable_deprecation(params, _request_id):
    """EnableImageDeprecation: hidden from other accounts' lists once the time has come."""
    own(params)["DeprecationTime"] = required(params, "DeprecateAt")
    return "EnableImageDeprecationResponse", "<return>true</return>"


def disable_deprecation(params, _request_id):
    """DisableImageDeprecation."""
    own(params).pop("DeprecationTime", None)
    return "DisableImageDeprecationResponse", "<return>true</return>"
