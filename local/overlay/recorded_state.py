"""Tells the recording what policies and definitions are in force: each whole, whenever one has changed.

A policy decides whether a call is allowed: of a role, a user, a managed policy, a bucket, an event bus, a function, a
key, a queue, a topic, a secret. A definition says which calls AWS services make for us: of a state machine, a rule, a
mapping, a function, a subscription, a project. Both are read out of the emulator's stores after each request that may
have changed one and after each resource of a stack, and compared with what was written last.
"""

import functools
import json
import logging
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ParamSpec, TypeAlias, TypeVar

from ministack.core.responses import AccountRegionScopedDict, AccountScopedDict
from ministack.services import (
    cloudwatch_logs,
    codebuild,
    dynamodb,
    ec2,
    eventbridge,
    iam,
    kms,
    lambda_svc,
    s3,
    scheduler,
    secretsmanager,
    sns,
    sqs,
    stepfunctions,
)
from ministack.services.cloudformation import provisioners

from overlay.shapes import Record

P = ParamSpec("P")
R = TypeVar("R")
Add: TypeAlias = Callable[[str, Record], object]
"""Writes a line of a kind."""
Key: TypeAlias = tuple[str, str, str, str | None, str]
"""Of a policy or a definition: the kind of its line, what it is, its account, its region and its ARN."""
State: TypeAlias = tuple[str, str, str, str | None, str, Record]

logger = logging.getLogger("overlay.recorded_state")
_CHANGES = re.compile(
    r"(Add|Attach|Create|Delete|Detach|Disable|Enable|Import|Put|Remove|Retire|Revoke|Schedule|Set|Subscribe|Tag|"
    r"Unsubscribe|Untag|Update)(?!Item|Object|Events|MetricData|LogEvents|Items|Message|Value|Stack|ChangeSet|SecretValue)"
)
_services = {
    "codebuild",
    "dynamodb",
    "events",
    "iam",
    "kms",
    "lambda",
    "logs",
    "s3",
    "secretsmanager",
    "sns",
    "sqs",
    "states",
}


class _Watch:
    """What was written last of each policy and definition, and what writes a line."""

    def __init__(self) -> None:
        self.add: Add | None = None
        self._written: dict[Key, str] = {}
        self._lock = threading.Lock()

    def look(self, add: Add) -> None:
        """Write a line for each policy and definition that is new, different or gone."""
        with self._lock:
            seen = set()
            for kind, what, account, region, identifier, state in _everything():
                key = (kind, what, account, region, identifier)
                seen.add(key)
                text = json.dumps(state, default=str, sort_keys=True)
                if self._written.get(key) != text:
                    self._written[key] = text
                    _line(add, key, json.loads(text))
            for key in [key for key in self._written if key not in seen]:
                del self._written[key]
                _line(add, key, None)


_watch = _Watch()


def install(add: Add) -> None:
    """Look again after every resource that a stack makes, changes or removes; ``add`` writes a line."""
    _watch.add = add
    resource_types: dict[str, Any] = provisioners._RESOURCE_HANDLERS
    for handler in resource_types.values():
        for step in ("create", "update", "delete", "import"):
            if step in handler:
                handler[step] = _noting(handler[step])
    note_changes()


def _noting(step: Callable[P, R]) -> Callable[P, R]:
    @functools.wraps(step)
    def carried_out(*arguments: P.args, **named: P.kwargs) -> R:
        try:
            return step(*arguments, **named)
        finally:
            note_changes()

    return carried_out


def changed(service: str, action: str) -> None:
    """Look again if this request may have changed something."""
    if service in _services and _CHANGES.match(action):
        note_changes()


def note_changes() -> None:
    """Write a line for each policy and definition that is new, different or gone, if the run is recorded.

    A store that cannot be read becomes a line that no judge accepts; the request that led here does not suffer.
    """
    if _watch.add is None:
        return
    try:
        _watch.look(_watch.add)
    except Exception as error:
        logger.exception("could not read what is in force")
        _watch.add("unreadable", {"why": repr(error)})


def _line(add: Add, key: Key, state: Any) -> None:
    kind, what, account, region, identifier = key
    add(kind, {"what": what, "id": identifier, "account": account, "region": region, "state": state})


