"""The command line of the referee."""

import argparse
import importlib
import os
import pkgutil
import sys
import time
from pathlib import Path
from types import ModuleType

from referee import tools
from referee.context import Context


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
        "--planted", action="store_true", help="plants each oracle's mistakes and looks whether it finds them"
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
    wrong = 0 if options.oracle or options.planted else _claims(context)
    for name in options.oracle or names():
        oracle = importlib.import_module(f"oracles.{name}")
        started = time.monotonic()
        wrong += _planted(oracle, name, context) if options.planted else _verdict(oracle, name, context)
        print(f"  {time.monotonic() - started:.1f} s", flush=True)
    print(f"\nthe referee: {f'{wrong} found' if wrong else 'nothing found'}")
    return 1 if wrong else 0


def _claims(context: Context) -> int:
    from referee import claims

    wrong = claims.judge(context, names())
    for sentence in wrong:
        print(f"! {sentence}")
    return len(wrong)


def _verdict(oracle: ModuleType, name: str, context: Context) -> int:
    verdict = oracle.judge(context)
    judged = ", ".join(f"{number} {kind}" for kind, number in verdict.counts.items())
    print(f"\n{name}: judged {judged or 'nothing'}; {len(verdict.findings)} found")
    for line in verdict.notes:
        print(f"  {line}")
    for finding in sorted(verdict.findings):
        print(f"  ! {finding}")
    return len(verdict.findings)


def _planted(oracle: ModuleType, name: str, context: Context) -> int:
    from referee.planting import plant_all

    print(f"\n{name}: {(oracle.__doc__ or '').strip().splitlines()[0]}")
    missed = plant_all(oracle, name, context)
    for sentence in missed:
        print(f"  ! {sentence}")
    return len(missed)
