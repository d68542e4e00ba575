"""Plants the mistakes of the oracles, each in a copy of the tree, and checks that each is found."""

import importlib
import multiprocessing
import shutil
import tempfile
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from dataclasses import replace as replaced
from pathlib import Path

from referee.context import Context, NoRecording
from referee.verdict import Finding, Verdict

# Fewer mistakes would prove little about an oracle.
LEAST = 3
_LEFT_OUT = shutil.ignore_patterns(".git", "target", ".lockstep", "node_modules", "__pycache__")


@dataclass
class Judgement:
    """The verdict of an oracle about the tree, and its findings in each copy with a mistake: None if not planted."""

    verdict: Future[Verdict]
    planted: list[tuple[str, Future[set[Finding] | None]]]


def processes() -> ProcessPoolExecutor:
    """Returns a pool of one process per processor."""
    return ProcessPoolExecutor(mp_context=multiprocessing.get_context("fork"))


def begin(pool: ProcessPoolExecutor, name: str, context: Context) -> Judgement:
    """Lets the pool judge the tree, and a copy of it with each mistake of an oracle."""
    oracle = importlib.import_module(f"oracles.{name}")
    verdict = pool.submit(oracle.judge, context)
    titles = [title for title, _ in oracle.PLANTED]
    return Judgement(verdict, [(title, pool.submit(_plant, name, at, context)) for at, title in enumerate(titles)])


def missed(name: str, judgement: Judgement, has_recordings: bool) -> list[str]:
    """Prints the outcome of each planted mistake of an oracle. Returns a sentence for each missed one."""
    before = set(judgement.verdict.result().findings)
    wrong = []
    planted = 0
    for title, outcome in judgement.planted:
        findings = outcome.result()
        if findings is None:
            print(f"  - not planted without a recording: {title}")
            continue
        planted += 1
        if found := findings - before:
            print(f"  - found: {title}\n      {min(found)}")
        else:
            wrong.append(f"{name} does not find: {title}")
    if planted < LEAST and (has_recordings or len(judgement.planted) < LEAST):
        wrong.append(f"{name} plants {planted} mistakes, of {LEAST} at least")
    return wrong


def _plant(name: str, index: int, context: Context) -> set[Finding] | None:
    """Returns the findings of the oracle in a copy with the mistake: those with the text of its function, if any."""
    oracle = importlib.import_module(f"oracles.{name}")
    _, plant = oracle.PLANTED[index]
    with tempfile.TemporaryDirectory(prefix="lockstep-referee-") as scratch:
        root = Path(scratch) / "tree"
        shutil.copytree(context.root, root, ignore=_LEFT_OUT)
        copy = replaced(context, root=root, scratch=Path(scratch))
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
