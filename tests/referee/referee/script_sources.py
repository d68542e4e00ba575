"""Finds the shell of the tree: user data and build specifications in templates, and files with a shebang."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from referee.context import Context
from referee.documents import Document, Mapping

_REFERENCE = re.compile(r"\$\{(!?)([^}]+)\}")
_SHEBANG = re.compile(r"#!\s*(?:/usr)?/bin/(?:env\s+)?(bash|sh)\b")
_LEFT_OUT = {"target", "node_modules", ".git", ".lockstep"}


@dataclass(frozen=True)
class Source:
    """The text of a script, its place, and its machine."""

    where: str
    # The line of the file with the first line of the script.
    line: int
    text: str
    dialect: str
    # The image of the machine: the name of a recipe, of a build image, or None if unknown.
    image: str | None
    # The line of the file for each line of the script, if the lines are not consecutive.
    lines: tuple[int, ...] = ()
    # The environment of the script, as pairs.
    given: tuple[tuple[str, str], ...] = ()

    def place(self, line: int) -> str:
        """Returns the place of a line of the script."""
        known = self.lines[line - 1] if 0 < line <= len(self.lines) else self.line + line - 1
        return f"{self.where}:{known}"


def sources(context: Context) -> Iterator[Source]:
    """Yields every script of the tree that AWS or a builder runs."""
    for template in context.templates():
        for keys, value in _texts(template.body.get("Resources", {}), ()):
            if keys[-1] == "UserData":
                yield from _user_data(template, value)
            elif keys[-1] == "BuildSpec":
                yield _build_specification(template, keys[0], value)
    for path in sorted(context.root.rglob("*")):
        if path.is_file() and not _LEFT_OUT & set(path.relative_to(context.root).parts):
            yield from _file(context, path)


def _texts(node: Any, keys: tuple) -> Iterator[tuple[tuple, object]]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("UserData", "BuildSpec"):
                yield (*keys, key), value
            else:
                yield from _texts(value, (*keys, key))
    elif isinstance(node, list):
        for item in node:
            yield from _texts(item, keys)


def _user_data(template: Document, value: Any) -> Iterator[Source]:
    """Yields user data with each value that a parameter in it allows."""
    raw, own = _substitution(value["Fn::Base64"] if isinstance(value, dict) and "Fn::Base64" in value else value)
    first, image = _line(template, raw), _image(template)
    chosen: list[dict[str, str]] = [{}]
    for name, parameter in template.body.get("Parameters", {}).items():
        if f"${{{name}}}" in raw:
            chosen += [{name: str(allowed)} for allowed in parameter.get("AllowedValues", [])[1:]]
    for values in chosen:
        yield Source(template.name, first, _substituted(template, raw, {**own, **values}), "bash", image)


def _build_specification(template: Document, resource: str, value: Any) -> Source:
    raw, own = _substitution(value)
    first, specification = _line(template, raw), _substituted(template, raw, own)
    environ = yaml.safe_load(specification).get("env") or {}
    given = environ.get("variables") or {}
    text = ""
    lines: list[int] = []
    for node in _commands(yaml.compose(specification)):
        text += node.value.rstrip("\n") + "\n"
        lines += [first + node.start_mark.line] * (text.count("\n") - len(lines))
    environment = template.body["Resources"][resource]["Properties"].get("Environment", {})
    pairs = tuple((name, str(value)) for name, value in given.items())
    image = environment.get("Image")
    if isinstance(image, dict):
        image = template.body["Parameters"][image["Ref"]].get("Default")
    return Source(template.name, first, text, environ.get("shell", "sh"), image, tuple(lines), pairs)


def _commands(node: yaml.Node, within: str = "") -> Iterator[yaml.ScalarNode]:
    """Yields the commands of a build specification: all phases run in one shell."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _commands(value, key.value)
    elif isinstance(node, yaml.SequenceNode) and within in ("commands", "finally"):
        yield from node.value


def _substitution(value: Any) -> tuple[str, dict]:
    """Returns the text of a string or of Fn::Sub, and the variables that Fn::Sub defines itself."""
    if isinstance(value, str):
        return value, {}
    inner = value["Fn::Sub"]
    return (inner, {}) if isinstance(inner, str) else (inner[0], inner[1])


def _line(template: Document, raw: str) -> int:
    """Returns the first line of a text in a template."""
    lines = [line.strip() for line in template.text.splitlines()]
    wanted = [line.strip() for line in raw.splitlines()[:8]]
    for at in range(len(lines)):
        if lines[at : at + len(wanted)] == wanted:
            return at + 1
    return 1


def _substituted(template: Document, raw: str, own: dict) -> str:
    """Inserts a placeholder of the right kind for each value of CloudFormation."""
    parameters = template.body.get("Parameters", {})

    def value(found: re.Match) -> str:
        escaped, name = found.groups()
        if escaped:
            return f"${{{name}}}"
        if name in own:
            return str(_plain(own[name]))
        return _placeholder(name, parameters.get(name))

    return _REFERENCE.sub(value, raw)


def _plain(value: Any) -> str:
    while isinstance(value, Mapping) and "Fn::If" in value:
        value = value["Fn::If"][1]
    return value if isinstance(value, str) else "placeholder"


def _placeholder(name: str, parameter: dict | None) -> str:
    pseudo = {
        "AWS::Region": "eu-west-1",
        "AWS::Partition": "aws",
        "AWS::AccountId": "222222222222",
        "AWS::URLSuffix": "amazonaws.com",
        "AWS::StackName": "ci-stack",
    }
    if name in pseudo:
        return pseudo[name]
    if parameter is not None:
        for key in ("Default", "AllowedValues", "MinValue"):
            chosen = parameter.get(key)
            if chosen not in (None, ""):
                return str(chosen[0] if isinstance(chosen, list) else chosen)
        if parameter.get("Type") == "Number":
            return "7"
    return re.sub(r"[^A-Za-z0-9]", "-", name).lower()


def _image(template: Document) -> str | None:
    """Returns the image of a component's instances, by its manifest."""
    manifest = template.path.parent / "lockstep.toml"
    if not manifest.exists():
        return None
    images = tomllib.loads(manifest.read_text(encoding="utf-8")).get("images", {})
    return next((constraint.split("@")[0] for constraint in images.values()), None)


def _file(context: Context, path: Path) -> Iterator[Source]:
    with path.open("rb") as opened:
        if opened.read(2) != b"#!":
            return
    text = path.read_text(encoding="utf-8")
    dialect = _SHEBANG.match(text)
    if dialect:
        recipe = path.parent.name if (path.parent / "image.toml").exists() else None
        if path.parent.name == "common":
            recipe = "common"
        yield Source(context.relative(path), 1, text, dialect[1], recipe)
