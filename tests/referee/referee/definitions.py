"""Renders the definitions of state machines: the JSON that AWS receives, with the lines of the YAML source."""

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from referee import tools
from referee.documents import Document, Mapping, load

_RENDER = ["cargo", "run", "--quiet", "--locked", "--package", "lockstep-statemachines", "--bin", "render", "--"]


def rendered(folder: Path, relative: Callable[[Path], str]) -> list[Document]:
    """Returns each definition of a folder, as this tree's renderer writes it; `relative` names a source in findings."""
    policies = load(folder / "retries.yaml", "retries.yaml").body
    with tempfile.TemporaryDirectory(prefix="lockstep-definitions-") as output:
        _render(folder, Path(output))
        return [_read(path, folder, relative, policies) for path in sorted(Path(output).glob("*.asl.json"))]


def _render(folder: Path, output: Path) -> None:
    # The renderer is always that of this tree: a planted mistake can change only the definitions.
    command = [*_RENDER, str(output), str(folder)]
    done = subprocess.run(command, cwd=tools.ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"the state machines cannot be rendered:\n{done.stderr[-4000:]}")


def _read(path: Path, folder: Path, relative: Callable[[Path], str], policies: Mapping) -> Document:
    source_path = folder / path.name.replace(".asl.json", ".asl.yaml")
    source = load(source_path, relative(source_path))
    document = load(path, source.name)
    # PyYAML gives a second opinion on the renderer: it must read the same from the source.
    _put_policies(source.body, policies)
    if document.body != source.body:
        raise RuntimeError(f"{source.name}: the renderer and PyYAML read it differently")
    _place(document.body, source.body)
    return document


def _put_policies(scope: Mapping, policies: Mapping) -> None:
    for state in scope["States"].values():
        if "Retry" in state:
            state["Retry"] = policies[state["Retry"]]
        for inner in (state.get("ItemProcessor"), *state.get("Branches", [])):
            if inner:
                _put_policies(inner, policies)


def _place(value: Any, source: Any) -> None:
    """Gives each mapping the lines that its keys have in the source."""
    if isinstance(value, Mapping):
        value.lines = source.lines
        for key, item in value.items():
            _place(item, source[key])
    elif isinstance(value, list):
        for item, source_item in zip(value, source, strict=True):
            _place(item, source_item)
