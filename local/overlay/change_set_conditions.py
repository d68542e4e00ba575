"""A change set holds a resource only if the condition of the resource is true.

ministack compares the resources of two templates without their conditions. A change set then adds resources that the
deployment never creates, and ``ImportExistingResources`` imports them.
"""

from ministack.services.cloudformation import changesets

from overlay import patched
from overlay.shapes import Record

_resolve = patched.RESOLVE_FOR_DIFF.current()


def install() -> None:
    """Replace the resolution of a template before the comparison."""
    patched.RESOLVE_FOR_DIFF.replace(resolve)


def resolve(template: Record, params: Record, stack_name: str, stack_id: str) -> Record:
    """Returns ministack's resolved template, without the resources whose condition is false."""
    resolved = _resolve(template, params, stack_name, stack_id)
    if not template:
        return resolved
    conditions = changesets._evaluate_conditions(template, params)
    resources = resolved["Resources"].items()
    return {
        "Resources": {
            logical: resource for logical, resource in resources if conditions.get(resource.get("Condition"), True)
        }
    }
