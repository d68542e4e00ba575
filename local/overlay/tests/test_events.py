"""Events between accounts: forwarding rules, bus policies, and what a fault does to an event."""

import json
from collections.abc import Callable
from typing import Any

from overlay.shapes import Record
from overlay.tests.support import (
    DEVELOPMENT,
    PRODUCTION,
    REGION,
    TOOLING,
    CloudTest,
    client,
    control,
    eventually,
    role,
    stack_at_rest,
    unique,
)

_TOPIC = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}
_STACK_EVENTS = {"source": ["aws.cloudformation"]}


class Forwarding(CloudTest):
    """Production's stack events on a bus of the tooling account."""

    def receiving_bus(self, account: str = PRODUCTION) -> str:
        """A bus of the tooling account whose policy lets ``account`` in; returns its name."""
        name = unique("control")
        stack = self.stack(
            {
                "Resources": {
                    "Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": name}},
                    "Policy": {
                        "Type": "AWS::Events::EventBusPolicy",
                        "Properties": {
                            "EventBusName": {"Ref": "Bus"},
                            "StatementId": "accounts",
                            "Statement": {
                                "Effect": "Allow",
                                "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
                                "Action": "events:PutEvents",
                                "Resource": {"Fn::GetAtt": ["Bus", "Arn"]},
                            },
                        },
                    },
                }
            },
            TOOLING,
        )
        self.assertEqual(stack["StackStatus"], "CREATE_COMPLETE", stack)
        self.bus_stack = stack["StackName"]
        return name

    def forward(self, bus: str, allowed: bool = True) -> None:
        """Let production forward its stack events to the bus."""
        arn = f"arn:aws:events:{REGION}:{TOOLING}:event-bus/{bus}"
        may = [{"Effect": "Allow", "Action": "events:PutEvents", "Resource": arn}] if allowed else []
        stack = self.stack(
            {
                "Resources": {
                    "Role": role(unique("forward"), {"Service": "events.amazonaws.com"}, may),
                    "Rule": {
                        "Type": "AWS::Events::Rule",
                        "Properties": {
                            "EventPattern": _STACK_EVENTS,
                            "Targets": [{"Id": "tooling", "Arn": arn, "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]}}],
                        },
                    },
                }
            },
            PRODUCTION,
        )
        self.assertEqual(stack["StackStatus"], "CREATE_COMPLETE", stack)

    def raised(self) -> str:
        """Let production raise stack events; returns the stack's id once it is at rest."""
        stack = self.stack(_TOPIC, PRODUCTION)
        self.addCleanup(self.delete_stack, stack["StackName"], PRODUCTION)
        return stack["StackId"]

    def about(self, caught: Callable[[], list[Record]], stack_id: str) -> list[Record]:
        return [event for event in caught() if event["detail"]["stack-id"] == stack_id]

    def test_an_event_arrives_in_the_other_account_as_it_was(self) -> None:
        bus = self.receiving_bus()
        caught = self.queue_of_events({"account": [PRODUCTION]}, TOOLING, bus)
        self.forward(bus)
        stack_id = self.raised()
        eventually(lambda: len(self.about(caught, stack_id)) == 2, "both events were forwarded")
        event = self.about(caught, stack_id)[1]
        self.assertEqual((event["account"], event["source"]), (PRODUCTION, "aws.cloudformation"))
        self.assertEqual((event["region"], event["resources"]), (REGION, [stack_id]))
        self.assertEqual(event["detail"]["status-details"]["status"], "CREATE_COMPLETE")

    def not_forwarded(self, bus: str) -> None:
        """Nothing arrives, while production's own rules see the events."""
        caught = self.queue_of_events({"account": [PRODUCTION]}, TOOLING, bus)
        own = self.queue_of_events(_STACK_EVENTS, PRODUCTION)
        stack_id = self.raised()
        eventually(lambda: len(self.about(own, stack_id)) == 2, "production sees its own events")
        self.assertEqual(self.about(caught, stack_id), [])

    def test_a_bus_takes_nothing_from_an_account_its_policy_does_not_name(self) -> None:
        bus = self.receiving_bus(DEVELOPMENT)
        self.forward(bus)
        self.not_forwarded(bus)

    def test_a_role_that_may_not_put_events_forwards_nothing(self) -> None:
        bus = self.receiving_bus()
        self.forward(bus, allowed=False)
        self.not_forwarded(bus)

    def test_the_policy_goes_with_its_resource(self) -> None:
        bus = self.receiving_bus()
        events = client("events", TOOLING)
        self.assertIn(PRODUCTION, events.describe_event_bus(Name=bus)["Policy"])
        template = {"Resources": {"Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": bus}}}}
        client("cloudformation", TOOLING).update_stack(StackName=self.bus_stack, TemplateBody=json.dumps(template))
        self.assertEqual(stack_at_rest(self.bus_stack, TOOLING)["StackStatus"], "UPDATE_COMPLETE")
        self.assertNotIn(PRODUCTION, events.describe_event_bus(Name=bus).get("Policy", ""))

    def test_put_events_refuses_the_sources_of_aws(self) -> None:
        answer = client("events", TOOLING).put_events(
            Entries=[{"Source": "aws.cloudformation", "DetailType": "x", "Detail": "{}"}]
        )
        self.assertEqual(answer["Entries"][0]["ErrorCode"], "NotAuthorizedForSourceException")


