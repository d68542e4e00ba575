"""``iam:PassRole``: each call that gives a role to a service, with the right to pass it and without."""

import io
import json
import zipfile

from overlay import pass_role
from overlay.shapes import Record
from overlay.tests.support import DEVELOPMENT, Caller, Client, CloudTest, allow, client, unique

_MACHINE = json.dumps({"StartAt": "End", "States": {"End": {"Type": "Succeed"}}})
_TOPIC = json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}})


def _packed() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("index.py", "def handler(event, context):\n    return 1\n")
    return packed.getvalue()


class PassRole(CloudTest):
    """Every call of the table is made twice."""

    def setUp(self) -> None:
        super().setUp()
        self.name = unique("passed")
        services = ["lambda", "states", "events", "scheduler", "codebuild", "cloudformation", "ec2", "logs"]
        trust = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": [f"{one}.amazonaws.com" for one in services]},
                    "Action": "sts:AssumeRole",
                }
            ],
        }
        self.iam = self.root("iam")
        made = self.iam.create_role(RoleName=self.name, AssumeRolePolicyDocument=json.dumps(trust))
        self.role = made["Role"]["Arn"]
        self.iam.create_instance_profile(InstanceProfileName=self.name)
        self.iam.add_role_to_instance_profile(InstanceProfileName=self.name, RoleName=self.name)
        self.everything = allow(*(f"{one}:*" for one in services))

    def root(self, service: str) -> Client:
        return client(service, DEVELOPMENT)

    def calls(self) -> dict[tuple[str, str], Record]:
        """(service, action) -> how it is made, and by whom: every one names the role."""
        queue, name = f"arn:aws:sqs:eu-west-1:{DEVELOPMENT}:none", self.name
        self.root("lambda").create_function(
            FunctionName=f"{name}-old",
            Runtime="python3.12",
            Handler="index.handler",
            Role=self.role,
            Code={"ZipFile": _packed()},
        )
        machine = self.root("stepfunctions").create_state_machine(
            name=f"{name}-old", definition=_MACHINE, roleArn=self.role
        )
        self.root("events").put_rule(Name=name, ScheduleExpression="rate(1 day)")
        project = {
            "name": f"{name}-old",
            "source": {"type": "NO_SOURCE", "buildspec": "version: 0.2"},
            "artifacts": {"type": "NO_ARTIFACTS"},
            "environment": {"type": "LINUX_CONTAINER", "image": "none", "computeType": "BUILD_GENERAL1_SMALL"},
            "serviceRole": self.role,
        }
        self.root("codebuild").create_project(**project)
        self.root("logs").create_log_group(logGroupName=name)
        image = self.root("ec2").describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        instance = {"ImageId": image, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
        profile = {"Name": name}
        running = self.root("ec2").run_instances(**instance)["Instances"][0]["InstanceId"]
        schedule = {
            "Name": name,
            "ScheduleExpression": "rate(1 day)",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {"Arn": queue, "RoleArn": self.role},
        }
        targets = [{"Id": "1", "Arn": queue}, {"Id": "2", "Arn": queue, "RoleArn": self.role}]
        stack = {"StackName": f"{name}-stack", "RoleARN": self.role}
        old = {"StackName": self.stack(json.loads(_TOPIC))["StackName"], "RoleARN": self.role}
        return {
            ("cloudformation", "CreateStack"): dict(stack, TemplateBody=_TOPIC),
            ("cloudformation", "UpdateStack"): dict(old, TemplateBody=_TOPIC.replace('Topic"', 'Other"', 1)),
            ("cloudformation", "CreateChangeSet"): dict(old, ChangeSetName="one", TemplateBody=_TOPIC),
            ("cloudformation", "ContinueUpdateRollback"): old,
            ("cloudformation", "RollbackStack"): old,
            ("cloudformation", "DeleteStack"): stack,
            ("lambda", "CreateFunction"): {
                "FunctionName": name,
                "Runtime": "python3.12",
                "Handler": "index.handler",
                "Role": self.role,
                "Code": {"ZipFile": _packed()},
            },
            ("lambda", "UpdateFunctionConfiguration"): {"FunctionName": f"{name}-old", "Role": self.role},
            ("states", "CreateStateMachine"): {"name": name, "definition": _MACHINE, "roleArn": self.role},
            ("states", "UpdateStateMachine"): {"stateMachineArn": machine["stateMachineArn"], "roleArn": self.role},
            ("events", "PutRule"): {"Name": name, "ScheduleExpression": "rate(1 day)", "RoleArn": self.role},
            ("events", "PutTargets"): {"Rule": name, "Targets": targets},
            ("scheduler", "CreateSchedule"): schedule,
            ("scheduler", "UpdateSchedule"): schedule,
            ("codebuild", "CreateProject"): {**project, "name": name},
            ("codebuild", "UpdateProject"): {"name": f"{name}-old", "serviceRole": self.role},
            ("codebuild", "StartBuild"): {"projectName": f"{name}-old", "serviceRoleOverride": self.role},
            ("logs", "PutSubscriptionFilter"): {
                "logGroupName": name,
                "filterName": "all",
                "filterPattern": "",
                "destinationArn": f"arn:aws:kinesis:eu-west-1:{DEVELOPMENT}:stream/none",
                "roleArn": self.role,
            },
            ("ec2", "RunInstances"): {**instance, "IamInstanceProfile": profile},
            ("ec2", "AssociateIamInstanceProfile"): {"IamInstanceProfile": profile, "InstanceId": running},
            ("ec2", "ReplaceIamInstanceProfileAssociation"): {
                "IamInstanceProfile": profile,
                "AssociationId": "iip-assoc-1",
            },
        }

    def denied_of(self, somebody: Caller, call: tuple[str, str], arguments: Record) -> bool:
        """Whether a call is refused because of the role that it passes."""
        service, action = call
        api = somebody({"states": "stepfunctions"}.get(service, service))
        method = next(name for name, of in api.meta.method_to_api_mapping.items() if of == action)
        try:
            getattr(api, method)(**arguments)
        except api.exceptions.ClientError as error:
            return (
                "iam:PassRole" in error.response["Error"]["Message"] and self.role in error.response["Error"]["Message"]
            )
        return False

    def test_each_call_that_passes_a_role_needs_to_be_allowed_to(self) -> None:
        calls = self.calls()
        self.assertEqual(set(calls), pass_role.PASSING, "each call of the table is made")
        may_not, may = (
            self.somebody(self.everything),
            self.somebody(self.everything, allow("iam:PassRole", resource=self.role)),
        )
        for call, arguments in calls.items():
            with self.subTest(call):
                self.assertTrue(self.denied_of(may_not, call, arguments), "without the right")
                self.assertFalse(self.denied_of(may, call, arguments), "with the right")

    def test_a_role_is_passed_to_one_service(self) -> None:
        service = {"iam:PassedToService": "lambda.amazonaws.com"}
        somebody = self.somebody(self.everything, allow("iam:PassRole", resource=self.role, StringEquals=service))
        calls = self.calls()
        self.assertFalse(self.denied_of(somebody, ("lambda", "CreateFunction"), calls["lambda", "CreateFunction"]))
        self.assertTrue(
            self.denied_of(somebody, ("states", "CreateStateMachine"), calls["states", "CreateStateMachine"])
        )

    def test_a_refused_call_has_no_effect(self) -> None:
        somebody = self.somebody(self.everything)
        with self.assertRaisesRegex(Exception, "iam:PassRole"):
            somebody("cloudformation").create_stack(StackName=self.name, TemplateBody=_TOPIC, RoleARN=self.role)
        self.refused("ValidationError", self.root("cloudformation").describe_stacks, StackName=self.name)

    def test_a_call_that_names_no_role_passes_none(self) -> None:
        somebody = self.somebody(self.everything)
        somebody("events").put_rule(Name=self.name, ScheduleExpression="rate(1 day)")
        somebody("lambda").list_functions()
