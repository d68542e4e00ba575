"""Reads a request off the wire and returns its parameters, as botocore's model of the service names them.

The reverse of botocore's serializers: for each protocol that an SDK speaks, it walks the input shape of the operation
and looks where the protocol puts each member. What a request holds and the model does not know stays in the
parameters under its wire name, so that a judge sees it.

A value that is secret becomes ``{"$secret": {"length", "sha256"}}``, binary content ``{"$blob": {"length",
"sha256"}}``.
A shape with botocore's trait ``sensitive`` is secret, and so is a member of ``SECRET_MEMBERS``.
"""

import base64
import functools
import hashlib
import json
import re
import xml.etree.ElementTree as ElementTree
from typing import Any, TypeAlias
from urllib.parse import parse_qs, unquote
from xml.etree.ElementTree import Element

import botocore.parsers
import botocore.session
from botocore.model import OperationModel, ServiceModel

from overlay.shapes import Headers, Query, Record

Shape: TypeAlias = Any
"""A shape of botocore's model. What it has depends on its kind: members, a key and a value."""
Digest: TypeAlias = dict[str, dict[str, Any]]
"""What stands for a value that is not written down."""
Route: TypeAlias = tuple[str, str, re.Pattern[str], dict[str, str | None], list[tuple[str, str]]]
"""An operation: its name, method, path, fixed query, and where it requires which headers and query values."""

SECRET_MEMBERS = frozenset(
    name.lower()
    for name in (
        "AuthToken",
        "MasterUserPassword",
        "Password",
        "Plaintext",
        "PrivateKey",
        "SecretAccessKey",
        "SecretBinary",
        "SecretString",
        "SessionToken",
        "taskToken",
    )
)
"""Members whose values are secret although not every model says so."""

_MODELS = {
    "elasticloadbalancing": "elbv2",
    "elasticfilesystem": "efs",
    "monitoring": "cloudwatch",
    "servicequotas": "service-quotas",
    "states": "stepfunctions",
    "tagging": "resourcegroupstaggingapi",
}
"""botocore's names of services that the emulator calls otherwise."""

_S3_HOST = re.compile(r"^(?P<bucket>.+?)\.s3[.-]")


class Unparsed(Exception):
    """The request cannot be read with botocore's model; the message says why."""


def model_name(service: str) -> str:
    """botocore's name of a service of the emulator."""
    return _MODELS.get(service, service)


@functools.cache
def model(service: str) -> ServiceModel:
    """botocore's model of a service."""
    try:
        return botocore.session.get_session().get_service_model(model_name(service))
    except botocore.exceptions.UnknownServiceError as error:
        raise Unparsed(str(error)) from error


def parse(service: str, method: str, path: str, headers: Headers, query: Query, body: bytes) -> tuple[str, Any]:
    """Return the operation and the parameters of a request; ``query`` maps names to lists of values."""
    if target := headers.get("x-amz-target"):
        name = target.rsplit(".", 1)[-1]
        return name, _from_json(_operation(service, name).input_shape, _json(body))
    if found := re.fullmatch(r"/service/[^/]+/operation/([^/]+)", path):
        raise Unparsed(f"{found[1]} is in CBOR, which the recording does not read")
    form = _form(headers, query, body)
    if "Action" in form and model(service).protocol in ("query", "ec2", "json"):
        return form["Action"], _from_form(service, form)
    return _from_rest(service, method, path, headers, query, body)


def answer(service: str, operation: str, body: bytes) -> Record:
    """The answer to a call that succeeded, as botocore hands it to its caller."""
    described = model(service)
    parser = botocore.parsers.create_parser(described.metadata["protocol"])
    whole = {"status_code": 200, "headers": {}, "body": body}
    return parser.parse(whole, described.operation_model(operation).output_shape)


def _operation(service: str, name: str) -> OperationModel:
    if name not in model(service).operation_names:
        raise Unparsed(f"botocore's model of {service} has no operation {name}")
    return model(service).operation_model(name)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body) if body else {}
    except ValueError as error:
        raise Unparsed(f"the body is no JSON: {error}") from error


# --- Values -----------------------------------------------------------------------------------------------------------


def digest(value: Any, kind: str = "$secret") -> Digest:
    """What is written of a value that is not."""
    raw = value if isinstance(value, bytes) else str(value).encode()
    return {kind: {"length": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}}


