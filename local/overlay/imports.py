"""A bucket that a change set imports is not in the way of itself.

ministack looks before a deployment whether the names of buckets are taken. It also looks at those that
``ImportExistingResources`` is about to take in, finds them taken, and refuses its own import.
"""

from contextvars import ContextVar
from typing import Any

from overlay import patched
from overlay.shapes import Record

_deploy = patched.DEPLOY_STACK.current()
_validation_errors = patched.VALIDATION_ERRORS.current()
_imported: ContextVar[frozenset[str]] = ContextVar("imported_buckets", default=frozenset())


def install() -> None:
    """Replace the deployment of a change set and the look at names before it."""
    patched.DEPLOY_STACK.replace(deploy)
    patched.VALIDATION_ERRORS.replace(validation_errors)


async def deploy(
    stack_name: str,
    stack_id: str,
    template: Record,
    param_values: Record,
    disable_rollback: bool,
    tags: list[Record],
    is_update: bool = False,
    previous_stack: Record | None = None,
    retain_except_on_create: bool = False,
    imports: Record | None = None,
) -> None:
    """Deploy as ministack does, and remember which buckets are imported."""
    names = (identifier.get("BucketName") for identifier in (imports or {}).values())
    _imported.set(frozenset(filter(None, names)))
    await _deploy(
        stack_name,
        stack_id,
        template,
        param_values,
        disable_rollback,
        tags,
        is_update,
        previous_stack,
        retain_except_on_create,
        imports,
    )


def validation_errors(
    resources_defs: Record,
    ordered: list[str],
    param_values: Record,
    conditions: Record,
    mappings: Record,
    stack_name: str,
    stack_id: str,
    owned_buckets: frozenset[str] = frozenset(),
) -> list[tuple[Any, ...]]:
    """Returns ministack's errors, with imported buckets taken for the stack's own."""
    owned = owned_buckets | _imported.get()
    return _validation_errors(resources_defs, ordered, param_values, conditions, mappings, stack_name, stack_id, owned)
