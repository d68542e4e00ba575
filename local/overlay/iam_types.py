"""The IAM resource types ministack's CloudFormation does not have: access keys, role and user policies.

It also leaves out the permissions boundary of a role.

``SecretAccessKey`` is an attribute of the key as on AWS, so a stack can hand an operator credentials
that are not the account's root.
"""

import contextlib
import json
import re
from typing import Any

from ministack.services import iam
from ministack.services.cloudformation import handlers, provisioners

from overlay import patched
from overlay.contracts import CreateResource, QueryAction, ResourceHandlers, UpdateNamedResource
from overlay.shapes import Properties, Provisioned

_MESSAGE = re.compile(rb"<Message>(.*?)</Message>", re.DOTALL)


def install() -> None:
    """Register the types, and let them ask for CAPABILITY_IAM as on AWS."""
    added: dict[str, ResourceHandlers] = {
        "AWS::IAM::AccessKey": {"create": create_key, "update": update_key, "delete": delete_key},
        "AWS::IAM::RolePolicy": _inline_policy("Role", iam._put_role_policy, iam._delete_role_policy),
        "AWS::IAM::UserPolicy": _inline_policy("User", iam._put_user_policy, iam._delete_user_policy),
    }
    for kind, handlers_of_kind in added.items():
        patched.add_resource_type(kind, handlers_of_kind)
    patched.CREATE_ROLE.replace(_bounded(patched.CREATE_ROLE.current()))
    patched.UPDATE_ROLE.replace(_bounded_again(patched.UPDATE_ROLE.current()))
    handlers._CAPABILITY_IAM_TYPES |= {"AWS::IAM::RolePolicy", "AWS::IAM::UserPolicy"}


def _call(function: QueryAction, **params: Any) -> bytes:
    status, _, body = function(params)
    if status >= 400:
        message = _MESSAGE.search(body)
        raise ValueError(message[1].decode() if message else body.decode())
    return body


def _bounded(create_role: CreateResource) -> CreateResource:
    """Creates a role with its permissions boundary, which must exist."""

    def create(logical_id: str, props: Properties, stack_name: str) -> Provisioned:
        name, attributes = create_role(logical_id, props, stack_name)
        try:
            _set_boundary(name, props)
        except ValueError:
            iam._roles.pop(name, None)
            raise
        return name, attributes

    return create


def _bounded_again(update_role: UpdateNamedResource) -> UpdateNamedResource:
    """Updates a role with its permissions boundary, which its new properties may lack."""

    def update(
        physical_id: str,
        old_props: Properties,
        new_props: Properties,
        stack_name: str,
        logical_id: str | None = None,
        /,
    ) -> Provisioned:
        name, attributes = update_role(physical_id, old_props, new_props, stack_name, logical_id)
        _set_boundary(name, new_props)
        return name, attributes

    return update


def _set_boundary(role: str, props: Properties) -> None:
    if boundary := props.get("PermissionsBoundary"):
        _call(iam._put_role_permissions_boundary, RoleName=role, PermissionsBoundary=boundary)
    elif iam._roles[role].get("PermissionsBoundary"):
        _call(iam._delete_role_permissions_boundary, RoleName=role)


def create_key(logical_id: str, props: Properties, stack_name: str) -> Provisioned:
    """A new key of the user; ``Ref`` is its id."""
    before = set(iam._access_keys.keys())
    _call(iam._create_access_key, UserName=props["UserName"])
    (key_id,) = set(iam._access_keys.keys()) - before
    _set_status(key_id, props)
    return key_id, {"SecretAccessKey": iam._access_keys[key_id]["SecretAccessKey"]}


def update_key(physical_id: str, old_props: Properties, new_props: Properties, stack_name: str) -> Provisioned:
    """Another status is set in place; another user or serial is another key."""
    if any(old_props.get(name) != new_props.get(name) for name in ("UserName", "Serial")):
        created = create_key(physical_id, new_props, stack_name)
        provisioners._delete_predecessor(delete_key, physical_id, old_props)
        return created
    _set_status(physical_id, new_props)
    return physical_id, {"SecretAccessKey": iam._access_keys[physical_id]["SecretAccessKey"]}


def _set_status(key_id: str, props: Properties) -> None:
    iam._access_keys[key_id]["Status"] = props.get("Status", "Active")


def delete_key(physical_id: str, props: Properties) -> None:
    """Delete the key; tolerates that it is gone."""
    iam._access_keys.pop(physical_id, None)


def _inline_policy(kind: str, put: QueryAction, remove: QueryAction) -> ResourceHandlers:
    """Handlers of ``AWS::IAM::<kind>Policy``, whose id is ``policy|owner``."""
    owner_name = f"{kind}Name"

    def create(logical_id: str, props: Properties, stack_name: str) -> Provisioned:
        document = props.get("PolicyDocument", {})
        _call(
            put,
            **{owner_name: props[owner_name]},
            PolicyName=props["PolicyName"],
            PolicyDocument=document if isinstance(document, str) else json.dumps(document),
        )
        return f"{props['PolicyName']}|{props[owner_name]}", {}

    def update(physical_id: str, old_props: Properties, new_props: Properties, stack_name: str) -> Provisioned:
        created = create(physical_id, new_props, stack_name)
        if created[0] != physical_id:
            provisioners._delete_predecessor(delete, physical_id, old_props)
        return created

    def delete(physical_id: str, props: Properties) -> None:
        name, owner = physical_id.split("|", 1)
        # The owner or the policy may be gone already.
        with contextlib.suppress(ValueError):
            _call(remove, **{owner_name: owner}, PolicyName=name)

    return {"create": create, "update": update, "delete": delete}