def _secret(shape: Shape | None, name: str | None) -> bool:
    return bool(shape is not None and shape.metadata.get("sensitive")) or (name or "").lower() in SECRET_MEMBERS


def _hashed(value: Any) -> Any:
    """Hash every text in a value whose shape is secret, and keep its structure."""
    if isinstance(value, dict):
        return {key: _hashed(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_hashed(one) for one in value]
    return value if isinstance(value, bool) or value is None else digest(value)


def _text(shape: Shape, text: str) -> Any:
    """A value that the wire holds as text."""
    if shape.type_name in ("integer", "long"):
        return int(text) if re.fullmatch(r"[-+]?\d+", text) else text
    if shape.type_name in ("float", "double"):
        return float(text) if re.fullmatch(r"[-+]?\d+(\.\d+)?([eE][-+]?\d+)?", text) else text
    if shape.type_name == "boolean":
        return {"true": True, "false": False}.get(text, text)
    return _base64(text) if shape.type_name == "blob" else text


def _base64(text: str) -> Digest | str:
    try:
        return digest(base64.b64decode(text, validate=True), "$blob")
    except ValueError:
        return text


# --- JSON -------------------------------------------------------------------------------------------------------------


def _from_json(shape: Shape | None, value: Any, name: str | None = None) -> Any:
    if value is None or shape is None:
        return {} if shape is None and value in (None, {}) else value
    if _secret(shape, name) and shape.type_name != "structure":
        return _hashed(value)
    if shape.type_name == "structure" and isinstance(value, dict):
        if getattr(shape, "is_document_type", False):
            return value
        members = {member.serialization.get("name", key): (key, member) for key, member in shape.members.items()}
        return {
            members.get(key, (key, None))[0]: _from_json(members[key][1], one, members[key][0])
            if key in members
            else _hashed(one)
            if key.lower() in SECRET_MEMBERS
            else one
            for key, one in value.items()
            if one is not None
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [_from_json(shape.member, one) for one in value]
    if shape.type_name == "map" and isinstance(value, dict):
        return {key: _from_json(shape.value, one, key) for key, one in value.items()}
    if shape.type_name == "blob" and isinstance(value, str):
        return _base64(value)
    return value


# --- Forms: the protocols query and ec2 -------------------------------------------------------------------------------


def _form(headers: Headers, query: Query, body: bytes) -> dict[str, str]:
    if not headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return {name: values[0] for name, values in query.items()}
    given = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    return {name: values[0] for name, values in {**query, **given}.items()}


_OF_PROTOCOL = ("Action", "Version")
_OF_SIGNATURE = re.compile(r"X-Amz-.*")


def _from_form(service: str, form: dict[str, str]) -> Record:
    operation = _operation(service, form["Action"])
    given = {
        name: value for name, value in form.items() if name not in _OF_PROTOCOL and not _OF_SIGNATURE.fullmatch(name)
    }
    taken: set[str] = set()
    shape = operation.input_shape
    reader = _Form(given, taken, model(service).protocol == "ec2")
    parameters = reader.structure(shape, "") if shape else {}
    left = {name: digest(v) if name.lower() in SECRET_MEMBERS else v for name, v in given.items() if name not in taken}
    return {**parameters, **left}


class _Form:
    """Reads members out of names such as ``Filter.1.Value.2``."""

    def __init__(self, given: dict[str, str], taken: set[str], ec2: bool) -> None:
        self.given, self.taken, self.ec2 = given, taken, ec2

    def name(self, member: Shape, key: str) -> str:
        if not self.ec2:
            return member.serialization.get("name", key)
        wire = member.serialization.get("queryName") or member.serialization.get("name") or key
        return wire if "queryName" in member.serialization else wire[:1].upper() + wire[1:]

    def structure(self, shape: Shape, prefix: str) -> Record:
        found = {}
        for key, member in shape.members.items():
            value = self.value(member, prefix + self.list_name(member, key), key)
            if value is not None:
                found[key] = value
        return found

    def list_name(self, member: Shape, key: str) -> str:
        """The name of a member; a flattened list may be named by its elements."""
        if not self.ec2 and member.type_name == "list" and member.serialization.get("flattened"):
            return member.member.serialization.get("name") or self.name(member, key)
        return self.name(member, key)

    def value(self, shape: Shape, name: str, key: str) -> Any:
        if shape.type_name == "structure":
            return self.structure(shape, name + ".") if self.starts(name + ".") else None
        if shape.type_name == "list":
            return self.sequence(shape, name, key)
        if shape.type_name == "map":
            return self.mapping(shape, name)
        if name not in self.given:
            return None
        self.taken.add(name)
        return digest(self.given[name]) if _secret(shape, key) else _text(shape, self.given[name])

    def sequence(self, shape: Shape, name: str, key: str) -> list[Any] | None:
        if self.given.get(name) == "":
            self.taken.add(name)
            return []
        if not self.ec2 and not shape.serialization.get("flattened"):
            name += "." + shape.member.serialization.get("name", "member")
        numbers = self.numbers(name)
        return [self.value(shape.member, f"{name}.{number}", key) for number in numbers] or None

    def mapping(self, shape: Shape, name: str) -> Record | None:
        if not shape.serialization.get("flattened"):
            name += ".entry"
        keys = shape.key.serialization.get("name", "key"), shape.value.serialization.get("name", "value")
        found = {}
        for number in self.numbers(name):
            key = self.value(shape.key, f"{name}.{number}.{keys[0]}", "")
            found[key] = self.value(shape.value, f"{name}.{number}.{keys[1]}", key)
        return found or None

    def numbers(self, name: str) -> list[int]:
        pattern = re.compile(re.escape(name) + r"\.(\d+)(\.|$)")
        return sorted({int(match[1]) for one in self.given if (match := pattern.match(one))})

    def starts(self, prefix: str) -> bool:
        return any(one.startswith(prefix) for one in self.given)


# --- REST -------------------------------------------------------------------------------------------------------------


def _from_rest(service: str, method: str, path: str, headers: Headers, query: Query, body: bytes) -> tuple[str, Record]:
    if service == "s3" and (host := _S3_HOST.match(headers.get("host", ""))):
        path = f"/{host['bucket']}{path}"
    best = None
    for name, http_method, pattern, static, required in _routes(service):
        match = http_method == method and pattern.fullmatch(path)
        if not match or not all(_has(query, key, value) for key, value in static.items()):
            continue
        if not all(_given(where, wire, headers, query) for where, wire in required):
            continue
        deprecated = model(service).operation_model(name).deprecated
        rank = (
            len(static) + len(required),
            -len(pattern.groupindex),
            name == query.get("x-id", [""])[0],
            not deprecated,
        )
        if best is None or rank > best[0]:
            best = (rank, name, match, static)
    if best is None:
        raise Unparsed(f"botocore's model of {service} has no operation for {method} {path}")
    _, name, match, static = best
    return name, _rest_parameters(service, name, match.groupdict(), headers, query, body, static)


def _has(query: Query, key: str, value: str | None) -> bool:
    return key in query and (value is None or query[key][0] == value)


def _given(where: str, wire: str, headers: Headers, query: Query) -> bool:
    return wire.lower() in headers if where == "header" else wire in query


@functools.cache
def _routes(service: str) -> list[Route]:
    """Of each operation: its name, method, path, fixed query, and which headers and query values it requires."""
    routes = []
    for name in model(service).operation_names:
        operation = model(service).operation_model(name)
        path, _, fixed = operation.http.get("requestUri", "/").partition("?")
        static = {key: values[0] or None for key, values in parse_qs(fixed, keep_blank_values=True).items()}
        shape = operation.input_shape
        required = [
            (member.serialization["location"], member.serialization.get("name", key))
            for key, member in (shape.members if shape else {}).items()
            if key in shape.required_members and member.serialization.get("location") in ("header", "querystring")
        ]
        routes.append((name, operation.http["method"], _pattern(path), static, required))
    return routes


def _pattern(path: str) -> re.Pattern[str]:
    """A regular expression for a path such as ``/{Bucket}/{Key+}``; its groups are ``m_<name in hexadecimal>``."""
    pattern = ""
    for literal, label, greedy in re.findall(r"([^{]*)(?:\{([^}+]+)(\+?)\})?", path):
        pattern += re.escape(literal)
        if label:
            pattern += f"(?P<m_{label.encode().hex()}>{'.+' if greedy else '[^/]+'})"
    return re.compile(pattern + "/?")


def _rest_parameters(
    service: str,
    name: str,
    labels: dict[str, str | None],
    headers: Headers,
    query: Query,
    body: bytes,
    static: dict[str, str | None],
) -> Record:
    shape = model(service).operation_model(name).input_shape
    if shape is None:
        return {}
    labels = {bytes.fromhex(key[2:]).decode(): unquote(value) for key, value in labels.items() if value is not None}
    known_query = {*static, "x-id"}
    found, in_body = {}, {}
    for key, member in shape.members.items():
        where, wire = member.serialization.get("location"), member.serialization.get("name", key)
        value = None
        if where == "uri":
            value = _scalar(member, labels.get(wire), key)
        elif where == "querystring":
            value = _from_query(member, query, wire, known_query)
        elif where == "header":
            value = _scalar(member, headers.get(wire.lower()), key)
        elif where == "headers":
            prefix = wire.lower()
            value = {one[len(prefix) :]: text for one, text in headers.items() if one.startswith(prefix)} or None
        elif "payload" not in shape.serialization:
            in_body[key] = member
        if value is not None:
            found[key] = value
    unknown = {
        one: values[0] for one, values in query.items() if one not in known_query and not _OF_SIGNATURE.match(one)
    }
    payload = shape.serialization.get("payload")
    if payload:
        found.update(_payload(service, payload, shape.members[payload], body))
    elif in_body or body:
        found.update(_body(service, shape, in_body, body))
    return {**found, **unknown}


def _scalar(shape: Shape, text: str | None, name: str) -> Any:
    if text is None:
        return None
    if shape.type_name == "list":
        return [one.strip() for one in text.split(",")]
    return digest(text) if _secret(shape, name) else _text(shape, text)


def _from_query(shape: Shape, query: Query, wire: str, known: set[str]) -> Any:
    if shape.type_name == "map":
        return None
    if wire not in query:
        return None
    known.add(wire)
    if shape.type_name == "list":
        return [_text(shape.member, one) for one in query[wire]]
    return _text(shape, query[wire][0])


def _payload(service: str, name: str, shape: Shape, body: bytes) -> Record:
    if not body:
        return {}
    if shape.type_name == "blob":
        return {name: digest(body, "$blob")}
    if shape.type_name == "string":
        return {name: digest(body) if _secret(shape, name) else body.decode("utf-8", "replace")}
    if model(service).protocol == "rest-xml":
        return {name: _from_xml(shape, _xml(body), name)}
    return {name: _from_json(shape, _json(body), name)}


def _body(service: str, shape: Shape, members: dict[str, Shape], body: bytes) -> Any:
    if not body or (not members and model(service).protocol == "rest-xml"):
        return {}
    if model(service).protocol == "rest-xml":
        value = _from_xml(shape, _xml(body), None)
        return {key: one for key, one in value.items() if key in members}
    return _from_json(shape, _json(body))


# --- XML --------------------------------------------------------------------------------------------------------------


def _xml(body: bytes) -> Element:
    try:
        return ElementTree.fromstring(body)
    except ElementTree.ParseError as error:
        raise Unparsed(f"the body is no XML: {error}") from error


def _from_xml(shape: Shape, element: Element, name: str | None) -> Any:
    if _secret(shape, name) and shape.type_name not in ("structure", "list", "map"):
        return digest(element.text or "")
    if shape.type_name == "structure":
        return _xml_structure(shape, element)
    if shape.type_name == "list":
        return [_from_xml(shape.member, one, name) for one in element]
    if shape.type_name == "map":
        keys = shape.key.serialization.get("name", "key"), shape.value.serialization.get("name", "value")
        pairs = [{_local(part): part for part in entry} for entry in element]
        return {pair[keys[0]].text: _from_xml(shape.value, pair[keys[1]], None) for pair in pairs}
    return _text(shape, element.text or "")


def _xml_structure(shape: Shape, element: Element) -> Record:
    children: dict[str, list[Element]] = {}
    for child in element:
        children.setdefault(_local(child), []).append(child)
    found, known = {}, set()
    for key, member in shape.members.items():
        if member.serialization.get("xmlAttribute"):
            continue
        flat = member.type_name == "list" and member.serialization.get("flattened")
        wire = (member.serialization.get("name") or (member.member.serialization.get("name") if flat else None)) or key
        if wire in children:
            known.add(wire)
            found[key] = (
                [_from_xml(member.member, one, key) for one in children[wire]]
                if flat
                else _from_xml(member, children[wire][0], key)
            )
    return {**found, **{wire: ones[0].text for wire, ones in children.items() if wire not in known}}


def _local(element: Element) -> str:
    return element.tag.rsplit("}", 1)[-1]
