"""Reads shell scripts with shfmt's parser: which programs a script runs, what it writes, which scripts it holds."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

# Stands for text that is only known when the script runs.
UNKNOWN = "\0"

# Programs that run the program in their arguments, and how many arguments stand before it.
_RUNNERS = {"timeout": 1, "sudo": 0, "env": 0, "exec": 0, "nohup": 0, "command": 0}


class NotParsed(Exception):
    """Says that a script is no shell."""


@dataclass
class Command:
    """Holds a program that a script runs with its arguments."""

    line: int
    words: list[str]

    @property
    def program(self) -> str:
        """Returns the program as it is written."""
        return self.words[0]


@dataclass
class Written:
    """Holds a file that a script writes."""

    line: int
    path: str
    # None where a program's output goes into it.
    content: str | None = None
    # The line of the first line of the content.
    content_line: int = 0


@dataclass
class Script:
    """Holds what a script does, as far as its text says."""

    commands: list[Command] = field(default_factory=list)
    written: list[Written] = field(default_factory=list)
    functions: set[str] = field(default_factory=set)


def parse(text: str, shfmt: Path, dialect: str = "bash", given: dict[str, str] | None = None) -> Script:
    """Reads a script that has the `given` environment; raises NotParsed where the parser refuses it."""
    done = subprocess.run(
        [str(shfmt), "--to-json", "-ln", dialect], input=text, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise NotParsed(done.stderr.strip().removeprefix("<standard input>:"))
    return _Reader(shfmt, dialect, given or {}).read(json.loads(done.stdout))


class _Reader:
    def __init__(self, shfmt: Path, dialect: str, given: dict[str, str]) -> None:
        self.shfmt, self.dialect = shfmt, dialect
        self.variables = dict(given)
        self.script = Script()

    def read(self, tree: dict) -> Script:
        nodes = list(_nodes(tree))
        for node in nodes:
            if "Name" in node and "Value" in node and isinstance(node["Value"], dict):
                self._assigned(node["Name"]["Value"], node["Value"])
        for node in nodes:
            kind = node.get("Type")
            if kind == "FuncDecl":
                self.script.functions.add(node["Name"]["Value"])
            elif kind == "CallExpr" and node.get("Args"):
                self._runs(node["Pos"]["Line"], [self.word(word) for word in node["Args"]])
            elif kind == "DeclClause":
                self.script.commands.append(Command(node["Pos"]["Line"], [node["Variant"]["Value"]]))
            if node.get("Redirs"):
                self._redirects(node)
        return self.script

    def _assigned(self, name: str, value: dict) -> None:
        text = self.word(value)
        known = self.variables.get(name, text)
        self.variables[name] = text if known == text else UNKNOWN

    def _runs(self, line: int, words: list[str]) -> None:
        self.script.commands.append(Command(line, words))
        before = _RUNNERS.get(words[0])
        if before is not None:
            rest = [word for word in words[1:] if not word.startswith("-")][before:]
            while rest and "=" in rest[0]:
                rest = rest[1:]
            if rest:
                # The words behind it, options included.
                self._runs(line, words[words.index(rest[0], 1) :])
        elif words[0] in ("bash", "sh") and "-c" in words[1:-1]:
            inner = words[words.index("-c") + 1].replace(UNKNOWN, "unknown")
            for command in parse(inner, self.shfmt, self.dialect).commands:
                self.script.commands.append(Command(line + command.line - 1, command.words))

    def _redirects(self, statement: dict) -> None:
        documents = [redirect["Hdoc"] for redirect in statement["Redirs"] if redirect.get("Hdoc")]
        call = statement.get("Cmd") or {}
        words = [self.word(word) for word in call.get("Args") or []] if call.get("Type") == "CallExpr" else []
        for redirect in statement["Redirs"]:
            if redirect["Op"] not in (">", ">>", "&>", "&>>"):
                continue
            written = Written(redirect["Pos"]["Line"], self.word(redirect["Word"]))
            if documents:
                written.content = self.word(documents[0])
                written.content_line = documents[0]["Pos"]["Line"]
            elif words and words[0] == "printf" and len(words) == 2:
                written.content = words[1].replace("\\n", "\n").replace("%%", "%")
                written.content_line = written.line
            self.script.written.append(written)

    def word(self, word: dict) -> str:
        """Returns a word's text, in which UNKNOWN stands for what only a run knows."""
        return "".join(self._part(part) for part in word.get("Parts") or [])

    def _part(self, part: dict) -> str:
        match part["Type"]:
            case "Lit":
                return part["Value"].replace("\\\n", "")
            case "SglQuoted":
                return part.get("Value", "")
            case "DblQuoted":
                return "".join(self._part(inner) for inner in part.get("Parts") or [])
            case "ParamExp" if set(part) <= {"Type", "Pos", "End", "Dollar", "Rbrace", "Short", "Param"}:
                return self.variables.get(part["Param"]["Value"], UNKNOWN)
        return UNKNOWN


def _nodes(node: object) -> Iterator[dict]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _nodes(value)
    elif isinstance(node, list):
        for item in node:
            yield from _nodes(item)


@dataclass(frozen=True)
class Remark:
    """Holds what shellcheck says of a line."""

    line: int
    text: str


def shellcheck(text: str, program: Path, dialect: str = "bash") -> list[Remark]:
    """Returns what shellcheck says of a script, from its mildest remarks on."""
    done = subprocess.run(
        [str(program), "--format=json", "--severity=style", f"--shell={dialect}", "-"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise RuntimeError(f"shellcheck failed with {done.returncode}: {done.stderr}")
    return [Remark(said["line"], f"SC{said['code']} {said['message']}") for said in json.loads(done.stdout)]
