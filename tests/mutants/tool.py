"""Runs cargo-mutants, and remembers the outcome of each mutant between runs."""

import hashlib
import json
import os
import random
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

# The crate without the AWS SDKs: a mutant builds in seconds.
PACKAGE = "lockstep-domain"
# A test that takes so long is in an endless loop, even on a busy machine.
TIMEOUT_SECONDS = "60"
OUTCOMES = {"CaughtMutant": "caught", "MissedMutant": "missed", "Unviable": "unviable", "Timeout": "timeout"}
# Random tests try fewer cases than by default, for speed. A mutant that needs more of them is listed as missed.
FEWER_CASES = {"PROPTEST_CASES": "32", "LOCKSTEP_APPROVAL_HISTORIES": "2000"}
# 0: all are caught, 2: some are missed, 3: some do not end.
FINISHED = (0, 2, 3)


class ToolFailed(Exception):
    """cargo-mutants is missing, has another version, or gave up."""


@dataclass(frozen=True)
class Mutant:
    """A mutant. Its name begins with `file:line:column: `."""

    name: str

    @property
    def file(self) -> str:
        """Path of the file."""
        return self.name.split(":")[0]

    @property
    def line(self) -> int:
        """Number of the line."""
        return int(self.name.split(":")[1])

    @property
    def change(self) -> str:
        """The change as a sentence."""
        return self.name.partition(": ")[2]


@dataclass
class Work:
    """Mutants of some files of a tree, the tests that judge them, and the folder that remembers the outcomes."""

    tree: Path
    files: list[str]
    state: Path
    tests: list[str] = field(default_factory=list)
    # Modules whose own tests do not judge the mutants.
    skipped: list[str] = field(default_factory=list)

    def mutants(self) -> list[Mutant]:
        """Returns all mutants of the files, in a fixed order."""
        command = ["cargo", "mutants", "--list", "--json", *self._selection()]
        listed = json.loads(_output(command, self.tree))
        return [Mutant(mutant["name"]) for mutant in listed]

    def outcomes(self) -> dict[str, str]:
        """Returns the newest outcome of each mutant that was judged, by its name."""
        found = {}
        for folder in sorted(self.state.glob("run-*"), key=lambda folder: int(folder.name.partition("-")[2])):
            file = folder / "mutants.out" / "outcomes.json"
            for outcome in json.loads(file.read_text(encoding="utf-8"))["outcomes"] if file.exists() else []:
                if isinstance(outcome["scenario"], dict):
                    found[outcome["scenario"]["Mutant"]["name"]] = OUTCOMES[outcome["summary"]]
        return found

    def judge(self, mutants: list[Mutant], is_again: bool = False) -> None:
        """Judges the mutants without an outcome, or with `is_again` those that no test caught.

        An interrupted run keeps the outcomes that it has.
        """
        known = self.outcomes()
        wanted = "missed" if is_again else None
        chosen = {mutant.name for mutant in mutants if known.get(mutant.name) == wanted}
        if not chosen:
            return
        folder = self.state / f"run-{1 + len(list(self.state.glob('run-*')))}"
        # The only selection that cargo-mutants applies to each kind of mutant is the list of those caught before.
        left_out = [mutant.name for mutant in self.mutants() if mutant.name not in chosen]
        (folder / "mutants.out").mkdir(parents=True)
        (folder / "mutants.out" / "caught.txt").write_text("\n".join([*left_out, ""]), encoding="utf-8")
        binaries = ["--lib", *(f"--test={test}" for test in self.tests)]
        arguments = [
            *("--in-place", "--output", str(folder), "--iterate", "--no-shuffle", "--caught"),
            *("--minimum-test-timeout", TIMEOUT_SECONDS),
            *(f"--cargo-arg={argument}" for argument in ["--locked", *binaries]),
        ]
        if self.skipped:
            arguments += ["--", "--", *(part for module in self.skipped for part in ("--skip", f"{module}::"))]
        build = target(self.tree) / "mutants"
        variables = {
            **os.environ,
            "CARGO_TARGET_DIR": str(build / "build"),
            "CARGO_INCREMENTAL": "1",
            "CARGO_PROFILE_DEV_DEBUG": "0",
            **FEWER_CASES,
        }
        command = ["cargo", "mutants", *self._selection(), *arguments]
        copy = build / f"tree-{hashlib.sha256(bytes(self.tree)).hexdigest()[:12]}"
        copy_tree(self.tree, copy)
        status = subprocess.run(command, cwd=copy, env=variables, check=False).returncode
        if status not in FINISHED:
            raise ToolFailed(f"cargo-mutants ended with status {status}; its logs are in {folder}")

    def _selection(self) -> list[str]:
        return ["--package", PACKAGE, *(part for file in self.files for part in ("--file", file))]


def copy_tree(tree: Path, copy: Path) -> None:
    """Makes a copy equal to the tree. Unchanged files keep their times, so the compiler reuses its earlier work.

    cargo-mutants would copy the tree to another path in each run, and each path is compiled anew.
    """
    listed = _output(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], tree).split("\0")
    files = {file for file in listed if (tree / file).is_file()}
    for left in [file for file in copy.rglob("*") if file.is_file() and str(file.relative_to(copy)) not in files]:
        left.unlink()
    for file in files:
        text, to = (tree / file).read_bytes(), copy / file
        if not to.exists() or to.read_bytes() != text:
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(text)


def other_modules(tree: Path, files: list[str]) -> list[str]:
    """Returns the modules of the crate without a file of these. Their tests take most of the time and judge others."""
    source = tree / "shared/domain/src"
    own = {Path(file).relative_to("shared/domain/src").parts[0] for file in files}
    return sorted(file.stem for file in source.iterdir() if file.is_dir() and file.name not in own)


def target(tree: Path) -> Path:
    """Returns the build directory."""
    return Path(os.environ.get("CARGO_TARGET_DIR", tree / "target")).resolve()


def require(version: str) -> None:
    """Raises `ToolFailed` unless this version of cargo-mutants is installed."""
    install = f"install it: cargo install --locked cargo-mutants --version {version}"
    try:
        found = _output(["cargo", "mutants", "--version"], Path.cwd()).split()[-1]
    except (OSError, subprocess.CalledProcessError) as error:
        raise ToolFailed(f"cargo-mutants cannot be run; {install}") from error
    if found != version:
        raise ToolFailed(f"this is cargo-mutants {found}; {install}")


def sample(mutants: list[Mutant], count: int, seed: int) -> list[Mutant]:
    """Returns a sample: the same one for the same mutants and seed."""
    chosen = set(random.Random(seed).sample([mutant.name for mutant in mutants], min(count, len(mutants))))
    return [mutant for mutant in mutants if mutant.name in chosen]


def _output(command: list[str], folder: Path) -> str:
    return subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout
