"""Where a template may come from, which stacks may be created over, and when a stack was updated.

``TemplateURL`` takes every form AWS takes for the caller's own buckets: path-style and virtual-hosted
amazonaws.com names and the emulator's own endpoint, with an escaped key. A stack that rolled back on
its creation still exists, as on AWS: it can only be deleted.
"""

import re
from urllib.parse import unquote, urlsplit

from ministack.services import cloudformation
from ministack.services.cloudformation import helpers

from overlay import patched
from overlay.shapes import Params, Record, Reply

_VIRTUAL_HOST = re.compile(r"^(?P<bucket>.+?)\.s3[.-](?:[a-z0-9-]+\.)*amazonaws\.com$")
_resolve_document = patched.RESOLVE_DOCUMENT.current()
_create_stack = patched.CLOUDFORMATION_ACTIONS.current("CreateStack")
_create_change_set = patched.CLOUDFORMATION_ACTIONS.current("CreateChangeSet")
_describe_stacks = patched.CLOUDFORMATION_ACTIONS.current("DescribeStacks")


def install() -> None:
    """Replace the document resolver and the two actions that create stacks."""
    patched.RESOLVE_DOCUMENT.replace(resolve_document)
    patched.CLOUDFORMATION_ACTIONS.replace("CreateStack", create_stack)
    patched.CLOUDFORMATION_ACTIONS.replace("CreateChangeSet", create_change_set)
    patched.CLOUDFORMATION_ACTIONS.replace("DescribeStacks", describe_stacks)


def resolve_document(params: Params, body_key: str, url_key: str, label: str) -> tuple[str | None, Reply | None]:
    """ministack's resolver, given the one URL form it understands: ``scheme://host/bucket/key``."""
    url = helpers._p(params, url_key)
    if url and not helpers._p(params, body_key):
        params = {**params, url_key: [path_style(url)]}
    return _resolve_document(params, body_key, url_key, label)


def path_style(url: str) -> str:
    """The same object as ``http://s3/<bucket>/<key>``, unescaped."""
    parts = urlsplit(url)
    host = _VIRTUAL_HOST.match(parts.hostname or "")
    path = unquote(parts.path).lstrip("/")
    return f"http://s3/{host['bucket']}/{path}" if host else f"http://s3/{path}"


def create_stack(params: Params) -> Reply:
    """CreateStack, which does not overwrite a stack that rolled back."""
    name = helpers._p(params, "StackName")
    if _rolled_back(name):
        return helpers._error("AlreadyExistsException", f"Stack [{name}] already exists")
    answer = _create_stack(params)
    if answer[0] < 400:
        # The time of the last update is the time of an update.
        cloudformation._stacks[name].pop("LastUpdatedTime", None)
    return answer


def describe_stacks(params: Params) -> Reply:
    """DescribeStacks, without an empty time of the last update, which an SDK cannot read."""
    status, headers, body = _describe_stacks(params)
    return status, headers, body.replace(b"<LastUpdatedTime></LastUpdatedTime>", b"")


def create_change_set(params: Params) -> Reply:
    """CreateChangeSet, which neither creates nor updates a stack that rolled back on creation."""
    name = helpers._p(params, "StackName")
    stack = _rolled_back(name)
    if stack is None:
        return _create_change_set(params)
    if helpers._p(params, "ChangeSetType") == "CREATE":
        change_set = helpers._p(params, "ChangeSetName")
        message = f"Stack [{name}] already exists and cannot be created again with the changeSet [{change_set}]."
    else:
        message = f"Stack:{stack['StackId']} is in ROLLBACK_COMPLETE state and can not be updated."
    return helpers._error("ValidationError", message)


def _rolled_back(name: str) -> Record | None:
    for stack in cloudformation._stacks.values():
        if name in (stack["StackName"], stack["StackId"]) and stack["StackStatus"] == "ROLLBACK_COMPLETE":
            return stack
    return None
