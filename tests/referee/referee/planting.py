"""Plants the mistakes of the oracles, each in a copy of the tree, and checks that each is found."""

import importlib
import multiprocessing
import shutil
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import ModuleType

from referee.context import Context, NoRecording
from referee.verdict import Finding

# Fewer mistakes would prove little about an oracle.
LEAST = 3
_LEFT_OUT = shutil.ignore_patterns(".git", "target", ".lockstep", "node_modules", "__pycache__")


def plant_all(oracle: ModuleType, name: str, context: Context) -> list[str]:
    """Plants each mistake of an oracle, one process per processor; returns a sentence for each missed one."""
    before = set(oracle.judge(context).findings)
    missed = []
    planted = 0
    indexes = range(len(oracle.PLANTED))
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("fork")) as processes:
        outcomes = processes.map(_plant, [name] * len(indexes), indexes, [context] * len(indexes))
        for (title, _), outcome in zip(oracle.PLANTED, outcomes, strict=True):
            if outcome is None:
                print(f"  - not planted without a recording: {title}")
                continue
            planted += 1
            if found := outcome - before:
                print(f"  - found: {title}\n      {min(found)}")
            else:
                missed.append(f"{name} does not find: {title}")
    if planted < LEAST and (context.recordings or len(oracle.PLANTED) < LEAST):
        missed.append(f"{name} plants {planted} mistakes, of {LEAST} at least")
    return missed


def _plant(name: str, index: int, context: Context) -> set[Finding] | None:
    """Returns the findings of the oracle in a copy with the mistake: those with the text of its function, if any."""
    oracle = importlib.import_module(f"oracles.{name}")
    _, plant = oracle.PLANTED[index]
    with tempfile.TemporaryDirectory(prefix="lockstep-referee-") as scratch:
        root = Path(scratch) / "tree"
        shutil.copytree(context.root, root, ignore=_LEFT_OUT)
        copy = Context(root=root, recordings=context.recordings, tools=context.tools, scratch=Path(scratch))
        try:
            named = plant(copy)
        except NoRecording:
            return None
        return {finding for finding in oracle.judge(copy).findings if named is None or named in str(finding)}


def replace(path: Path, old: str, new: str, count: int = 1) -> None:
    """Replaces text in a file of the copy. A missing text is an error of the planted mistake."""
    text = path.read_text(encoding="utf-8")
    if old not in text:
        raise ValueError(f"{path.name} holds no {old!r}: the planted mistake must follow the file")
    path.write_text(text.replace(old, new, count), encoding="utf-8")
