"""Faults on calls, the journal, and who may use the control paths."""

import json
import urllib.error
import urllib.request
from typing import Any

from botocore.exceptions import ClientError, ConnectionClosedError

from overlay.shapes import Record
from overlay.tests.support import (
    DEVELOPMENT,
    PRODUCTION,
    REGION,
    CloudTest,
    client,
    control,
    endpoint,
    eventually,
    python_function,
    role,
    unique,
)


class CallFaults(CloudTest):
    """What a fault does to a call, before and after its effect."""

    def fault(self, service: str, kind: str, **more: Any) -> Record:
        effect = {"kind": kind, **more.pop("effect", {})}
        return control("POST", "faults", {"on": "call", "service": service, "effect": effect, **more})["id"]

    def test_each_service_throttles_in_its_own_words(self) -> None:
        table = {"TableName": "none", "Key": {"pk": {"S": "x"}}}
        calls = {
            "ec2": (client("ec2", DEVELOPMENT).describe_images, {}, "RequestLimitExceeded", 503),
            "cloudformation": (client("cloudformation", DEVELOPMENT).describe_stacks, {}, "Throttling", 400),
            "dynamodb": (client("dynamodb", DEVELOPMENT).get_item, table, "ThrottlingException", 400),
            "s3": (client("s3", DEVELOPMENT).list_buckets, {}, "SlowDown", 503),
            "states": (client("stepfunctions", DEVELOPMENT).list_state_machines, {}, "ThrottlingException", 400),
            "lambda": (client("lambda", DEVELOPMENT).list_functions, {}, "TooManyRequestsException", 429),
            "sts": (client("sts", DEVELOPMENT).get_caller_identity, {}, "Throttling", 400),
        }
        for service, (call, arguments, code, status) in calls.items():
            with self.subTest(service):
                self.fault(service, "throttle")
                with self.assertRaises(ClientError) as caught:
                    call(**arguments)
                answer = caught.exception.response
                self.assertEqual(
                    (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]), (code, status)
                )

    def test_a_fault_strikes_as_often_as_it_says_after_those_it_skips(self) -> None:
        api = client("sts", DEVELOPMENT)
        self.fault("sts", "server_error", times=2, skip=1)
        outcomes = []
        for _ in range(5):
            try:
                api.get_caller_identity()
                outcomes.append("ok")
            except ClientError as error:
                outcomes.append(error.response["ResponseMetadata"]["HTTPStatusCode"])
        self.assertEqual(outcomes, ["ok", 500, 500, "ok", "ok"])

    def test_a_fault_is_meant_for_an_account_an_action_and_a_text(self) -> None:
        self.fault(
            "sqs",
            "error",
            action="CreateQueue",
            account=PRODUCTION,
            contains="unlucky",
            effect={"code": "AccessDenied", "status": 403},
        )
        name = unique("unlucky")
        client("sqs", DEVELOPMENT).create_queue(QueueName=name)
        client("sqs", PRODUCTION).create_queue(QueueName=unique("lucky"))
        self.refused("AccessDenied", client("sqs", PRODUCTION).create_queue, QueueName=name)

    def test_a_lost_reply_leaves_the_effect_and_a_reset_does_not(self) -> None:
        api = client("sqs", DEVELOPMENT)
        kept, never = unique("kept"), unique("never")
        self.fault("sqs", "drop_reply", contains=kept)
        self.fault("sqs", "reset", contains=never)
        for name in (kept, never):
            with self.assertRaises(ConnectionClosedError):
                api.create_queue(QueueName=name)
        urls = api.list_queues().get("QueueUrls", [])
        self.assertEqual([kept in str(urls), never in str(urls)], [True, False])

    def test_a_reply_can_be_held_until_the_event_of_its_effect_was_delivered(self) -> None:
        ec2 = client("ec2", DEVELOPMENT)
        volume = ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=1)["VolumeId"]
        snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
        base = ec2.register_image(
            Name=unique("base"), BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot}}]
        )["ImageId"]
        caught = self.queue_of_events({"source": ["aws.ec2"], "detail": {"State": ["available"]}})
        until = {"source": "aws.ec2", "contains": "'State': 'available'"}
        self.fault("ec2", "hold_reply", action="CopyImage", effect={"until": until, "settle_ms": 0})
        made = ec2.copy_image(Name=unique("copy"), SourceImageId=base, SourceRegion=REGION)["ImageId"]
        self.assertIn(made, [event["detail"]["ImageId"] for event in caught()])

    def test_a_rule_that_makes_no_sense_is_refused_with_the_reason(self) -> None:
        for bad in (
            {"effect": {"kind": "nonsense"}},
            {"on": "moon", "effect": {}},
            {"colour": 1, "effect": {"kind": "reset"}},
        ):
            with self.subTest(bad), self.assertRaises(urllib.error.HTTPError) as caught:
                control("POST", "faults", bad)
            self.assertEqual(caught.exception.code, 400)
            caught.exception.close()

    def test_control_paths_refuse_web_pages_and_other_host_names(self) -> None:
        for headers in ({"Origin": "https://example.com"}, {"Host": "evil.example"}):
            request = urllib.request.Request(f"{endpoint()}/_lockstep/calls", headers=headers)
            with self.subTest(headers), self.assertRaises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(request, timeout=5)
            self.assertEqual(caught.exception.code, 403)
            caught.exception.close()


