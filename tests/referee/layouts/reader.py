"""Reads a template as cfn-lint's loader does, which is PyYAML's, with the scalars that CloudFormation knows."""

import json
import re
from typing import Any

from cfnlint.decode import cfn_yaml
from yaml import YAMLError

_TRUE = re.compile(r"yes|Yes|YES|true|True|TRUE|on|On|ON")
_FALSE = re.compile(r"no|No|NO|false|False|FALSE|off|Off|OFF")
_NULL = re.compile(r"~|null|Null|NULL|")
# CloudFormation reads the numbers of JSON alone: https://github.com/go-to-k/cdk-real-drift/issues/1125
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_LARGEST = 2**64


def _number(loader: Any, node: Any) -> int | float | str:
    text = str(loader.construct_scalar(node))
    if _INTEGER.fullmatch(text):
        return int(text) if -_LARGEST / 2 <= int(text) < _LARGEST else text
    return float(text)


# cfn-lint's loader, but for the types of words without quotes.
_LOADER: Any = type("_Loader", (cfn_yaml.CfnFullLoader,), {})
_LOADER.yaml_implicit_resolvers = {
    None: [
        ("tag:yaml.org,2002:bool", re.compile(rf"({_TRUE.pattern}|{_FALSE.pattern})$")),
        ("tag:yaml.org,2002:null", re.compile(rf"({_NULL.pattern})$")),
        ("tag:yaml.org,2002:int", re.compile(rf"({_INTEGER.pattern})$")),
        ("tag:yaml.org,2002:float", re.compile(rf"({_FLOAT.pattern})$")),
    ]
}
_LOADER.add_multi_constructor("!", cfn_yaml.multi_constructor)
for _tag in ("int", "float"):
    _LOADER.add_constructor(f"tag:yaml.org,2002:{_tag}", _number)


class NotRead(Exception):
    """The error of a text that is no template."""


def read(text: str) -> Any:
    """Returns the value of a text: JSON if it starts with a brace, else YAML."""
    try:
        if text.lstrip("\ufeff \t\r\n").startswith("{"):
            return _normal(json.loads(text))
        return _normal(_LOADER(text, "template").get_single_data())
    except (YAMLError, ValueError) as refused:
        raise NotRead(str(refused)) from refused


def _normal(value: Any) -> Any:
    """Returns a value without cfn-lint's types, and each GetAtt as a list."""
    if isinstance(value, dict):
        normal = {str(key): _normal(item) for key, item in value.items()}
        attribute = normal.get("Fn::GetAtt")
        if len(normal) == 1 and isinstance(attribute, str):
            return {"Fn::GetAtt": attribute.split(".", 1)}
        return normal
    if isinstance(value, list):
        return [_normal(item) for item in value]
    return str.__str__(value) if isinstance(value, str) else value
