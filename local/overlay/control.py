"""Control paths for tests and for the ``lockstep`` command, under ``/_lockstep/``. ``front`` guards them.

========  ==============================  ==========================================================
POST      /_lockstep/faults               add a rule (see ``rules``); answers it with its ``id``
GET       /_lockstep/faults               all rules with what they did
DELETE    /_lockstep/faults[/<id>]        remove, releasing what is held
POST      /_lockstep/faults/<id>/release  let held calls and events go
GET       /_lockstep/calls                the journal; ``?after=&service=&action=&account=&kind=&limit=``
GET       /_lockstep/events               published events; ``?after=&source=&detail_type=&account=&limit=``
DELETE    /_lockstep/calls, /events       forget them
GET, PUT  /_lockstep/settings             ``image_delay_ms``, ``copies_at_once``, ``build_delay_ms``
PUT       /_lockstep/public-parameters    ``{"name", "value"}``: what Parameter Store of each region publishes
PUT       /_lockstep/quotas               ``{"service", "name", "value"}``: by name or code; no value is the default
POST      /_lockstep/images/fail-next     ``{"message", "name"?}``: the next new image ends in failed
POST      /_lockstep/images/<id>          ``{"account", "region", "finish"?: true, "attributes"?: {...}}``
POST      /_lockstep/builds/<id>          ``{"account", "region", "status"}``: end a build
POST      /_lockstep/builds/expect        ``{"name"?, "status"?, "message"?, "billing_product"?}``: how one to come ends
POST      /_lockstep/resources/fail-next  ``{"account", "stack", "resource"}``: its next creation or import fails
DELETE    /_lockstep/resources            forget those that have not failed yet
POST      /_lockstep/events               publish ``{"account", "region", "source", "detail_type", "detail",
                                          "resources"}``
========  ==============================  ==========================================================
"""

import json
from typing import Any, TypeAlias
from urllib.parse import parse_qs, unquote

from ministack.services import ec2, ssm

from overlay import builds, event_faults, events, image_builder, image_lifecycle, quotas, resource_faults, rules
from overlay.shapes import Receive, Record, Scope, Send
from overlay.state import STATE

PREFIX = "/_lockstep/"
_LARGEST_BODY = 1_000_000
# What a test may say about an image that no request can: how AWS sees its licence.
_IMAGE_ATTRIBUTES = ("PlatformDetails", "UsageOperation", "Platform", "ProductCodes", "BillingProducts")

Answer: TypeAlias = tuple[int, Record]
"""The status and the JSON of an answer."""


