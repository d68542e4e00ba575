"""What a resource is now, for types whose drift ministack does not look at.

Each reader returns the current properties in the template's shape (``None`` once the resource is gone), as those of
ministack do. Only what the template sets is compared.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

from ministack.services import autoscaling, cloudwatch, ec2, eventbridge, iam, lambda_svc, s3, sqs
from ministack.services.cloudformation import drift, provisioners

from overlay import patched
from overlay.contracts import DriftReader
from overlay.shapes import Properties

_ALARM = (
    "ActionsEnabled AlarmActions AlarmDescription ComparisonOperator DatapointsToAlarm EvaluationPeriods "
    "InsufficientDataActions MetricName Namespace OKActions Period Statistic Threshold TreatMissingData"
).split()
_GROUP = "MaxSize MinSize DesiredCapacity HealthCheckGracePeriod HealthCheckType".split()
_MAPPING = "BatchSize Enabled FunctionResponseTypes MaximumBatchingWindowInSeconds ScalingConfig".split()
_RULE = "Description EventPattern ScheduleExpression State".split()
_VOLUME = "Iops Size Throughput VolumeType".split()


def install() -> None:
    """Register the readers beside ministack's."""
    readers: dict[str, tuple[DriftReader, Iterable[str]]] = {
        "AWS::AutoScaling::AutoScalingGroup": (_record(lambda: autoscaling._asgs, _GROUP), _GROUP),
        "AWS::CloudWatch::Alarm": (_record(lambda: cloudwatch._alarms, _ALARM), _ALARM),
        "AWS::EC2::SecurityGroup": (_security_group, ("SecurityGroupIngress",)),
        "AWS::EC2::Volume": (_record(lambda: ec2._volumes, _VOLUME), _VOLUME),
        "AWS::Events::Rule": (_rule, _RULE),
        "AWS::IAM::ManagedPolicy": (_managed_policy, ("PolicyDocument",)),
        "AWS::Lambda::EventSourceMapping": (_record(lambda: lambda_svc._esms, _MAPPING), _MAPPING),
        "AWS::S3::BucketPolicy": (_bucket_policy, ("PolicyDocument",)),
        "AWS::SQS::QueuePolicy": (_queue_policy, ("PolicyDocument",)),
    }
    for kind, (reader, names) in readers.items():
        drift._DRIFT_READERS[kind] = (reader, frozenset(names))
    _, names = drift._DRIFT_READERS["AWS::IAM::Role"]
    drift._DRIFT_READERS["AWS::IAM::Role"] = _with_policies(patched.READ_ROLE.current(), names)


def _record(store: Callable[[], Any], names: Iterable[str]) -> DriftReader:
    """Returns a reader of a record whose fields have the names of the properties."""

    def read(physical_id: str, _props: Properties) -> Properties | None:
        record = store().get(physical_id)
        return (
            None if record is None else {name: _plain(record[name]) for name in names if record.get(name) is not None}
        )

    return read


def _plain(value: Any) -> Any:
    """Returns 300 for 300.0: services keep as a fraction what a template writes as a number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _rule(physical_id: str, props: Properties) -> Properties | None:
    rule = eventbridge._rules.get(eventbridge._rule_key(physical_id, provisioners._eb_rule_bus_name(props)))
    if rule is None:
        return None
    return {**{name: rule.get(name, "") for name in _RULE}, "EventPattern": _document(rule.get("EventPattern"))}


def _managed_policy(physical_id: str, _props: Properties) -> Properties | None:
    policy = iam._policies.get(physical_id)
    if policy is None:
        return None
    return {"PolicyDocument": _document(policy["Versions"][policy["DefaultVersionId"]]["Document"])}


def _bucket_policy(_physical_id: str, props: Properties) -> Properties | None:
    policy = s3._bucket_policies.get(props.get("Bucket", ""))
    return None if policy is None else {"PolicyDocument": _document(policy)}


def _queue_policy(_physical_id: str, props: Properties) -> Properties | None:
    """The policy of the first queue that has another one than the template says, else that of any."""
    found = [
        _document((sqs._queues.get(url) or {}).get("attributes", {}).get("Policy")) for url in props.get("Queues", [])
    ]
    found = [one for one in found if one]
    if not found:
        return None
    wanted = _document(props.get("PolicyDocument"))
    return {"PolicyDocument": next((one for one in found if one != wanted), found[0])}


def _with_policies(reader: DriftReader, names: frozenset[str]) -> tuple[DriftReader, frozenset[str]]:
    """Returns ministack's reader of a role, which also reads the inline policies that the template names."""

    def read(physical_id: str, props: Properties) -> Properties | None:
        role = reader(physical_id, props)
        if role is not None and props.get("Policies"):
            inline = (iam._roles.get(physical_id) or {}).get("InlinePolicies") or {}
            named = [one.get("PolicyName") for one in props["Policies"]]
            role["Policies"] = [
                {"PolicyName": name, "PolicyDocument": _document(inline[name])} for name in named if name in inline
            ]
        return role

    return read, names | {"Policies"}


def _security_group(physical_id: str, _props: Properties) -> Properties | None:
    group = ec2._security_groups.get(physical_id)
    if group is None:
        return None
    rules = [rule for permission in group.get("IpPermissions", []) for rule in _ingress(permission)]
    return {"SecurityGroupIngress": rules}


def _ingress(permission: Properties) -> Iterable[Properties]:
    """Yields the rules of a permission as a template writes them: one for each source."""
    ports: Properties = {name: permission[name] for name in ("IpProtocol", "FromPort", "ToPort") if name in permission}
    sources = (
        ("IpRanges", "CidrIp", "CidrIp"),
        ("Ipv6Ranges", "CidrIpv6", "CidrIpv6"),
        ("PrefixListIds", "PrefixListId", "SourcePrefixListId"),
        ("UserIdGroupPairs", "GroupId", "SourceSecurityGroupId"),
    )
    for where, field, name in sources:
        for one in permission.get(where) or []:
            described = {"Description": one["Description"]} if one.get("Description") else {}
            yield {**ports, name: one.get(field), **described}


def _document(value: Any) -> Any:
    """A document that a service keeps as text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
