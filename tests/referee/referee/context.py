"""The input of an oracle: a tree of the repository, the recordings of a run, and the tools."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from referee import definitions
from referee.documents import Document, load


@dataclass
class Context:
    """The tree and the recordings that one run judges, and the folder of the tools."""

    root: Path
    recordings: Path | None
    tools: Path
    # True if the tree is a copy with a planted mistake.
    scratch: Path | None = None
    # The folder in which the judges of one run keep the answers of the policy evaluator for each other.
    answers: Path | None = None

    @property
    def referee(self) -> Path:
        """Returns the folder of the referee in the judged tree: its data is judged, too."""
        return self.root / "tests" / "referee"

    @property
    def data(self) -> Path:
        """Returns the folder of the checked-in extracts."""
        return self.referee / "data"

    @property
    def node_modules(self) -> Path:
        """Returns the folder of the npm packages."""
        return self.tools / "node_modules"

    def relative(self, path: Path) -> str:
        """Returns a path as a finding names it."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else path.name

    def templates(self) -> list[Document]:
        """Returns every CloudFormation template below infra/."""
        found = [load(path, self.relative(path)) for path in sorted((self.root / "infra").rglob("*.yaml"))]
        return [document for document in found if isinstance(document.body, dict) and "Resources" in document.body]

    def machines(self) -> list[Document]:
        """Returns every definition of a state machine, as AWS receives it and with the lines of its source."""
        return definitions.rendered(self.root / "statemachines", self.relative)

    def recording_files(self) -> list[Path]:
        """Returns the files of the recordings, one for each run of the emulator."""
        return sorted(self.recordings.glob("*.jsonl")) if self.recordings else []

    def recorded(self, *kinds: str) -> Iterator[tuple[str, dict]]:
        """Yields each recorded line of the given kinds with its place (`file:line`); of every kind if none is given."""
        for path in self.recording_files():
            with path.open(encoding="utf-8") as lines:
                for number, line in enumerate(lines, start=1):
                    entry = json.loads(line)
                    if not kinds or entry.get("kind") in kinds:
                        yield f"{path.name}:{number}", entry

    def node(self, script: str, *arguments: str, stdin: str | None = None) -> str:
        """Runs node/<script>.cjs with the npm packages, and returns its output."""
        path = Path(__file__).resolve().parent.parent / "node" / f"{script}.cjs"
        done = subprocess.run(
            ["node", "--max-old-space-size=4096", str(path), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "NODE_PATH": str(self.node_modules)},
        )
        if done.returncode != 0:
            raise RuntimeError(f"node/{script}.cjs failed with {done.returncode}:\n{done.stderr[-4000:]}")
        return done.stdout

    def own_recordings(self) -> Path:
        """Copies the recordings, so that a planted mistake can change them; returns the folder of the copy."""
        if self.recordings is None or self.scratch is None:
            raise NoRecording
        copy = self.scratch / "recordings"
        if not copy.exists():
            shutil.copytree(self.recordings, copy)
        self.recordings = copy
        return copy

    def change_line(self, wanted: Callable[[dict], bool], change: Callable[[dict], None]) -> None:
        """Changes the first matching line in the copy of the recordings."""
        for path in sorted(self.own_recordings().glob("*.jsonl")):
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            for number, line in enumerate(lines):
                entry = json.loads(line)
                if wanted(entry):
                    change(entry)
                    lines[number] = json.dumps(entry) + "\n"
                    path.write_text("".join(lines), encoding="utf-8")
                    return
        raise ValueError("the recording holds no line that the planted mistake wants")


class NoRecording(Exception):
    """The error of a mistake that can only be planted in a recording, when none was given."""
