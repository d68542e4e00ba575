"""Reads the Rust sources of the repository, a crate at a time."""

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

_OPENER = re.compile(r"\s*//[/!]\s+(What|Whether|Who|Whom|Whose|How|Where|Why|When|Which)\b")
_DOC = re.compile(r"\s*//[/!]")
_EXAMPLE = re.compile(r"\s*//[/!]\s*```(?:rust|should_panic|no_run|edition\d+)?\s*$")
_TYPE = re.compile(r"\b(?:struct|enum|trait|type|union)\s+([A-Z]\w*)")
_FUNCTION = re.compile(r"\s*(?:pub(?:\([a-z]+\))? )?(?:const )?(?:async )?fn (\w+)")


@dataclass
class Source:
    """A file."""

    path: str
    lines: list[str]

    @property
    def is_test(self) -> bool:
        """True if the whole file is a test or a helper of tests."""
        return self.path.startswith("tests/") or "/tests/" in self.path or self.path.endswith("/tests.rs")

    def product(self) -> list[str]:
        """Returns the lines before the tests of the file."""
        return self.lines[: _product_lines(self)]


@dataclass
class Crate:
    """The sources of one crate."""

    name: str
    files: list[Source] = field(default_factory=list)
    # False if its manifest turns off the tests in its documentation, or in its binaries.
    tests_documentation: bool = True
    tests_binaries: bool = True

    def docs(self) -> list[tuple[str, str]]:
        """Returns the place and the first line of each doc comment."""
        found = []
        for file in self.files:
            for number, line in enumerate(file.lines, 1):
                if _DOC.match(line) and not (number > 1 and _DOC.match(file.lines[number - 2])):
                    found.append((f"{file.path}:{number}", line))
        return found

    def openers(self) -> list[str]:
        """Returns the places of doc comments that open with a question word."""
        return [place for place, line in self.docs() if _OPENER.match(line)]

    def examples(self) -> list[str]:
        """Returns the places of code blocks in documentation that are tests."""
        found = []
        for file in self.files:
            is_open = False
            for number, line in enumerate(file.lines, 1):
                if not re.match(r"\s*//[/!]\s*```", line):
                    continue
                if not is_open and _EXAMPLE.match(line) and "/src/" in file.path:
                    found.append(f"{file.path}:{number}")
                is_open = not is_open
        return found

    def lines(self) -> list[tuple[str, str]]:
        """Returns each line with its place."""
        return [(f"{file.path}:{number}", line) for file in self.files for number, line in enumerate(file.lines, 1)]

    def types(self) -> list[tuple[str, str]]:
        """Returns the place and the name of each type that the crate defines."""
        return [
            (place, found.group(1))
            for place, line in self.lines()
            if not line.lstrip().startswith("//") and (found := _TYPE.search(line))
        ]

    def functions(self) -> list[tuple[str, str, int]]:
        """Returns place, name and number of lines of each function outside tests."""
        return [found for file in self.files if not file.is_test for found in _functions(file)]

    def tests(self) -> list[tuple[str, str]]:
        """Returns the place and the name of each test."""
        found = []
        for file in self.files:
            marked = False
            for number, line in enumerate(file.lines, 1):
                if re.match(r"\s*#\[(tokio::)?test\b", line):
                    marked = True
                elif marked and (name := _FUNCTION.match(line)):
                    found.append((f"{file.path}:{number}", name.group(1)))
                    marked = False
        return found

    def product_lines(self) -> int:
        """Returns the number of lines outside tests."""
        return sum(_product_lines(file) for file in self.files if not file.is_test)


def _functions(file: Source) -> list[tuple[str, str, int]]:
    found = []
    for number, line in enumerate(file.lines[: _product_lines(file)], 1):
        name = _FUNCTION.match(line)
        if not name:
            continue
        last = _last_line(file.lines, number - 1)
        if last is not None:
            found.append((f"{file.path}:{number}", name.group(1), last + 2 - number))
    return found


def _last_line(lines: list[str], first: int) -> int | None:
    """Returns the index of the last line of the function that begins at `first`; None if it has no body."""
    indent = len(lines[first]) - len(lines[first].lstrip())
    for index in range(first, len(lines)):
        text = lines[index].rstrip()
        if text.endswith("{"):
            return next((end for end in range(index + 1, len(lines)) if lines[end] == " " * indent + "}"), None)
        if text.endswith((";", "}")):
            return index if text.endswith("}") else None
    return None


def _product_lines(file: Source) -> int:
    for number, line in enumerate(file.lines):
        if line.startswith("mod tests {") and number and file.lines[number - 1].startswith("#[cfg(test)]"):
            return number
    return len(file.lines)


def crates(root: Path) -> list[Crate]:
    """Returns the crates of the workspace, with the files that git knows."""
    listed = subprocess.run(
        ["git", "-C", root, "ls-files", "*.rs", "*/Cargo.toml"], check=True, capture_output=True, text=True
    ).stdout.split()
    folders = sorted({str(Path(path).parent) for path in listed if path.endswith("Cargo.toml")}, key=len, reverse=True)
    found: dict[str, Crate] = {}
    for path in listed:
        folder = next((folder for folder in folders if path.startswith(folder + "/")), None)
        if folder is None or not path.endswith(".rs") or not (root / path).exists():
            continue
        lines = (root / path).read_text(encoding="utf-8").splitlines()
        if folder not in found:
            manifest = (root / folder / "Cargo.toml").read_text(encoding="utf-8")
            found[folder] = Crate(
                folder,
                tests_documentation="\ndoctest = false" not in manifest,
                tests_binaries="\ntest = false" not in manifest,
            )
        found[folder].files.append(Source(path, lines))
    return sorted(found.values(), key=lambda crate: crate.name)


def listed(crate: Crate, limits: dict) -> list[tuple[str, str]]:
    """Returns the place and the phrase of each line with a listed phrase."""
    phrases = re.compile(r"\b(" + "|".join(limits["phrases"]) + r")\b", re.IGNORECASE)
    return [(place, hit.group(0)) for place, line in crate.lines() if (hit := phrases.search(line))]


def table(all_crates: list[Crate], limits: dict) -> str:
    """Returns the figures of each crate as a table."""
    head = "| crate | doc comments | open with a question word | lines with a listed phrase | longest function "
    head += "| test names over the limit | product lines |"
    rows = [head, "|---|---|---|---|---|---|---|"]
    total = [0, 0, 0, 0, 0, 0]
    for crate in all_crates:
        docs, openers = len(crate.docs()), len(crate.openers())
        longest = max((lines for _, _, lines in crate.functions()), default=0)
        long_names = sum(len(name) > limits["test_name_length"] for _, name in crate.tests())
        figures = [docs, openers, len(listed(crate, limits)), longest, long_names, crate.product_lines()]
        total = [
            max(old, new) if index == 3 else old + new
            for index, (old, new) in enumerate(zip(total, figures, strict=True))
        ]
        rows.append(_row(crate.name, figures))
    return "\n".join([*rows, _row("all", total)])


def _row(name: str, figures: list[int]) -> str:
    docs, openers, *rest = figures
    share = 100 * openers / docs if docs else 0
    return f"| {name} | {docs} | {openers} ({share:.1f} %) | " + " | ".join(map(str, rest)) + " |"
