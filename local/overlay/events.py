"""Publishes events of AWS's shape on the default bus of the account and region where they happen.

PutEvents rightly refuses sources that begin with ``aws.``, so whatever imitates a service publishes
here. One thread hands the events out in the order they were published; what they start (a Lambda,
an execution) runs concurrently, so a consumer still sees no order, as on AWS.
"""

import json
import logging
import queue
import threading
import time
import uuid
from collections.abc import Iterable

from ministack.core.responses import request_scope
from ministack.services import eventbridge

from overlay.shapes import Record

logger = logging.getLogger("overlay.events")

_outbox = queue.Queue()
_started = threading.Lock()
_worker = None


def publish(
    account: str,
    region: str,
    source: str,
    detail_type: str,
    detail: Record,
    resources: Iterable[str],
    by: str = "emulator",
) -> None:
    """Queue one event; rules of the account's default bus see it a moment later. ``by`` says who made it up."""
    _start_worker()
    _outbox.put(
        {
            "EventId": str(uuid.uuid4()),
            "Source": source,
            "DetailType": detail_type,
            "Detail": json.dumps(detail),
            "EventBusName": "default",
            "Time": int(time.time()),
            "Resources": list(resources),
            "Account": account,
            "Region": region,
            "_By": by,
        }
    )


def deliver(event: Record) -> None:
    """Give an event to the rules and archives of its bus, in the scope it carries."""
    with request_scope(event["Account"], event["Region"]):
        eventbridge._dispatch_event(event)
        eventbridge._archive_event(event)


def _start_worker() -> None:
    global _worker
    with _started:
        if _worker is None:
            _worker = threading.Thread(target=_drain, name="overlay-events", daemon=True)
            _worker.start()


def _drain() -> None:
    while True:
        event = _outbox.get()
        try:
            deliver(event)
        except Exception:
            logger.exception("could not deliver %s / %s", event["Source"], event["DetailType"])
