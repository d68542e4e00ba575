"""Service Quotas, as far as Lockstep asks: what limits copies of snapshots, instances, builds and functions.

The value is the one that is enforced here, where something is: copies (``copies_at_once``) and functions at once. A
test sets a value through the control path. Of the quotas of snapshot copies and of Step Functions AWS publishes the
names and no codes, so that they are found by their names; the codes they have here are inventions.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ministack.core import iam_actions, router
from ministack.core.responses import error_response_json, get_account_id, get_region, json_response
from ministack.services import lambda_svc

from overlay import patched
from overlay.shapes import Headers, Query, Reply
from overlay.state import STATE

_SERVICE = "servicequotas"
_DEFAULT_FUNCTIONS = 1000


@dataclass
class Quota:
    """One quota; its value is kept here unless something else enforces it."""

    service: str
    service_name: str
    code: str
    name: str
    default: float
    adjustable: bool = True
    read: Callable[[], float] | None = None
    write: Callable[[float], None] | None = None
    value: float | None = None

    def current(self) -> float:
        """Returns the value that holds now."""
        kept = self.default if self.value is None else self.value
        return float(self.read() if self.read else kept)

    def change(self, value: float | None) -> None:
        """Sets a value; ``None`` is the default again."""
        self.value = value
        if self.write:
            self.write(self.default if value is None else value)


def _set_copies(value: float) -> None:
    STATE.copies_at_once = int(value)


def _set_functions(value: float) -> None:
    lambda_svc._ACCOUNT_CONCURRENCY_CAP = int(value)


QUOTAS = (
    Quota(
        "ebs",
        "Amazon Elastic Block Store (Amazon EBS)",
        "L-00000020",
        "Concurrent snapshot copies per destination Region",
        20,
        adjustable=False,
        read=lambda: STATE.copies_at_once,
        write=_set_copies,
    ),
    Quota("ebs", "Amazon Elastic Block Store (Amazon EBS)", "L-309BACF6", "Snapshots per Region", 100_000),
    Quota(
        "ec2",
        "Amazon Elastic Compute Cloud (Amazon EC2)",
        "L-1216C47A",
        "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
        64,
    ),
    Quota("codebuild", "AWS CodeBuild", "L-9D07B6EF", "Concurrently running builds for Linux/Small environment", 60),
    Quota("states", "AWS Step Functions", "L-00000021", "StartExecution throttle token bucket size", 800),
    Quota("states", "AWS Step Functions", "L-00000022", "StartExecution throttle token refill rate per second", 150),
    Quota(
        "lambda",
        "AWS Lambda",
        "L-B99A9384",
        "Concurrent executions",
        _DEFAULT_FUNCTIONS,
        read=lambda: lambda_svc._ACCOUNT_CONCURRENCY_CAP or _DEFAULT_FUNCTIONS,
        write=_set_functions,
    ),
)


def install() -> None:
    """Add the service: how a request is recognised, what it is authorised as, and who answers it."""
    router.SERVICE_PATTERNS[_SERVICE] = {
        "target_prefixes": ["ServiceQuotasV20190624"],
        "host_patterns": [r"servicequotas\."],
        "credential_scope": _SERVICE,
    }
    iam_actions.SERVICE_TO_IAM_NAMESPACE[_SERVICE] = _SERVICE
    patched.SERVICES.replace(_SERVICE, handle)


async def handle(_method: str, _path: str, headers: Headers, body: bytes, _query_params: Query) -> Reply:
    """Answer a request for quotas."""
    action = headers.get("x-amz-target", "").rpartition(".")[2]
    given = json.loads(body or b"{}")
    if action in ("ListServiceQuotas", "ListAWSDefaultServiceQuotas"):
        found = [one for one in QUOTAS if one.service == given.get("ServiceCode")]
        if not found:
            return _missing("service")
        return json_response({"Quotas": [_told(one, action) for one in found]})
    if action in ("GetServiceQuota", "GetAWSDefaultServiceQuota"):
        asked = (given.get("ServiceCode"), given.get("QuotaCode"))
        found = [one for one in QUOTAS if (one.service, one.code) == asked]
        return json_response({"Quota": _told(found[0], action)}) if found else _missing("quota")
    return error_response_json("UnknownOperationException", f"The local cloud has no {action}.", 400)


def _missing(what: str) -> Reply:
    message = f"The request failed because the specified {what} does not exist."
    return error_response_json("NoSuchResourceException", message, 400)


def _told(quota: Quota, action: str) -> dict[str, Any]:
    return {
        "ServiceCode": quota.service,
        "ServiceName": quota.service_name,
        "QuotaArn": f"arn:aws:servicequotas:{get_region()}:{get_account_id()}:{quota.service}/{quota.code}",
        "QuotaCode": quota.code,
        "QuotaName": quota.name,
        "Value": float(quota.default) if "Default" in action else quota.current(),
        "Unit": "None",
        "Adjustable": quota.adjustable,
        "GlobalQuota": False,
    }


def change(service: str, name: str, value: float | None) -> bool:
    """Sets a quota by its code or its name; ``None`` is the default. Returns whether there is such a quota."""
    found = [one for one in QUOTAS if one.service == service and name in (one.code, one.name)]
    for one in found:
        one.change(value)
    return bool(found)
