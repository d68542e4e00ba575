"""Resources that fail as on AWS: a name that is taken, a bucket or role that is not empty.

ministack takes an existing resource over when a stack creates one of the same name, and deletes a
bucket with its objects. Both hide mistakes that AWS reports, and both are the simplest ways to make a
stack fail on purpose.
"""

from collections.abc import Callable, Iterable
from typing import Any

from ministack.services import cloudformation, cloudwatch_logs, dynamodb, iam, lambda_svc, s3, stepfunctions
from ministack.services.cloudformation import provisioners

from overlay.contracts import CreateResource, DeleteResource
from overlay.shapes import Properties, Provisioned


def _machine_names() -> set[str]:
    return {machine["name"] for machine in stepfunctions._state_machines.values()}


# Type -> the property that names it, and the names that are taken in the caller's account and region.
_NAMED = {
    "AWS::IAM::Role": ("RoleName", iam._roles.keys),
    "AWS::Lambda::Function": ("FunctionName", lambda_svc._functions.keys),
    "AWS::DynamoDB::Table": ("TableName", dynamodb._tables.keys),
    "AWS::Logs::LogGroup": ("LogGroupName", cloudwatch_logs._log_groups.keys),
    "AWS::StepFunctions::StateMachine": ("StateMachineName", _machine_names),
}


def install() -> None:
    """Guard the creations and the two deletions."""
    for kind, (name, taken) in _NAMED.items():
        handlers = provisioners._RESOURCE_HANDLERS[kind]
        handlers["create"] = _only_if_free(kind, name, taken, handlers["create"])
    for kind, blocker in (("AWS::S3::Bucket", _bucket_blocker), ("AWS::IAM::Role", _role_blocker)):
        handlers = provisioners._RESOURCE_HANDLERS[kind]
        handlers["delete"] = _only_if_unblocked(blocker, handlers["delete"])


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
    def guarded(physical_id: str, props: Properties, *rest: Any) -> None:
        reason = blocker(physical_id, props)
        if reason:
            raise ValueError(reason)
        return delete(physical_id, props, *rest)

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