class _Problem(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def serve(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one control request in JSON."""
    try:
        given = await _body(receive)
        query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
        segments = [unquote(one) for one in scope["path"][len(PREFIX) :].strip("/").split("/")]
        status, answer = _route(scope["method"], segments, given, query)
    except _Problem as problem:
        status, answer = problem.status, {"message": str(problem)}
    except (rules.BadRule, KeyError, TypeError, ValueError) as error:
        status, answer = 400, {"message": f"the request cannot be understood: {error}"}
    body = json.dumps(answer, default=str).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _body(receive: Receive) -> Any:
    received = b""
    while True:
        message = await receive()
        received += message.get("body", b"")
        if len(received) > _LARGEST_BODY:
            raise _Problem(413, f"a control request is at most {_LARGEST_BODY} bytes")
        if not message.get("more_body"):
            return json.loads(received) if received else {}


def _route(method: str, segments: list[str], given: Record, query: dict[str, str]) -> Answer:
    what, rest = segments[0], segments[1:]
    route = {
        "faults": _faults,
        "calls": _calls,
        "events": _events,
        "settings": _settings,
        "public-parameters": _public_parameters,
        "quotas": _quotas,
        "images": _images,
        "builds": _builds,
        "resources": _resources,
    }.get(what)
    answer = route(method, rest, given, query) if route else None
    if answer is None:
        raise _Problem(404, f"there is no control path {method} {PREFIX}{'/'.join(segments)}")
    return answer


def _faults(method: str, rest: list[str], given: Record, _query: dict[str, str]) -> Answer | None:
    if method == "POST" and not rest:
        return 201, rules.faults.add(given).shown()
    if method == "GET" and not rest:
        return 200, {"faults": [rule.shown() for rule in rules.faults.all()]}
    if method == "DELETE":
        removed = rules.faults.remove(int(rest[0]) if rest else None)
        for rule in removed:
            event_faults.release(rule)
        return 200, {"removed": len(removed)}
    if method == "POST" and len(rest) == 2 and rest[1] == "release":
        held = rules.faults.get(int(rest[0]))
        if held is None:
            raise _Problem(404, f"there is no fault {rest[0]}")
        return 200, {"released": event_faults.release(held)}
    return None


def _calls(method: str, rest: list[str], _given: Record, query: dict[str, str]) -> Answer | None:
    return _journal(rules.calls, "calls", method, rest, query, ("service", "action", "account", "kind", "principal"))


def _events(method: str, rest: list[str], given: Record, query: dict[str, str]) -> Answer | None:
    if method == "POST" and not rest:
        account, region, source, detail_type, detail = (
            given[name] for name in ("account", "region", "source", "detail_type", "detail")
        )
        events.publish(account, region, source, detail_type, detail, given.get("resources", []), by="test")
        return 202, {}
    return _journal(rules.events, "events", method, rest, query, ("source", "detail_type", "account", "outcome"))


def _journal(
    journal: rules.Journal, name: str, method: str, rest: list[str], query: dict[str, str], conditions: tuple[str, ...]
) -> Answer | None:
    if rest:
        return None
    if method == "DELETE":
        journal.clear()
        return 200, {}
    if method != "GET":
        return None
    found, forgotten = journal.read(
        after=int(query.get("after", 0)),
        limit=int(query.get("limit", 20_000)),
        **{condition: query.get(condition) for condition in conditions},
    )
    return 200, {name: found, "forgotten": forgotten}


def _settings(method: str, rest: list[str], given: Record, _query: dict[str, str]) -> Answer | None:
    if rest or method not in ("GET", "PUT"):
        return None
    if method == "PUT":
        STATE.image_delay_ms = int(given.get("image_delay_ms", STATE.image_delay_ms))
        STATE.copies_at_once = int(given.get("copies_at_once", STATE.copies_at_once))
        STATE.build_delay_ms = int(given.get("build_delay_ms", STATE.build_delay_ms))
    return 200, {
        "image_delay_ms": STATE.image_delay_ms,
        "copies_at_once": STATE.copies_at_once,
        "build_delay_ms": STATE.build_delay_ms,
    }


def _public_parameters(method: str, rest: list[str], given: Record, _query: dict[str, str]) -> Answer | None:
    if rest or method != "PUT":
        return None
    ssm._PUBLIC_AMI_PARAMETERS[given["name"]] = given["value"]
    return 200, {}


def _quotas(method: str, rest: list[str], given: Record, _query: dict[str, str]) -> Answer | None:
    if rest or method != "PUT":
        return None
    if not quotas.change(given.get("service", ""), given.get("name", ""), given.get("value")):
        raise _Problem(404, f"no quota of {given.get('service')} is called {given.get('name')}")
    return 200, {}


def _images(method: str, rest: list[str], given: Record, _query: dict[str, str]) -> Answer | None:
    if method != "POST" or len(rest) != 1:
        return None
    if rest[0] == "fail-next":
        image_lifecycle.fail_next(given["message"], given.get("name"))
        return 200, {}
    image = ec2._images.get_scoped(given["account"], given["region"], rest[0])
    if image is None:
        raise _Problem(404, f"account {given['account']} has no image {rest[0]} in {given['region']}")
    unknown = set(given.get("attributes", {})) - set(_IMAGE_ATTRIBUTES)
    if unknown:
        raise _Problem(400, f"cannot set {', '.join(sorted(unknown))}; possible: {', '.join(_IMAGE_ATTRIBUTES)}")
    image.update(given.get("attributes", {}))
    if given.get("finish"):
        image_lifecycle.finish(given["account"], given["region"], rest[0])
    return 200, {"state": image.get("State", "available")}


def _resources(method: str, rest: list[str], given: Record, _query: dict[str, str]) -> Answer | None:
    if method == "DELETE" and not rest:
        return 200, {"removed": resource_faults.disarm()}
    if method != "POST" or rest != ["fail-next"]:
        return None
    resource_faults.fail_next(given["account"], given["stack"], given["resource"])
    return 200, {}


def _builds(method: str, rest: list[str], given: Record, _query: dict[str, str]) -> Answer | None:
    if method != "POST" or not rest:
        return None
    if rest == ["expect"]:
        image_builder.expect(given)
        return 200, {}
    if not builds.finish(given["account"], given["region"], "/".join(rest), given["status"]):
        raise _Problem(
            404, f"account {given['account']} has no build {'/'.join(rest)} in progress in {given['region']}"
        )
    return 200, {}
