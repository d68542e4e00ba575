"""Judges the list of fields of the Elastic Common Schema that events are tested with: it is what Elastic publishes."""

from collections.abc import Callable

from generated import Generated
from referee.context import Context
from referee.planting import replace
from referee.verdict import Verdict

FILE = Generated("shared/ecs/fields.tsv", "ecs-fields")


def build(context: Context) -> tuple[bytes, list[str]]:
    """Returns the list as the pinned package gives it, and no errors."""
    return context.node("ecs-fields").encode(), []


def differences(context: Context) -> list[str]:
    """Compares the checked-in list with the package's; returns a sentence for each line that differs."""
    written = (context.root / FILE.path).read_text(encoding="utf-8").splitlines()
    wanted = build(context)[0].decode().splitlines()
    if written == wanted:
        return []
    missing = [f"it lacks `{line}`" for line in sorted(set(wanted) - set(written))]
    surplus = [f"it has `{line}`" for line in sorted(set(written) - set(wanted))]
    return [f"{what}: run {FILE.command}" for what in missing + surplus or ["it is not sorted"]]


def judge(context: Context) -> Verdict:
    """Compares the list with the package."""
    verdict = Verdict()
    for problem in differences(context):
        verdict.find(FILE.path, problem)
    for _ in (context.root / FILE.path).read_text(encoding="utf-8").splitlines()[1:]:
        verdict.judged("fields")
    return verdict


def _changed(old: str, new: str) -> Callable[[Context], str]:
    def plant(copy: Context) -> str:
        replace(copy.root / FILE.path, old, new)
        return FILE.path

    return plant


PLANTED = [
    ("a field has another type", _changed("\nsource.ip\tip\n", "\nsource.ip\tkeyword\n")),
    ("a field is invented", _changed("\nsource.ip\tip\n", "\nsource.ip\tip\nsource.name\tkeyword\n")),
    ("a field is missing", _changed("\nevent.duration\tlong\n", "\n")),
    ("a list of values is longer", _changed(",event,metric,", ",event,metrics,metric,")),
]
