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


class _Outbox:
    """Events that wait to be delivered, and the thread that delivers them. It starts with the first event."""

    def __init__(self) -> None:
        self._events: queue.Queue[Record] = queue.Queue()
        self._starting = threading.Lock()
        self._worker: threading.Thread | None = None

    def put(self, event: Record) -> None:
        with self._starting:
            if self._worker is None:
                self._worker = threading.Thread(target=self._drain, name="overlay-events", daemon=True)
                self._worker.start()
        self._events.put(event)

    def _drain(self) -> None:
        while True:
            event = self._events.get()
            try:
                deliver(event)
            except Exception:
                logger.exception("could not deliver %s / %s", event["Source"], event["DetailType"])


_outbox = _Outbox()


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
