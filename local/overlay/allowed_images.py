"""Allowed AMIs: which images of others an account finds and uses in a region.

Where the setting is enabled, an image of another account that meets no criterion is not found, nor copied or launched.
In audit mode everything is found, and DescribeImages says of each image whether it would be. One's own are always
allowed. An image that is not allowed is answered as one that does not exist; AWS's own code for it is not known.
"""

import datetime
from collections.abc import Iterable
from fnmatch import fnmatchcase

from ministack.core.responses import get_account_id

from overlay import patched
from overlay.ec2_wire import Refused, action, element, items, members, required, text
from overlay.shapes import Params, Record, Rendered
from overlay.state import STATE

_LISTS = {
    "ImageProvider": "imageProviderSet",
    "ImageName": "imageNameSet",
    "MarketplaceProductCode": "marketplaceProductCodeSet",
}
_DAYS = {
    "CreationDateCondition": ("creationDateCondition", "MaximumDaysSinceCreated", "CreationDate"),
    "DeprecationTimeCondition": ("deprecationTimeCondition", "MaximumDaysSinceDeprecated", "DeprecationTime"),
}


def install() -> None:
    """Register the four actions, and let nothing be launched that is not allowed."""
    actions = {
        "GetAllowedImagesSettings": get,
        "EnableAllowedImagesSettings": enable,
        "DisableAllowedImagesSettings": disable,
        "ReplaceImageCriteriaInAllowedImagesSettings": replace,
    }
    for name, function in actions.items():
        patched.EC2_ACTIONS.replace(name, action(function))


def state() -> str:
    """Returns ``disabled``, ``audit-mode`` or ``enabled`` for the caller's account and region."""
    return STATE.allowed_images.get("state", "disabled")


def allows(image: Record) -> bool:
    """Whether the criteria allow an image, in whatever state the setting is."""
    if image["OwnerId"] == get_account_id():
        return True
    return any(_meets(image, criterion) for criterion in STATE.allowed_images.get("criteria", []))


def hides(image: Record) -> bool:
    """Whether the account does not find an image because of the setting."""
    return state() == "enabled" and not allows(image)


def _meets(image: Record, criterion: Record) -> bool:
    """Whether an image meets every part of one criterion."""
    providers, names = criterion.get("ImageProvider"), criterion.get("ImageName")
    codes = criterion.get("MarketplaceProductCode")
    if providers and not {image["OwnerId"], image.get("ImageOwnerAlias")} & set(providers) and "none" not in providers:
        return False
    if names and not any(fnmatchcase(image["Name"], name) for name in names):
        return False
    if codes and not {one["ProductCodeId"] for one in image.get("ProductCodes") or []} & set(codes):
        return False
    return all(_within(image.get(field), criterion[kind]) for kind, (_, _, field) in _DAYS.items() if kind in criterion)


def _within(when: str | None, days: str) -> bool:
    """Whether a time is no longer ago than so many days; an image that has no such time is."""
    if not when:
        return True
    past = datetime.datetime.now(datetime.timezone.utc) - datetime.datetime.fromisoformat(when.replace("Z", "+00:00"))
    return past <= datetime.timedelta(days=int(days))


def get(_params: Params, _request_id: str) -> Rendered:
    """GetAllowedImagesSettings: the state and the criteria."""
    criteria = items(_rendered(one) for one in STATE.allowed_images.get("criteria", []))
    told = (
        element("state", state())
        + f"<imageCriterionSet>{criteria}</imageCriterionSet>"
        + element("managedBy", "account")
    )
    return "GetAllowedImagesSettingsResponse", told


def _rendered(criterion: Record) -> str:
    lists: Iterable[str] = (
        f"<{tag}>{items(criterion[name])}</{tag}>" for name, tag in _LISTS.items() if criterion.get(name)
    )
    days = (
        f"<{tag}>{element(member[0].lower() + member[1:], criterion[kind])}</{tag}>"
        for kind, (tag, member, _) in _DAYS.items()
        if kind in criterion
    )
    return "".join(lists) + "".join(days)


def enable(params: Params, _request_id: str) -> Rendered:
    """EnableAllowedImagesSettings, for good or to see what it would do."""
    wanted = required(params, "AllowedImagesSettingsState")
    if wanted not in ("enabled", "audit-mode"):
        raise Refused("InvalidParameterValue", f"Value ({wanted}) for parameter AllowedImagesSettingsState is invalid.")
    STATE.allowed_images["state"] = wanted
    return "EnableAllowedImagesSettingsResponse", element("allowedImagesSettingsState", wanted)


def disable(_params: Params, _request_id: str) -> Rendered:
    """DisableAllowedImagesSettings: the criteria stay and apply to nothing."""
    STATE.allowed_images.pop("state", None)
    return "DisableAllowedImagesSettingsResponse", element("allowedImagesSettingsState", "disabled")


def replace(params: Params, _request_id: str) -> Rendered:
    """ReplaceImageCriteriaInAllowedImagesSettings: these criteria and no others."""
    criteria: list[Record] = []
    while any(name.startswith(f"ImageCriterion.{len(criteria) + 1}.") for name in params):
        prefix = f"ImageCriterion.{len(criteria) + 1}."
        criterion: Record = {name: members(params, prefix + name) for name in _LISTS}
        for kind, (_, member, _) in _DAYS.items():
            if days := text(params, f"{prefix}{kind}.{member}"):
                criterion[kind] = days
        criteria.append(criterion)
    STATE.allowed_images["criteria"] = criteria
    return "ReplaceImageCriteriaInAllowedImagesSettingsResponse", "<return>true</return>"