def tags_of(identifiers: Iterable[str]) -> dict[str, dict[str, str]]:
    """The tags that EC2 resources have now, of those that are here."""
    return {
        one: {tag["Key"]: tag["Value"] for tag in ec2._tags.get(one) or []} for one in identifiers if one in ec2._tags
    }


def _entries(store: AccountScopedDict | AccountRegionScopedDict) -> Iterator[tuple[str, str | None, Any, Any]]:
    """Account, region (None in a global store), key and value of everything in a store."""
    for scoped, value in list(store._data.items()):
        yield scoped[0], scoped[1] if len(scoped) == 3 else None, scoped[-1], value


def _document(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    try:
        return json.loads(given) if given else None
    except ValueError:
        return given


def _documents(given: Record | None) -> Record:
    return {name: _document(document) for name, document in (given or {}).items()}


def _tags(given: Any) -> Record:
    if isinstance(given, dict):
        return given
    return {tag.get("Key", tag.get("key")): tag.get("Value", tag.get("value")) for tag in given or []}


def _everything() -> Iterator[State]:
    yield from _identities()
    yield from _resource_policies()
    yield from _keys()
    yield from _functions()
    yield from _events()
    yield from _others()


def _identities() -> Iterator[State]:
    used: set[str] = set()
    for account, _, name, role in _entries(iam._roles):
        used.update(role.get("AttachedPolicies") or [])
        used.add(role.get("PermissionsBoundary") or "")
        yield (
            "policies",
            "role",
            account,
            None,
            role["Arn"],
            {
                "name": name,
                "id": role.get("RoleId"),
                "trust": _document(role.get("AssumeRolePolicyDocument")),
                **_attachments(role, role.get("InlinePolicies")),
            },
        )
    for account, _, name, user in _entries(iam._users):
        used.update(user.get("AttachedPolicies") or [])
        used.add(user.get("PermissionsBoundary") or "")
        inline = iam._user_inline_policies.get_scoped(account, None, name)
        yield "policies", "user", account, None, user["Arn"], {"name": name, **_attachments(user, inline)}
    for account, _, arn, policy in _entries(iam._policies):
        yield "policies", "managed-policy", account, None, arn, {"document": _default_version(policy)}
    for arn in used & set(iam._aws_managed_policies):
        document = _default_version(iam._aws_managed_policies[arn])
        yield "policies", "managed-policy", "aws", None, arn, {"document": document}
    for account, _, name, profile in _entries(iam._instance_profiles):
        yield "definition", "instance-profile", account, None, profile["Arn"], {"name": name, "roles": profile["Roles"]}


def _attachments(entity: Record, inline: Record | None) -> Record:
    return {
        "inline": _documents(inline),
        "attached": list(entity.get("AttachedPolicies") or []),
        "boundary": entity.get("PermissionsBoundary") or None,
        "tags": _tags(entity.get("Tags")),
    }


def _default_version(policy: Record) -> Any:
    return _document(policy["Versions"][policy["DefaultVersionId"]]["Document"])


def _resource_policies() -> Iterator[State]:
    for account, _, bucket, policy in _entries(s3._bucket_policies):
        yield "policies", "bucket", account, None, f"arn:aws:s3:::{bucket}", {"policy": _document(policy)}
    for account, _, bucket, _record in _entries(s3._buckets):
        state = {"notifications": s3._bucket_notifications.get_scoped(account, None, bucket)}
        yield "definition", "bucket", account, None, f"arn:aws:s3:::{bucket}", state
    for account, region, bus, policy in _entries(eventbridge._event_bus_policies):
        arn = f"arn:aws:events:{region}:{account}:event-bus/{bus}"
        yield "policies", "event-bus", account, region, arn, {"policy": _document(policy)}
    for account, region, _, queue in _entries(sqs._queues):
        attributes = queue["attributes"]
        policy = _document(attributes.get("Policy"))
        state = {"policy": policy, "redrive": _document(attributes.get("RedrivePolicy"))}
        yield "policies", "queue", account, region, attributes["QueueArn"], {**state, "url": queue["url"]}
    for account, region, arn, topic in _entries(sns._topics):
        policy = _document((topic.get("attributes") or {}).get("Policy"))
        subscriptions = [
            {"protocol": one.get("protocol"), "endpoint": one.get("endpoint")}
            for one in topic.get("subscriptions") or []
        ]
        yield "policies", "topic", account, region, arn, {"policy": policy, "subscriptions": subscriptions}
    for account, region, name, policy in _entries(secretsmanager._resource_policies):
        yield "policies", "secret", account, region, name, {"policy": _document(policy)}


def _keys() -> Iterator[State]:
    for account, region, _, key in _entries(kms._keys):
        grants = [
            {name: grant.get(name) for name in ("GrantId", "GranteePrincipal", "Operations", "Constraints", "Name")}
            for _, _, _, grant in _entries(kms._grants)
            if isinstance(grant, dict) and grant.get("KeyId") in (key["KeyId"], key["Arn"])
        ]
        state = {"policy": _document(key.get("Policy")), "grants": grants}
        yield "policies", "key", account, region, key["Arn"], state
    for account, region, alias, key_id in _entries(kms._aliases):
        yield "definition", "key-alias", account, region, str(alias), {"key": key_id}


def _functions() -> Iterator[State]:
    for account, region, name, function in _entries(lambda_svc._functions):
        config = function.get("config") or {}
        arn = f"arn:aws:lambda:{region}:{account}:function:{name}"
        aliases = {alias: _document(one.get("policy")) for alias, one in (function.get("aliases") or {}).items()}
        yield (
            "policies",
            "function",
            account,
            region,
            arn,
            {"policy": _document(function.get("policy")), "aliases": aliases},
        )
        yield (
            "definition",
            "function",
            account,
            region,
            arn,
            {
                "name": name,
                "role": config.get("Role"),
                "log_group": (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{name}",
                "dead_letters": (config.get("DeadLetterConfig") or {}).get("TargetArn"),
                "events": [
                    one.get("DestinationConfig") for one in (function.get("event_invoke_configs") or {}).values()
                ],
            },
        )
    for account, region, name, url in _entries(lambda_svc._function_urls):
        state = {"function": url.get("FunctionArn"), "url": url.get("FunctionUrl"), "auth_type": url.get("AuthType")}
        yield "definition", "function-url", account, region, str(name), state
    for account, region, name, mapping in _entries(lambda_svc._esms):
        state = {
            one: mapping.get(one)
            for one in ("EventSourceArn", "FunctionArn", "DestinationConfig", "FunctionResponseTypes")
        }
        yield "definition", "mapping", account, region, str(name), state


def _events() -> Iterator[State]:
    for account, region, key, rule in _entries(eventbridge._rules):
        targets = eventbridge._targets.get_scoped(account, region, key) or []
        yield (
            "definition",
            "rule",
            account,
            region,
            rule["Arn"],
            {
                "name": rule["Name"],
                "bus": rule.get("EventBusName", "default"),
                "pattern": _document(rule.get("EventPattern")),
                "schedule": rule.get("ScheduleExpression"),
                "state": rule.get("State"),
                "targets": targets,
            },
        )
    for account, region, arn, machine in _entries(stepfunctions._state_machines):
        yield (
            "definition",
            "state-machine",
            account,
            region,
            arn,
            {
                "name": machine["name"],
                "role": machine.get("roleArn"),
                "definition": _document(machine["definition"]),
                "logging": machine.get("loggingConfiguration"),
            },
        )


def _others() -> Iterator[State]:
    for account, region, _key, schedule in _entries(scheduler._schedules):
        target = schedule.get("Target") or {}
        state = {"name": schedule.get("Name"), "target": target.get("Arn"), "role": target.get("RoleArn")}
        yield "definition", "schedule", account, region, schedule["Arn"], state
    for account, region, name, table in _entries(dynamodb._tables):
        arn = f"arn:aws:dynamodb:{region}:{account}:table/{name}"
        indexes = {one["IndexName"]: one["KeySchema"] for one in table.get("GlobalSecondaryIndexes") or []}
        yield "definition", "table", account, region, arn, {"keys": table.get("KeySchema"), "indexes": indexes}
    for account, region, name, project in _entries(codebuild._projects):
        arn = f"arn:aws:codebuild:{region}:{account}:project/{name}"
        state = {one: project.get(one) for one in ("serviceRole", "source", "artifacts", "logsConfig", "environment")}
        yield "definition", "project", account, region, arn, state
    for account, region, name, group in _entries(cloudwatch_logs._log_groups):
        filters = group.get("subscriptionFilters") if isinstance(group, dict) else None
        arn = f"arn:aws:logs:{region}:{account}:log-group:{name}"
        yield "definition", "log-group", account, region, arn, {"subscriptions": filters or []}
