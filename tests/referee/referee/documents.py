"""Loads YAML and JSON with the line of every key, and CloudFormation's short tags in their long form."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


class Mapping(dict):
    """A dict with the line of each of its keys."""

    lines: dict

    def line_of(self, key: object) -> int:
        """Returns the line of a key; of the mapping itself if it has no such key."""
        return self.lines.get(key, self.lines.get(None, 0))


@dataclass(frozen=True)
class Document:
    """The content of a file, its path and its name in findings."""

    path: Path
    name: str
    body: Mapping
    text: str


class _Loader(yaml.CSafeLoader):
    """Reads plain data: no dates, and each mapping with its lines. The parser in C takes a tenth of the time."""


# A policy's version looks like a date and is a string.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _mapping(loader: yaml.CSafeLoader, node: yaml.MappingNode) -> Mapping:
    loader.flatten_mapping(node)
    made = Mapping()
    made.lines = {None: node.start_mark.line + 1}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in made:
            line = key_node.start_mark.line + 1
            raise yaml.constructor.ConstructorError(None, None, f"line {line}: {key!r} stands there twice")
        made.lines[key] = key_node.start_mark.line + 1
        made[key] = loader.construct_object(value_node, deep=True)
    return made


def _short_form(loader: yaml.CSafeLoader, suffix: str, node: yaml.Node) -> Mapping:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode), "YAML has three kinds of nodes"
        value = _mapping(loader, node)
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if name == "Fn::GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    made = Mapping({name: value})
    made.lines = {None: node.start_mark.line + 1, name: node.start_mark.line + 1}
    return made


yaml.add_constructor("tag:yaml.org,2002:map", _mapping, Loader=_Loader)
yaml.add_multi_constructor("!", _short_form, Loader=_Loader)


def load(path: Path, name: str) -> Document:
    """Loads a file of YAML or JSON."""
    text = path.read_text(encoding="utf-8")
    return Document(path, name, yaml.load(text, Loader=_Loader), text)