class EventFaults(CloudTest):
    """Lost, doubled, held and delayed events."""

    def setUp(self) -> None:
        super().setUp()
        self.source = unique("test")
        self.caught = self.queue_of_events({"source": [self.source]})

    def put(self, text: str) -> None:
        client("events", DEVELOPMENT).put_events(
            Entries=[{"Source": self.source, "DetailType": "T", "Detail": json.dumps({"text": text})}]
        )

    def texts(self) -> list[str]:
        return [event["detail"]["text"] for event in self.caught()]

    def fault(self, kind: str, **more: Any) -> Record:
        effect = {"kind": kind, **more.pop("effect", {})}
        return control("POST", "faults", {"on": "event", "source": self.source, "effect": effect, **more})["id"]

    def test_a_lost_event_does_not_arrive_and_the_next_one_does(self) -> None:
        self.fault("lose")
        self.put("first")
        self.put("second")
        self.assertEqual(eventually(self.texts, "the second event came"), ["second"])
        outcomes = [one["outcome"] for one in control("GET", f"events?source={self.source}")["events"]]
        self.assertEqual(outcomes, ["lose", "deliver"])

    def test_a_doubled_event_arrives_twice_with_one_id(self) -> None:
        self.fault("duplicate", contains="two")
        self.put("one")
        self.put("two")
        eventually(lambda: len(self.texts()) == 3, "three events came")
        first, second = (event["id"] for event in self.caught() if event["detail"]["text"] == "two")
        self.assertEqual(first, second)

    def test_a_held_event_arrives_when_it_is_released(self) -> None:
        held = self.fault("hold", contains="late")
        self.put("late")
        self.put("soon")
        self.assertEqual(eventually(self.texts, "the other event came"), ["soon"])
        self.assertEqual(control("GET", "faults")["faults"][0]["held"], 1)
        self.assertEqual(control("POST", f"faults/{held}/release")["released"], 1)
        self.assertEqual(self.texts(), ["soon", "late"])

    def test_a_delayed_event_arrives_later(self) -> None:
        self.fault("delay", effect={"ms": 50})
        self.put("delayed")
        self.assertEqual(eventually(self.texts, "the event came"), ["delayed"])


class Builds(CloudTest):
    """CodeBuild: in progress, then ended, with events."""

    def test_a_build_is_in_progress_and_says_when_it_ends(self) -> None:
        caught = self.queue_of_events({"source": ["aws.codebuild"]})
        api, name = client("codebuild", DEVELOPMENT), unique("build")
        api.create_project(
            name=name,
            source={"type": "NO_SOURCE", "buildspec": "version: 0.2"},
            artifacts={"type": "NO_ARTIFACTS"},
            environment={"type": "LINUX_CONTAINER", "image": "x", "computeType": "BUILD_GENERAL1_SMALL"},
            serviceRole=f"arn:aws:iam::{DEVELOPMENT}:role/build",
        )
        control("PUT", "settings", {"build_delay_ms": -1})
        self.addCleanup(control, "PUT", "settings", {"build_delay_ms": 300})
        build = api.start_build(projectName=name, idempotencyToken="once")["build"]
        self.assertEqual(build["buildStatus"], "IN_PROGRESS")
        self.assertEqual(api.start_build(projectName=name, idempotencyToken="once")["build"]["id"], build["id"])
        control("POST", f"builds/{build['id']}", {"account": DEVELOPMENT, "region": REGION, "status": "FAILED"})
        self.assertEqual(api.batch_get_builds(ids=[build["id"]])["builds"][0]["buildStatus"], "FAILED")

        def statuses() -> list[str]:
            return [one["detail"]["build-status"] for one in caught() if one["detail"]["build-id"] == build["arn"]]

        eventually(lambda: statuses() == ["IN_PROGRESS", "FAILED"], "both changes were announced")
