"""The checked-in result of each area: what was mutated, and each mutant that no test caught."""

import hashlib
import json
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path("tests/mutants/results")


@dataclass
class Survivor:
    """A mutant that no test caught."""

    file: str
    line: int
    change: str
    # Why no test can or should catch it; empty if that is not known.
    reason: str = ""


@dataclass
class Result:
    """The result of an area."""

    commit: str
    version: str
    counts: dict[str, int]
    files: dict[str, str]
    survivors: list[Survivor] = field(default_factory=list)


def product_lines(text: str) -> list[str]:
    """Returns the lines that the compiler reads, without indentation, up to the tests in the file.

    Nothing follows the tests: clippy refuses items after a module of tests.
    """
    lines = [line.strip() for line in text.splitlines()]
    ends = [at for at in range(1, len(lines)) if lines[at - 1] == "#[cfg(test)]" and lines[at] == "mod tests {"]
    return [line for line in lines[: ends[0] if ends else None] if line and not line.startswith("//")]


def text_digest(text: str) -> str:
    """Returns the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def digest(text: str) -> str:
    """Returns the SHA-256 of a file's code. Comments, indentation and tests do not change it."""
    return text_digest("\n".join(product_lines(text)))


def digests(root: Path, files: list[str]) -> dict[str, str]:
    """Returns the digest of each file."""
    return {file: digest((root / file).read_text(encoding="utf-8")) for file in files}


def path(root: Path, area: str) -> Path:
    """Returns the file that holds the result of an area."""
    return root / FOLDER / f"{area}.toml"


def read(text: str) -> Result:
    """Reads a result."""
    table = tomllib.loads(text)
    survivors = [Survivor(**survivor) for survivor in table.get("survivors", [])]
    return Result(table["commit"], table["version"], table["counts"], table["files"], survivors)


def stored(root: Path, area: str) -> Result | None:
    """Returns the checked-in result of an area; None if there is none."""
    file = path(root, area)
    return read(file.read_text(encoding="utf-8")) if file.exists() else None


def write(area: str, result: Result) -> str:
    """Returns the text of a result."""
    lines = [
        f"# Written by `just mutants {area}`. Only the reasons are written by hand; the next run keeps them.",
        f"commit = {_quoted(result.commit)}",
        f"version = {_quoted(result.version)}",
        "",
        "[counts]",
        *(f"{outcome} = {count}" for outcome, count in result.counts.items()),
        "",
        "# SHA-256 of the code of each file, without comments, indentation and tests.",
        "[files]",
        *(f"{_quoted(file)} = {_quoted(value)}" for file, value in result.files.items()),
    ]
    for survivor in result.survivors:
        lines += ["", "[[survivors]]", f"file = {_quoted(survivor.file)}", f"line = {survivor.line}"]
        lines += [f"change = {_quoted(survivor.change)}", f"reason = {_quoted(survivor.reason)}"]
    return "\n".join(lines) + "\n"


def with_reasons(survivors: list[Survivor], known: list[Survivor]) -> list[Survivor]:
    """Returns the survivors with the known reasons, by file and change. The n-th of a kind has the n-th reason."""
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    for survivor in survivors:
        kind = (survivor.file, survivor.change)
        reasons = [other.reason for other in known if (other.file, other.change) == kind]
        reason = reasons[seen[kind]] if seen[kind] < len(reasons) else ""
        seen[kind] += 1
        found.append(Survivor(survivor.file, survivor.line, survivor.change, reason))
    return found


def judge(area: str, files: dict[str, str], version: str, result: Result) -> list[str]:
    """Returns a sentence for each way in which a result does not hold for the files of its area."""
    again = f"run `just mutants {area}` and commit its result"
    if result.version != version:
        return [f"{area}: made by cargo-mutants {result.version}, not {version}; {again}"]
    found = [f"{area}: {file} was not mutated; {again}" for file in sorted(files.keys() - result.files.keys())]
    found += [f"{area}: {file} is not in the area; {again}" for file in sorted(result.files.keys() - files.keys())]
    found += [
        f"{area}: {file} has changed since commit {result.commit[:8]}; {again}"
        for file in sorted(files.keys() & result.files.keys())
        if files[file] != result.files[file]
    ]
    found += [
        f"{area}: {survivor.file}:{survivor.line}: no test catches '{survivor.change}'; add a test, or a reason"
        for survivor in result.survivors
        if not survivor.reason.strip()
    ]
    if result.counts.get("missed") != len(result.survivors):
        found.append(f"{area}: {result.counts.get('missed')} missed, but {len(result.survivors)} listed; {again}")
    return found


_CODE = """//! A rule.

/// Returns true if it holds.
pub fn holds(a: u8, b: u8) -> bool {
    a < b // strictly
}

#[cfg(test)]
mod tests {
    use super::*;
}
"""


def missed_mistakes() -> list[str]:
    """Returns a sentence for each planted mistake that the judge accepts, and each harmless change that it refuses."""
    result = Result("0123456789", "1.0.0", {"missed": 0}, {"a.rs": digest(_CODE)})
    survivor = Survivor("a.rs", 4, "replace < with <=")
    one = {"missed": 1}
    with_survivor = Result("0123456789", "1.0.0", one, result.files, [survivor])
    cases = {
        "a changed operator": (_CODE.replace("a < b", "a <= b"), result, "has changed"),
        "an added line": (_CODE.replace("    a < b", "    let a = a + 1;\n    a < b"), result, "has changed"),
        "code behind the tests' name": (_CODE.replace("#[cfg(test)]\n", ""), result, "has changed"),
        "a file that was not mutated": (_CODE, Result("0", "1.0.0", {"missed": 0}, {}), "was not mutated"),
        "another version": (_CODE, Result("0", "0.9.0", {"missed": 0}, result.files), "cargo-mutants 0.9.0"),
        "a survivor without a reason": (_CODE, with_survivor, "no test catches"),
        "a survivor that was deleted": (_CODE, Result("0", "1.0.0", one, result.files), "1 missed, but 0 listed"),
    }
    found = []
    for mistake, (text, stored_result, sentence) in cases.items():
        lines = judge("area", {"a.rs": digest(text)}, "1.0.0", stored_result)
        if len(lines) != 1 or sentence not in lines[0]:
            found.append(f"the judge does not find {mistake}: {lines}")
    known = with_reasons([survivor], [Survivor("a.rs", 9, survivor.change, "equal")])
    reasoned = Result("0", "1.0.0", one, result.files, known)
    for harmless, text, stored_result in [
        ("a comment", _CODE.replace("A rule", "The rule").replace("Returns", "Is"), result),
        ("a test", _CODE.replace("use super::*;", "use super::holds;"), result),
        ("a reason", _CODE, read(write("area", reasoned))),
    ]:
        lines = judge("area", {"a.rs": digest(text)}, "1.0.0", stored_result)
        found += [f"the judge refuses {harmless}: {line}" for line in lines]
    return found


def _quoted(text: str) -> str:
    # A JSON string without escapes of surrogates is a basic string of TOML.
    return json.dumps(text, ensure_ascii=False)
