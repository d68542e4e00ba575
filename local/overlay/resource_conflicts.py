"""Resources that fail as on AWS: a name that is taken, a bucket or role that is not empty.

ministack takes an existing resource over when a stack creates one of the same name, and deletes a
bucket with its objects. Both hide mistakes that AWS reports, and both are the simplest ways to make a
stack fail on purpose.
"""

from collections.abc import Callable, Iterable

from ministack.services import cloudformation, cloudwatch_logs, dynamodb, iam, lambda_svc, s3, stepfunctions

from overlay import patched
from overlay.contracts import CreateResource, DeleteResource
from overlay.patched import Patched
from overlay.shapes import Properties, Provisioned


def _machine_names() -> set[str]:
    return {machine["name"] for machine in stepfunctions._state_machines.values()}


# The creation of a type -> the property that names it, and the names that are taken in the caller's account and region.
_NAMED: tuple[tuple[Patched[CreateResource], str, Callable[[], Iterable[str]]], ...] = (
    (patched.CREATE_ROLE, "RoleName", iam._roles.keys),
    (patched.CREATE_FUNCTION, "FunctionName", lambda_svc._functions.keys),
    (patched.CREATE_TABLE, "TableName", dynamodb._tables.keys),
    (patched.CREATE_LOG_GROUP, "LogGroupName", cloudwatch_logs._log_groups.keys),
    (patched.CREATE_MACHINE, "StateMachineName", _machine_names),
)


def install() -> None:
    """Guard the creations and the two deletions."""
    for creation, name, taken in _NAMED:
        creation.replace(_only_if_free(str(creation.keys[0]), name, taken, creation.current()))
    for deletion, blocker in ((patched.DELETE_BUCKET, _bucket_blocker), (patched.DELETE_ROLE, _role_blocker)):
        deletion.replace(_only_if_unblocked(blocker, deletion.current()))


def _only_if_free(
    kind: str, name_property: str, taken: Callable[[], Iterable[str]], create: CreateResource
) -> CreateResource:
    def guarded(logical_id: str, props: Properties, stack_name: str) -> Provisioned:
        name = props.get(name_property)
        if name and name in taken() and not _is_ours(stack_name, logical_id, name):
            raise ValueError(
                f"Resource handler returned message: \"Resource of type '{kind}' with identifier "
                f"'{name}' already exists.\" (HandlerErrorCode: AlreadyExists)"
            )
        return create(logical_id, props, stack_name)

    return guarded


def _is_ours(stack_name: str, logical_id: str, name: str) -> bool:
    """A type without an update handler is created again in place: that is no conflict."""
    stack = cloudformation._stacks.get(stack_name) or {}
    resource = (stack.get("_resources") or {}).get(logical_id) or {}
    return name in resource.get("PhysicalResourceId", "")


def _only_if_unblocked(blocker: Callable[[str, Properties], str], delete: DeleteResource) -> DeleteResource:
    def guarded(physical_id: str, props: Properties) -> None:
        reason = blocker(physical_id, props)
        if reason:
            raise ValueError(reason)
        delete(physical_id, props)

    return guarded


def _bucket_blocker(name: str, _props: Properties) -> str:
    bucket = s3._buckets.get(name)
    if bucket and (bucket["objects"] or s3._bucket_has_versions(name)):
        return (
            'Resource handler returned message: "The bucket you tried to delete is not empty. '
            'You must delete all versions in the bucket." (HandlerErrorCode: GeneralServiceException)'
        )
    return ""


def _role_blocker(name: str, props: Properties) -> str:
    role = iam._roles.get(name) or {}
    own = {policy.get("PolicyName") for policy in props.get("Policies") or []}
    if set(role.get("InlinePolicies") or {}) - own:
        return _invalid("Cannot delete entity, must delete policies first.")
    if set(role.get("AttachedPolicies") or []) - set(props.get("ManagedPolicyArns") or []):
        return _invalid("Cannot delete entity, must detach all policies first.")
    return ""


def _invalid(message: str) -> str:
    return f'Resource handler returned message: "{message}" (HandlerErrorCode: InvalidRequest)'
