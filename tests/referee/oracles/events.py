"""Events and metrics: those that tests and the emulator send, rules and functions read, and alarms watch."""

import json

from oracles.event_rules import alarms, fixtures, patterns, shapes
from referee.context import Context
from referee.documents import Document
from referee.intrinsics import Resolver, variants
from referee.planting import replace
from referee.verdict import Verdict


def judge(context: Context) -> Verdict:
    """Judges events by AWS's schemas and examples, and alarms by the emitted metrics."""
    verdict = Verdict()
    templates = context.templates()
    rules = _rules(templates)
    asked = {
        "sources": sorted(
            {source for _, _, pattern in rules for source in pattern.get("source", []) if isinstance(source, str)}
        ),
        "namespaces": sorted(alarms.namespaces(templates)),
    }
    specified = json.loads(context.node("service-spec", stdin=json.dumps(asked)))
    known = shapes.read(context, specified["events"])
    for where, _, pattern in rules:
        _judge_pattern(where, pattern, known, verdict)
    for fixture in fixtures.read(context.root):
        if fixture.event["source"] in asked["sources"]:
            _judge_fixture(fixture, known, verdict)
    for where, pointer in fixtures.pointers(context.root):
        verdict.judged("fields that code reads")
        if not any(shape.has(pointer) for key, shape in known.items() if _is_taken(key, rules)):
            verdict.find(where, f"reads {pointer}, which no event of AWS that we take has")
    _judge_recording(context, rules, known, verdict)
    alarms.judge(context, templates, specified["metrics"], verdict)
    return verdict


def _rules(templates: list[Document]) -> list[tuple[str, str, dict]]:
    """Returns each rule with a pattern: its place, its name and its pattern."""
    found = []
    for template in templates:
        for resolver in variants(template):
            for name, resource in template.body["Resources"].items():
                pattern = resource.get("Properties", {}).get("EventPattern")
                if resource["Type"] == "AWS::Events::Rule" and pattern:
                    where = f"{template.name}:{template.body['Resources'].line_of(name)} {name}"
                    found.append((where, _name(resolver, resource), resolver.value(pattern)))
    return found


def _name(resolver: Resolver, resource: dict) -> str:
    return str(resolver.value(resource["Properties"].get("Name", "")))


def _judge_pattern(where: str, pattern: dict, known: dict, verdict: Verdict) -> None:
    """Finds a pattern that no event of AWS can match, or that reads fields that AWS does not send."""
    verdict.judged("patterns")
    taken = [
        shape
        for (source, kind), shape in known.items()
        if source in pattern.get("source", [source]) and kind in pattern.get("detail-type", [kind])
    ]
    for source in pattern.get("source", []):
        if (
            isinstance(source, str)
            and source.startswith("aws.")
            and not any(shape.source == source and shape.examples for shape in taken)
        ):
            verdict.find(where, f"takes events of {source}, of which data/events has no example of AWS")
    for pointer, expected in patterns.leaves(pattern):
        if pointer.startswith("/detail/"):
            _judge_leaf(where, pointer, expected, taken, verdict)
    examples = [example for shape in taken for example in shape.examples]
    if examples and not any(patterns.matches(pattern, patterns.filled(pattern, example)) for example in examples):
        verdict.find(where, "matches none of AWS's examples")


def _judge_leaf(where: str, pointer: str, expected: list, taken: list[shapes.Shape], verdict: Verdict) -> None:
    if not any(shape.has(pointer) for shape in taken):
        verdict.find(where, f"looks at {pointer}, which AWS's events do not have")
    for shape in taken:
        values = shape.values.get(pointer) or []
        for each in expected if values else []:
            if not any(patterns.matches({"field": [each]}, {"field": value}) for value in values):
                verdict.find(where, f"asks {pointer} for {json.dumps(each)}, which AWS never sends ({shape.page})")


def _judge_fixture(fixture: fixtures.Fixture, known: dict, verdict: Verdict) -> None:
    """Finds fields of a test's event that AWS does not send. A test may omit fields that no code reads."""
    event = fixture.event
    verdict.judged("events of tests")
    for name, value in event.items():
        if name not in shapes.ENVELOPE:
            verdict.find(fixture.where, f"has /{name}, which no event of EventBridge has")
        elif value is not shapes.UNKNOWN and not isinstance(value, shapes.ENVELOPE[name]):
            verdict.find(fixture.where, f"has a /{name} of another type than EventBridge's events")
    candidates = [
        shape
        for (source, kind), shape in known.items()
        if source == event["source"] and event["detail-type"] in (kind, shapes.UNKNOWN)
    ]
    if not candidates:
        verdict.find(
            fixture.where,
            f"is {event['source']} {event['detail-type']!r}, which neither the specification nor data/events has",
        )
        return
    wrong = [[*shape.judge(event.get("detail", {}), whole=False)] for shape in candidates]
    for pointer, what in min(wrong, key=len):
        verdict.find(f"{fixture.where} {pointer}", what)


