"""Judges how templates are read: the readings that shared/domain is tested with are those of cfn-lint's loader.

The file of readings holds a text and its reading for each layout. A test of shared/domain requires that Lockstep reads
each text so. This oracle requires that the independent reader does, for every text that the corpus generates.
"""

import contextlib
import json
from collections.abc import Callable, Iterator

from generated import Generated
from layouts.corpus import texts
from layouts.reader import NotRead, read
from referee.context import Context
from referee.planting import replace
from referee.verdict import Verdict

FILE = Generated("shared/domain/tests/fixtures/template/layouts.jsonl", "layouts")


def lines() -> Iterator[str]:
    """Yields a line for each text: the text and its reading, or the text alone if it is no template."""
    for text in texts():
        entry = {"text": text}
        with contextlib.suppress(NotRead):
            entry["reading"] = read(text)
        yield json.dumps(entry)


def build(_context: Context) -> tuple[bytes, list[str]]:
    """Returns the file of readings, and no errors."""
    return "".join(f"{line}\n" for line in lines()).encode(), []


def judge(context: Context) -> Verdict:
    """Compares the file of readings with the independent reader."""
    verdict = Verdict()
    written = (context.root / FILE.path).read_text(encoding="utf-8").splitlines()
    expected = list(lines())
    for number, (line, wanted) in enumerate(zip(written, expected, strict=False), start=1):
        verdict.judged("readings")
        if line != wanted:
            verdict.find(f"{FILE.path}:{number}", f"cfn-lint's loader reads {wanted[:200]}")
    if len(written) != len(expected):
        verdict.find(FILE.path, f"has {len(written)} readings of {len(expected)}: run {FILE.command}")
    return verdict


def _changed(old: str, new: str) -> Callable[[Context], str]:
    def plant(copy: Context) -> str:
        replace(copy.root / FILE.path, old, new)
        return FILE.path

    return plant


def _shortened(copy: Context) -> str:
    path = copy.root / FILE.path
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:-1]), encoding="utf-8")
    return f"run {FILE.command}"


PLANTED = [
    ("a time of day becomes a number", _changed('{"K": "21:30"', '{"K": 1290')),
    ("a file mode loses its zero", _changed('{"K": "0440"', '{"K": 440')),
    ("a block without a final line break gets one", _changed('{"K": "one\\ntwo"}', '{"K": "one\\ntwo\\n"}')),
    (
        "a collection that closes at its key is refused",
        _changed(', "reading": {"K": {"a": 1, "b": ["x", "y"]}, "L": "x"}', ""),
    ),
    ("a layout has no reading", _shortened),
]
