"""Loses, doubles, delays and holds events on their first bus, and keeps a journal of them all."""

import json
import threading
import time
from typing import Any

from ministack.core.responses import get_account_id, get_region, request_scope

from overlay import patched, recording, rules
from overlay.shapes import Record

_dispatch = patched.DISPATCH_EVENT.current()
# After ``event_forwarding``, which is installed before this module is imported.
_invoke_target = patched.INVOKE_TARGET.current()


def install() -> None:
    """Stand in front of the dispatcher of rules, and of what hands an event to a target."""
    patched.DISPATCH_EVENT.replace(dispatch)
    patched.INVOKE_TARGET.replace(invoke_target)


def dispatch(event: Record, view: Any = None) -> None:
    """Hand an event to the rules of its bus unless a fault says otherwise.

    Only where the event was published: what a rule forwards to another bus has been through here.
    """
    if event.get("_DispatchPath"):
        _dispatch(event, view)
        return
    account = event.get("Account") or get_account_id()
    rule = rules.faults.striking(
        "event",
        {
            "source": event.get("Source"),
            "detail_type": event.get("DetailType"),
            "account": account,
            "contains": event.get("Detail")
            if isinstance(event.get("Detail"), str)
            else json.dumps(event.get("Detail")),
        },
    )
    if rule is None:
        _note(event, account, "deliver")
        _dispatch(event, view)
        return
    kind = rule.effect["kind"]
    _note(event, account, kind)
    if kind == "duplicate":
        _dispatch(event, view)
        _dispatch(event, view)
    elif kind == "hold" and not rule.released.is_set():
        rule.held.append((account, get_region(), event))
    elif kind == "hold":
        _dispatch(event, view)
    elif kind == "delay":
        _later(rule.effect.get("ms", 1000), account, get_region(), event)


def _later(milliseconds: float, account: str, region: str, event: Record) -> None:
    timer = threading.Timer(milliseconds / 1000, _deliver, (account, region, event))
    timer.daemon = True
    timer.start()


def _deliver(account: str, region: str, event: Record) -> None:
    with request_scope(account, region):
        _dispatch(event)


def release(rule: rules.Rule) -> int:
    """Deliver what a rule holds, in the order it came; from now on it holds nothing. Returns how many."""
    rule.released.set()
    held, rule.held = rule.held, []
    for account, region, event in held:
        _deliver(account, region, event)
    return len(held)


def _note(event: Record, account: str, outcome: str) -> None:
    noted = {"time": time.time(), **_shown(event, account), "outcome": outcome}
    recording.add("event", {"phase": "raised", "by": event.get("_By", "caller"), **noted})
    rules.events.add(noted)


def _shown(event: Record, account: str) -> Record:
    return {
        "id": event.get("EventId"),
        "account": account,
        "region": event.get("Region") or get_region(),
        "bus": event.get("EventBusName", "default"),
        "source": event.get("Source"),
        "detail_type": event.get("DetailType"),
        "detail": _detail(event.get("Detail")),
        "resources": event.get("Resources", []),
    }


def invoke_target(target: Record, event: Record, rule: Record, view: Any = None) -> None:
    """Record what a rule hands to a target, and hand it over."""
    if recording.on():
        shown = _shown(event, event.get("Account") or get_account_id())
        named = {"rule": rule.get("Name"), "rule_account": get_account_id(), "rule_region": get_region()}
        recording.add(
            "event", {"phase": "delivered", "time": time.time(), **shown, **named, "target": target.get("Arn")}
        )
    return _invoke_target(target, event, rule, view)


def _detail(raw: Any) -> Any:
    if not isinstance(raw, str):
        return raw
    try:
        return json.loads(raw)
    except ValueError:
        return raw