def _judge_recording(context: Context, rules: list, known: dict, verdict: Verdict) -> None:
    """Judges the raised events of the kinds that our rules match, and the forwarded events."""
    by_name: dict[str, list[dict]] = {}
    for _, name, pattern in rules:
        by_name.setdefault(name, []).append(pattern)
    for place, entry in context.recorded("event"):
        event = {
            "source": entry["source"],
            "detail-type": entry["detail_type"],
            "detail": entry["detail"],
            "resources": entry["resources"],
            "account": entry["account"],
            "region": entry["region"],
            "id": entry["id"],
        }
        where = f"{entry['source']} {entry['detail_type']!r} ({entry['phase']} at {place})"
        if entry["phase"] == "raised" and _is_taken((entry["source"], entry["detail_type"]), rules):
            verdict.judged("raised events")
            shape = known.get((entry["source"], entry["detail_type"]))
            for pointer, what in shape.judge(entry["detail"], whole=True) if shape else ():
                verdict.find(f"{entry['source']} {entry['detail_type']!r} {pointer}", what)
            if not entry["resources"] or not all(str(each).startswith("arn:") for each in entry["resources"]):
                verdict.find(where, "names no resource by its ARN")
        elif entry["phase"] == "delivered" and entry.get("rule") in by_name:
            verdict.judged("delivered events")
            if not any(patterns.matches(pattern, event) for pattern in by_name[entry["rule"]]):
                verdict.find(where, f"was handed on by {entry['rule']}, whose pattern does not match it")


def _is_taken(kind: tuple[str, str], rules: list) -> bool:
    """Returns true if a rule of ours matches events of a source and a detail-type."""
    return any(
        kind[0] in pattern.get("source", []) and kind[1] in pattern.get("detail-type", []) for _, _, pattern in rules
    )


def _wrong_field(copy: Context) -> str:
    replace(
        copy.root / "shared/domain/src/delivery/aws_events.rs",
        '"detail": {"RequestId": "r", "ImageId"',
        '"detail": {"RequestId": "r", "imageId"',
    )
    return "/detail/imageId: is no field"


def _wrong_type(copy: Context) -> str:
    replace(
        copy.root / "shared/domain/src/delivery/aws_events.rs",
        '"status-details": {"status": status, "status-reason": ""}',
        '"status-details": "CREATE_COMPLETE"',
    )
    return "is not of AWS's type"


def _wrong_pointer(copy: Context) -> str:
    replace(copy.root / "shared/domain/src/delivery/aws_events.rs", '"/detail/State"', '"/detail/state"')
    return "reads /detail/state"


def _wrong_pattern(copy: Context) -> str:
    replace(copy.root / "infra/target-account/template.yaml", "{suffix: _FAILED}", "{suffix: _FAILURE}")
    return "which AWS never sends"


def _wrong_source(copy: Context) -> str:
    replace(
        copy.root / "infra/target-account/template.yaml",
        "detail-type: [EC2 AMI State Change]",
        "detail-type: [EC2 AMI State-change Notification]",
    )
    return "has no example of AWS"


def _wrong_metric(copy: Context) -> str:
    replace(
        copy.root / "infra/log-stack/elb-logs/template.yaml",
        "MetricName: ApproximateAgeOfOldestMessage",
        "MetricName: AgeOfOldestMessage",
    )
    return "which AWS does not have"


def _wrong_dimension(copy: Context) -> str:
    replace(copy.root / "infra/log-stack/log-intake/template.yaml", "- Name: FunctionName", "- Name: Function")
    return "AWS has it by"


def _not_emitted(copy: Context) -> str:
    replace(
        copy.root / "infra/log-stack/indexer/template.yaml", 'metricname => "DeliveryLagSeconds"', 'metricname => "Lag"'
    )
    return "which no function, script or filter emits"


def _other_dimension(copy: Context) -> str:
    replace(copy.root / "infra/log-stack/broker/template.yaml", '{Name: "Stack", Value:', '{Name: "StackName", Value:')
    return "and it is emitted by"


def _shown_by_another_dimension(copy: Context) -> str:
    replace(
        copy.root / "infra/control-plane/template.yaml", '"CallbacksOpen", "kind", ', '"CallbacksOpen", "function", '
    )
    return "and it is emitted by"


def _searched_in_vain(copy: Context) -> str:
    replace(copy.root / "infra/control-plane/template.yaml", "{Lockstep,error} Met", "{Lockstep,outcome} Met")
    return "and it is emitted by"


def _lacks_a_field(copy: Context) -> str:
    def change(event: dict) -> None:
        event["detail"].pop("client-request-token")

    copy.change_line(
        lambda line: line["kind"] == "event" and line["phase"] == "raised" and line["source"] == "aws.cloudformation",
        change,
    )
    return "/detail/client-request-token: is missing"


def _handed_on_wrongly(copy: Context) -> str:
    def change(event: dict) -> None:
        event["detail"]["status-details"]["status"] = "UPDATE_IN_PROGRESS"

    def forwarded(line: dict) -> bool:
        return line["kind"] == "event" and line["phase"] == "delivered" and line["rule"] == "lockstep-forward-stacks"

    copy.change_line(forwarded, change)
    return "whose pattern does not match it"


PLANTED = [
    ("a test's event with a field that AWS does not send", _wrong_field),
    ("a test's event with a field of another type", _wrong_type),
    ("a recorded event that lacks a field of AWS's", _lacks_a_field),
    ("a rule that hands on what its pattern does not match", _handed_on_wrongly),
    ("code that reads a field that AWS does not send", _wrong_pointer),
    ("a pattern for a status that AWS does not have", _wrong_pattern),
    ("a pattern for events that AWS does not document", _wrong_source),
    ("an alarm on a metric that AWS does not have", _wrong_metric),
    ("an alarm by a dimension that a metric does not have", _wrong_dimension),
    ("an alarm on a metric that nothing emits", _not_emitted),
    ("an alarm by another dimension than is emitted", _other_dimension),
    ("a dashboard that shows a metric by another dimension", _shown_by_another_dimension),
    ("a dashboard that searches a metric by another dimension", _searched_in_vain),
]
