"""Reads shell scripts with shfmt's parser: the programs that a script runs, the files it writes, the scripts in it."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

# Stands for text that is known only at runtime.
UNKNOWN = "\0"

# The programs that run the program in their arguments, and the number of arguments before it.
_RUNNERS = {"timeout": 1, "sudo": 0, "env": 0, "exec": 0, "nohup": 0, "command": 0}


class NotParsed(Exception):
    """The error of a text that is not shell."""


@dataclass
class Command:
    """A program that a script runs, with its arguments."""

    line: int
    words: list[str]

    @property
    def program(self) -> str:
        """Returns the program as written."""
        return self.words[0]


@dataclass
class Written:
    """A file that a script writes."""

    line: int
    path: str
    # None if the content is the output of a program.
    content: str | None = None
    # The line of the first line of the content.
    content_line: int = 0


@dataclass
class Script:
    """The actions of a script, as far as its text shows them."""

    commands: list[Command] = field(default_factory=list)
    written: list[Written] = field(default_factory=list)
    functions: set[str] = field(default_factory=set)


def parse(text: str, shfmt: Path, dialect: str = "bash", given: dict[str, str] | None = None) -> Script:
    """Reads a script that has the `given` environment; raises NotParsed if the parser rejects it."""
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
                # The following words, including options.
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
        """Returns the text of a word, with UNKNOWN for parts that are known only at runtime."""
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
    """A remark of shellcheck about a line."""

    line: int
    text: str


def shellcheck(text: str, program: Path, dialect: str = "bash") -> list[Remark]:
    """Returns the remarks of shellcheck about a script, from the mildest level on."""
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
