"""The attributes of an image: who may launch it, its description, its product codes."""

import re

from ministack.services import ec2

from overlay import image_records
from overlay.ec2_wire import Refused, element, items, members, required, text
from overlay.shapes import Params, Record, Rendered


def modify_attribute(params: Params, _request_id: str) -> Rendered:
    """ModifyImageAttribute: launch permissions, in both of the forms SDKs send, and the description."""
    image = image_records.own(params)
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


def _requested_permissions(params: Params) -> tuple[list[Record], list[Record]]:
    added = ec2._parse_launch_permission_list(params, "LaunchPermission.Add")
    removed = ec2._parse_launch_permission_list(params, "LaunchPermission.Remove")
    if added or removed:
        return added, removed
    flat = [{"UserId": user} for user in members(params, "UserId")]
    flat += [{"Group": group} for group in members(params, "UserGroup")]
    if not flat:
        raise Refused("InvalidParameterCombination", "No attributes specified.")
    return (flat, []) if text(params, "OperationType") != "remove" else ([], flat)


def describe_attribute(params: Params, _request_id: str) -> Rendered:
    """DescribeImageAttribute: launchPermission, description or productCodes, to the owner only."""
    image, attribute = image_records.own(params), required(params, "Attribute")
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


def reset_attribute(params: Params, _request_id: str) -> Rendered:
    """ResetImageAttribute: shared with nobody again."""
    image = image_records.own(params)
    if text(params, "Attribute") != "launchPermission":
        raise Refused("InvalidParameterValue", "Only launchPermission can be reset.")
    image["LaunchPermissions"] = []
    return "ResetImageAttributeResponse", "<return>true</return>"
