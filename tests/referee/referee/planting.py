"""Plants the oracles' own mistakes, each in a copy of the tree, and looks whether it is found."""

import shutil
import tempfile
from pathlib import Path
from types import ModuleType

from referee.context import Context, NoRecording
from referee.verdict import Finding

# Fewer would say little about an oracle.
LEAST = 3
_LEFT_OUT = shutil.ignore_patterns(".git", "target", ".lockstep", "node_modules", "__pycache__")


def plant_all(oracle: ModuleType, name: str, context: Context) -> list[str]:
    """Plants each mistake of an oracle; returns a sentence for each that was not found."""
    before = set(oracle.judge(context).findings)
    missed = []
    planted = 0
    for title, plant in oracle.PLANTED:
        try:
            found = _plant(oracle, plant, context) - before
        except NoRecording:
            print(f"  - not planted without a recording: {title}")
            continue
        planted += 1
        if found:
            print(f"  - found: {title}\n      {min(found)}")
        else:
            missed.append(f"{name} does not find: {title}")
    if planted < LEAST and (context.recordings or len(oracle.PLANTED) < LEAST):
        missed.append(f"{name} plants {planted} mistakes, of {LEAST} at least")
    return missed


def _plant(oracle: ModuleType, plant, context: Context) -> set[Finding]:
    """Returns what the oracle finds in a copy with the mistake: what names the text that `plant` returns, if any."""
    with tempfile.TemporaryDirectory(prefix="lockstep-referee-") as scratch:
        root = Path(scratch) / "tree"
        shutil.copytree(context.root, root, ignore=_LEFT_OUT)
        copy = Context(root=root, recordings=context.recordings, tools=context.tools, scratch=Path(scratch))
        named = plant(copy)
        found = oracle.judge(copy).findings
        return {finding for finding in found if named is None or named in str(finding)}


def replace(path: Path, old: str, new: str, count: int = 1) -> None:
    """Replaces text in a file of the copy. A text that is not there is an error of the planting."""
    text = path.read_text(encoding="utf-8")
    if old not in text:
        raise ValueError(f"{path.name} holds no {old!r}: the planted mistake must follow the file")
    path.write_text(text.replace(old, new, count), encoding="utf-8")
