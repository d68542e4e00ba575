"""DescribeImageReferences: who in the calling account still uses an image (ministack does not have it).

Instances that are not terminated, launch template versions and SSM parameters, at most ten ids a call. EC2 looks with
the rights of the caller: each type needs the permissions to list it, under ``aws:CalledVia``. They are those of the
managed policy AmazonEC2ImageReferencesAccessPolicy.
"""

from collections.abc import Iterator
from typing import Any, TypeAlias

from ministack.core.responses import get_account_id, get_region
from ministack.services import ec2, ssm

from overlay import checks, patched
from overlay.checks import Check, Request
from overlay.ec2_wire import Refused, action, element, flag, items, members, page, text
from overlay.shapes import Params, Record, Rendered

References: TypeAlias = Iterator[tuple[str, str]]
"""Image ids, each with the ARN of what refers to it."""

_MOST_IDS = 10
_NEEDED = {
    "ec2:Instance": ("ec2:DescribeInstances",),
    "ec2:LaunchTemplate": ("ec2:DescribeLaunchTemplates", "ec2:DescribeLaunchTemplateVersions"),
    "ssm:Parameter": ("ssm:DescribeParameters", "ssm:GetParameters"),
    "imagebuilder:ImageRecipe": ("imagebuilder:ListImageRecipes",),
    "imagebuilder:ContainerRecipe": ("imagebuilder:ListContainerRecipes", "imagebuilder:GetContainerRecipe"),
}
"""What a type of resource needs to be looked at."""
_RESOURCES = {
    "ssm:GetParameters": "ssm:{region}:{account}:parameter/*",
    "imagebuilder:GetContainerRecipe": "imagebuilder:{region}:{account}:container-recipe/*",
}
"""What an action is asked about that is not asked about ``*``."""


def install() -> None:
    """Register the action and what it needs."""
    patched.EC2_ACTIONS.replace("DescribeImageReferences", action(describe))
    checks.beside(needed)


def needed(request: Request) -> list[Check]:
    """Returns a check for each permission that the types of a request need."""
    if (request.service, request.action) != ("ec2", "DescribeImageReferences"):
        return []
    via = "ec2-images.amazonaws.com"
    context = {"aws:CalledVia": [via], "aws:CalledViaFirst": via, "aws:CalledViaLast": via, "aws:ViaAWSService": "true"}
    kinds = _wanted_types(request.params)
    where = {"region": request.region, "account": request.account}
    return [
        Check(one, f"arn:aws:{_RESOURCES[one].format(**where)}" if one in _RESOURCES else "*", context)
        for kind, actions in _NEEDED.items()
        if kind in kinds
        for one in actions
    ]


def describe(params: Params, _request_id: str) -> Rendered:
    """Every reference the account holds to the given images, of the resource types asked for."""
    image_ids = members(params, "ImageId")
    if not image_ids or len(image_ids) > _MOST_IDS:
        raise Refused("InvalidParameterValue", f"Between 1 and {_MOST_IDS} image ids must be given.")
    wanted = _wanted_types(params)
    if not wanted:
        raise Refused("MissingParameter", "Either ResourceTypes or IncludeAllResourceTypes must be specified.")
    found = [
        (image_id, kind, arn)
        for kind, references in _REFERENCES.items()
        if kind in wanted
        for image_id, arn in references()
        if image_id in image_ids
    ]
    shown, token = page(found, params)
    rendered = items(
        element("imageId", image_id) + element("resourceType", kind) + element("arn", arn)
        for image_id, kind, arn in shown
    )
    return "DescribeImageReferencesResponse", f"<imageReferenceSet>{rendered}</imageReferenceSet>{token}"


def _wanted_types(params: Params) -> set[str]:
    if flag(params, "IncludeAllResourceTypes"):
        return set(_NEEDED)
    named, number = set(), 1
    while kind := text(params, f"ResourceType.{number}.ResourceType"):
        named.add(kind)
        number += 1
    return named


def _arn(resource: str, service: str = "ec2") -> str:
    return f"arn:aws:{service}:{get_region()}:{get_account_id()}:{resource}"


def _instances() -> References:
    for instance in ec2._instances.values():
        if (instance.get("State") or {}).get("Name") != "terminated":
            yield instance.get("ImageId"), _arn(f"instance/{instance['InstanceId']}")


def _launch_templates() -> References:
    for template in ec2._launch_templates.values():
        for image_id in _named_images(template):
            yield image_id, _arn(f"launch-template/{template['LaunchTemplateId']}")


def _named_images(template: Record) -> list[str]:
    """Each image any version names, once: the record nests the versions' data under several keys."""
    found = set()

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            image_id = node.get("ImageId")
            if isinstance(image_id, str):
                found.add(image_id)
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(template)
    return sorted(found)


def _parameters() -> References:
    for name, parameter in ssm._parameters.items():
        value = parameter.get("Value") if isinstance(parameter, dict) else None
        if isinstance(value, str) and value.startswith("ami-"):
            yield value, _arn(f"parameter/{name.lstrip('/')}", "ssm")


_REFERENCES = {
    "ec2:Instance": _instances,
    "ec2:LaunchTemplate": _launch_templates,
    "ssm:Parameter": _parameters,
}