class Journal(CloudTest):
    """Who called what, and how often a function ran."""

    def after(self) -> int:
        calls = control("GET", "calls")["calls"]
        return calls[-1]["sequence"] if calls else 0

    def test_every_call_is_recorded_with_its_caller(self) -> None:
        name, start = unique("journal"), self.after()
        self.stack(
            {
                "Resources": {
                    "R": role(
                        name,
                        {"AWS": f"arn:aws:iam::{PRODUCTION}:root"},
                        [{"Effect": "Allow", "Action": "sqs:ListQueues", "Resource": "*"}],
                    )
                }
            }
        )
        got = client("sts", PRODUCTION).assume_role(
            RoleArn=f"arn:aws:iam::{DEVELOPMENT}:role/{name}", RoleSessionName="me"
        )["Credentials"]
        client(
            "sqs", DEVELOPMENT, key=got["AccessKeyId"], secret=got["SecretAccessKey"], token=got["SessionToken"]
        ).list_queues()
        found = control("GET", f"calls?after={start}&service=sqs&action=ListQueues")["calls"]
        principal = f"arn:aws:sts::{DEVELOPMENT}:assumed-role/{name}/me"
        self.assertEqual(
            [(one["account"], one["principal"], one["status"]) for one in found], [(DEVELOPMENT, principal, 200)]
        )
        assumed = control("GET", f"calls?after={start}&action=AssumeRole")["calls"]
        self.assertEqual([one["principal"] for one in assumed], [f"arn:aws:iam::{PRODUCTION}:root"])

    def test_a_function_started_by_a_state_machine_is_counted_and_can_be_struck(self) -> None:
        name = unique("machine")
        definition = {
            "QueryLanguage": "JSONata",
            "StartAt": "Call",
            "States": {
                "Call": {
                    "Type": "Task",
                    "Resource": "arn:aws:states:::lambda:invoke",
                    "Arguments": {"FunctionName": "${F}", "Payload": {"name": name}},
                    "Retry": [
                        {
                            "ErrorEquals": ["Lambda.TooManyRequestsException", "Lambda.Unknown"],
                            "MaxAttempts": 3,
                            "IntervalSeconds": 1,
                        }
                    ],
                    "End": True,
                }
            },
        }
        stack = self.stack(
            {
                "Resources": {
                    "Role": role(
                        f"{name}-role",
                        {"Service": ["lambda.amazonaws.com", "states.amazonaws.com"]},
                        [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
                    ),
                    "F": python_function(
                        {"Fn::GetAtt": ["Role", "Arn"]}, "def handler(event, context):\n    return 1\n", name
                    ),
                    "M": {
                        "Type": "AWS::StepFunctions::StateMachine",
                        "Properties": {
                            "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
                            "DefinitionString": json.dumps(definition),
                            "DefinitionSubstitutions": {"F": {"Fn::GetAtt": ["F", "Arn"]}},
                        },
                    },
                },
                "Outputs": {"M": {"Value": {"Ref": "M"}}},
            }
        )
        start = self.after()
        for kind in ("throttle", "drop_reply"):
            body = {"on": "call", "service": "lambda", "action": "Invoke", "contains": name, "effect": {"kind": kind}}
            control("POST", "faults", body)
        api = client("stepfunctions", DEVELOPMENT)
        execution = api.start_execution(stateMachineArn=stack["Outputs"][0]["OutputValue"])["executionArn"]
        eventually(lambda: api.describe_execution(executionArn=execution)["status"] == "SUCCEEDED", "it succeeded")
        ran = control("GET", f"calls?after={start}&kind=invocation")["calls"]
        # Throttled once without running, run once with its reply lost, run once more.
        self.assertEqual([one["function"] for one in ran], [name, name])
