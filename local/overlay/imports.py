"""A bucket that a change set imports is not in the way of itself.

ministack looks before a deployment whether the names of buckets are taken. It also looks at those that
``ImportExistingResources`` is about to take in, finds them taken, and refuses its own import.
"""

from contextvars import ContextVar
from typing import Any

from ministack.services.cloudformation import changesets, stacks

_deploy = stacks._deploy_stack_async
_validation_errors = stacks._validation_errors
_imported: ContextVar[frozenset[str]] = ContextVar("imported_buckets", default=frozenset())


def install() -> None:
    """Replace the deployment of a change set and the look at names before it."""
    changesets._deploy_stack_async = deploy
    stacks._validation_errors = validation_errors


async def deploy(*args: Any, imports: dict[str, dict[str, str]] | None = None, **more: Any) -> None:
    """Deploy as ministack does, and remember which buckets are imported."""
    names = (identifier.get("BucketName") for identifier in (imports or {}).values())
    _imported.set(frozenset(filter(None, names)))
    await _deploy(*args, imports=imports, **more)


def validation_errors(*facts: Any) -> list[tuple]:
    """Returns ministack's errors, with imported buckets taken for the stack's own (the last of its arguments)."""
    *others, owned_buckets = facts
    return _validation_errors(*others, owned_buckets | _imported.get())
