"""The command line of the referee."""

import argparse
import dataclasses
import importlib
import os
import pkgutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from referee import tools
from referee.context import Context

if TYPE_CHECKING:
    from referee.verdict import Verdict


def main(arguments: list[str]) -> int:
    """Runs the referee. Returns exit status 1 if an oracle finds something or misses a planted mistake."""
    options = _options(arguments)
    folder = tools.folder()
    tools.install(folder)
    if options.setup:
        print(folder)
        return 0
    if Path(sys.prefix).resolve() != (folder / "venv").resolve():
        sys.stdout.flush()
        os.execv(tools.python(folder), [str(tools.python(folder)), str(tools.HERE / "run"), *arguments])
    return _judge(options, folder)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/referee/run", description="Judges what Lockstep installs and calls.")
    parser.add_argument("--setup", action="store_true", help="only installs the tools, and prints their folder")
    parser.add_argument("--recording", type=Path, help="the folder that LOCKSTEP_RECORDING named in a run of the tests")
    parser.add_argument(
        "--planted", action="store_true", help="also plants each oracle's mistakes and looks whether it finds them"
    )
    parser.add_argument("--tree", type=Path, default=tools.ROOT, help="the tree to judge, if not this one")
    parser.add_argument("oracle", nargs="*", help="the oracles to run; all without a name")
    return parser.parse_args(arguments)


def names() -> list[str]:
    """Returns the name of each oracle."""
    return sorted(module.name for module in pkgutil.iter_modules([str(tools.HERE / "oracles")]) if not module.ispkg)


def _judge(options: argparse.Namespace, folder: Path) -> int:
    from referee.context import Context

    unknown = set(options.oracle) - set(names())
    if unknown:
        sys.exit(f"no oracle is called {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    recordings = options.recording.resolve() if options.recording else None
    context = Context(root=options.tree.resolve(), recordings=recordings, tools=folder)
    if recordings and not context.recording_files():
        sys.exit(f"{recordings} holds no recording: run the end-to-end tests with LOCKSTEP_RECORDING={recordings}")
    wrong = 0 if options.oracle else _claims(context)
    chosen = options.oracle or names()
    wrong += _with_mistakes(chosen, context) if options.planted else _alone(chosen, context)
    print(f"\nthe referee: {f'{wrong} found' if wrong else 'nothing found'}")
    return 1 if wrong else 0


def _claims(context: Context) -> int:
    from referee import claims

    wrong = claims.judge(context, names())
    for sentence in wrong:
        print(f"! {sentence}")
    return len(wrong)


def _alone(chosen: list[str], context: Context) -> int:
    wrong = 0
    for name in chosen:
        started = time.monotonic()
        wrong += _show(name, importlib.import_module(f"oracles.{name}").judge(context))
        print(f"  {time.monotonic() - started:.1f} s", flush=True)
    return wrong


def _with_mistakes(chosen: list[str], context: Context) -> int:
    """Judges the tree and its copies with mistakes side by side, since most of the work is about the copies."""
    from referee import planting

    wrong = 0
    with tempfile.TemporaryDirectory(prefix="lockstep-answers-") as answers, planting.processes() as pool:
        context = dataclasses.replace(context, answers=Path(answers))
        for name, judgement in [(name, planting.begin(pool, name, context)) for name in chosen]:
            wrong += _show(name, judgement.verdict.result())
            missed = planting.missed(name, judgement, context.recordings is not None)
            for sentence in missed:
                print(f"  ! {sentence}")
            wrong += len(missed)
            sys.stdout.flush()
    return wrong


def _show(name: str, verdict: "Verdict") -> int:
    judged = ", ".join(f"{number} {kind}" for kind, number in verdict.counts.items())
    print(f"\n{name}: judged {judged or 'nothing'}; {len(verdict.findings)} found")
    for line in verdict.notes:
        print(f"  {line}")
    for finding in sorted(verdict.findings):
        print(f"  ! {finding}")
    return len(verdict.findings)
