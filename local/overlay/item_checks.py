"""DynamoDB's ``dynamodb:LeadingKeys``: the partition keys of the items that a call reads or writes.

ministack knows the table and not the items. As on AWS, each item of a transaction is a check of its own, a batch is one
check for each table, and a call that names no item (Scan) has no such key at all: ``ForAllValues`` lets it pass then,
unless the policy also asks for the key by ``Null``. PartiQL statements are not looked into.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

from ministack.core import iam_actions
from ministack.core.responses import request_scope
from ministack.services import dynamodb

from overlay import checks
from overlay.checks import Check, Request
from overlay.shapes import Record

_EQUALS = re.compile(r"(?P<name>#?[\w.-]+)\s*=\s*(?P<value>:[\w.-]+)")
_TRANSACTED = {
    "Get": ("dynamodb:GetItem", "Key"),
    "Put": ("dynamodb:PutItem", "Item"),
    "Update": ("dynamodb:UpdateItem", "Key"),
    "Delete": ("dynamodb:DeleteItem", "Key"),
    "ConditionCheck": ("dynamodb:ConditionCheckItem", "Key"),
}
_SINGLE = {"GetItem": "Key", "PutItem": "Item", "UpdateItem": "Key", "DeleteItem": "Key"}


def install() -> None:
    """Ask for items in the place of ministack."""
    checks.instead("dynamodb", asked)


def asked(request: Request) -> list[Check] | None:
    """Returns the checks of a call on items; ``None`` for a call on anything else, and for one that is malformed."""
    try:
        return _asked(request, request.json, request.action)
    except (KeyError, TypeError, AttributeError):
        return None


def _asked(request: Request, data: Record, action: str) -> list[Check] | None:
    if action in _SINGLE:
        return [_check(request, f"dynamodb:{action}", data["TableName"], [data.get(_SINGLE[action])], data)]
    if action == "Query":
        return [_query(request, data)]
    if action == "BatchGetItem":
        tables = {table: of.get("Keys", []) for table, of in data.get("RequestItems", {}).items()}
        return [_check(request, "dynamodb:BatchGetItem", table, items, {}) for table, items in tables.items()]
    if action == "BatchWriteItem":
        tables = {table: list(_written(of)) for table, of in data.get("RequestItems", {}).items()}
        return [_check(request, "dynamodb:BatchWriteItem", table, items, {}) for table, items in tables.items()]
    if action in ("TransactWriteItems", "TransactGetItems"):
        return list(_transacted(request, data))
    return None


def _written(requests: Iterable[Record]) -> Iterable[Record]:
    for one in requests:
        yield one["PutRequest"]["Item"] if "PutRequest" in one else one["DeleteRequest"]["Key"]


def _transacted(request: Request, data: Record) -> Iterable[Check]:
    for item in data.get("TransactItems", []):
        for member, detail in item.items():
            action, field = _TRANSACTED[member]
            enclosing = {"dynamodb:EnclosingOperation": [request.action]}
            yield _check(request, action, detail["TableName"], [detail.get(field)], detail, enclosing)


def _query(request: Request, data: Record) -> Check:
    """A query names its one partition by the key of the table, or by that of the index which it reads."""
    table, index = data["TableName"], data.get("IndexName")
    name = _partition_key(request, table, index)
    values = []
    if name:
        names, given = data.get("ExpressionAttributeNames") or {}, data.get("ExpressionAttributeValues") or {}
        for found in _EQUALS.finditer(data.get("KeyConditionExpression") or ""):
            if names.get(found["name"], found["name"]) == name and found["value"] in given:
                values.append({name: given[found["value"]]})
        legacy = (data.get("KeyConditions") or {}).get(name)
        values += [{name: one} for one in (legacy or {}).get("AttributeValueList", [])]
    return _check(request, "dynamodb:Query", table, values, data, index=index)


def _check(
    request: Request,
    action: str,
    table: str,
    items: Iterable[Record | None],
    data: Record,
    more: dict[str, Any] | None = None,
    index: str | None = None,
) -> Check:
    """Returns the check of one table, or of one of its indexes, with the partition keys of the items."""
    arn = iam_actions._dynamodb_table_arn(table, request.region, request.account) + (f"/index/{index}" if index else "")
    name = _partition_key(request, table, index)
    keys = sorted({_scalar(item[name]) for item in items if item and name in item})
    context = {**iam_actions.dynamodb_service_context(json.dumps(data).encode()), **(more or {})}
    if keys:
        context["dynamodb:LeadingKeys"] = keys
    return Check(action, arn, context)


def _partition_key(request: Request, table: str, index: str | None) -> str | None:
    """Returns the name of the partition key; ``None`` if there is no such table or index."""
    parts = table.split(":")
    account, name = (parts[4], parts[5].split("/")[1]) if table.startswith("arn:") else (request.account, table)
    with request_scope(account, request.region):
        found: dict[str, Any] = dynamodb._tables.get(name) or {}
    if index:
        indexes = (found.get("GlobalSecondaryIndexes") or []) + (found.get("LocalSecondaryIndexes") or [])
        found = next((one for one in indexes if one.get("IndexName") == index), {})
    hashes = [one["AttributeName"] for one in found.get("KeySchema") or [] if one["KeyType"] == "HASH"]
    return hashes[0] if hashes else None


def _scalar(value: dict[str, Any]) -> str:
    """Returns the text of ``{"S": "a"}``; the type does not matter to a condition."""
    return str(next(iter(value.values()), ""))
