"""A Lambda whose code cannot be read is refused, as on AWS.

ministack creates such a function all the same and answers its invocations itself with 200, which
hides a missing artifact or a bucket of another account until something else goes wrong.
"""

from ministack.services.cloudformation import provisioners

from overlay import patched
from overlay.shapes import Properties, Provisioned

_create = patched.CREATE_FUNCTION.current()
_update = patched.UPDATE_FUNCTION.current()


def install() -> None:
    """Check the code object before a stack creates or updates a function."""
    patched.CREATE_FUNCTION.replace(create)
    patched.UPDATE_FUNCTION.replace(update)


def create(logical_id: str, props: Properties, stack_name: str) -> Provisioned:
    """Create the function once its code was found."""
    require_code(props)
    return _create(logical_id, props, stack_name)


def update(
    physical_id: str, old_props: Properties, new_props: Properties, stack_name: str, logical_id: str | None = None
) -> Provisioned:
    """Update the function once its code was found."""
    require_code(new_props)
    return _update(physical_id, old_props, new_props, stack_name, logical_id)


def require_code(props: Properties) -> None:
    """Raise AWS's error when ``Code`` names an S3 object that this account cannot read."""
    code = props.get("Code") or {}
    bucket, key = code.get("S3Bucket"), code.get("S3Key")
    if not bucket or not key:
        return
    found = provisioners._lambda_svc._fetch_code_from_s3(bucket, key, version_id=code.get("S3ObjectVersion"))
    if found is None:
        raise ValueError(
            'Resource handler returned message: "Error occurred while GetObject. S3 Error Code: NoSuchKey. '
            f'S3 Error Message: The specified key does not exist. ({bucket}/{key})" '
            "(HandlerErrorCode: InvalidRequest)"
        )
