"""Drift of the types that the log stack is made of: found, planned, reverted, and put back by a rollback."""

import json
from collections.abc import Callable
from typing import Any

from overlay.shapes import Record
from overlay.tests.support import (
    DEVELOPMENT,
    REGION,
    CloudTest,
    client,
    eventually,
    python_function,
    role,
    stack_at_rest,
    unique,
)

_FAILS = python_function(f"arn:aws:iam::{DEVELOPMENT}:role/none", "", Code={"S3Bucket": "none", "S3Key": "none.zip"})


def _allow(action: str, resource: str = "*") -> Record:
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{DEVELOPMENT}:root"},
        "Action": action,
        "Resource": resource,
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def _identity(action: str) -> Record:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]}


class Reverting(CloudTest):
    """One stack of every type; somebody changes each of them by hand."""

    def template(self, name: str) -> dict[str, Any]:
        lambda_ = {"Service": "lambda.amazonaws.com"}
        executor = role(name, lambda_, _identity("logs:PutLogEvents")["Statement"])
        executor["Properties"]["Description"] = "as written"
        function = python_function(
            {"Fn::GetAtt": ["Role", "Arn"]}, "def handler(e, c): return 1", name, Description="as written"
        )
        return {
            "Role": executor,
            "Function": function,
            "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name, "VisibilityTimeout": 60}},
            "QueuePolicy": {
                "Type": "AWS::SQS::QueuePolicy",
                "Properties": {"Queues": [{"Ref": "Queue"}], "PolicyDocument": _allow("sqs:SendMessage")},
            },
            "Mapping": {
                "Type": "AWS::Lambda::EventSourceMapping",
                "Properties": {
                    "EventSourceArn": {"Fn::GetAtt": ["Queue", "Arn"]},
                    "FunctionName": {"Ref": "Function"},
                    "BatchSize": 5,
                    "Enabled": False,
                },
            },
            "Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": name, "RetentionInDays": 7}},
            "Alarm": {
                "Type": "AWS::CloudWatch::Alarm",
                "Properties": {
                    "AlarmName": name,
                    "Namespace": "AWS/SQS",
                    "MetricName": "ApproximateAgeOfOldestMessage",
                    "Statistic": "Maximum",
                    "Period": 60,
                    "EvaluationPeriods": 3,
                    "Threshold": 300,
                    "ComparisonOperator": "GreaterThanThreshold",
                    "TreatMissingData": "notBreaching",
                },
            },
            "Group": {
                "Type": "AWS::EC2::SecurityGroup",
                "Properties": {
                    "GroupDescription": "as written",
                    "SecurityGroupIngress": [
                        {
                            "IpProtocol": "tcp",
                            "FromPort": 443,
                            "ToPort": 443,
                            "CidrIp": "10.0.0.0/8",
                            "Description": "tls",
                        }
                    ],
                },
            },
            "Volume": {
                "Type": "AWS::EC2::Volume",
                "Properties": {"AvailabilityZone": f"{REGION}a", "Size": 2, "VolumeType": "gp3"},
            },
            "Rule": {
                "Type": "AWS::Events::Rule",
                "Properties": {"Name": name, "State": "ENABLED", "EventPattern": {"source": ["lockstep.test"]}},
            },
            "Managed": {
                "Type": "AWS::IAM::ManagedPolicy",
                "Properties": {"ManagedPolicyName": name, "PolicyDocument": _identity("sqs:ReceiveMessage")},
            },
            "Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": name}},
            "BucketPolicy": {
                "Type": "AWS::S3::BucketPolicy",
                "Properties": {
                    "Bucket": {"Ref": "Bucket"},
                    "PolicyDocument": _allow("s3:GetObject", f"arn:aws:s3:::{name}/*"),
                },
            },
            "Table": {
                "Type": "AWS::DynamoDB::Table",
                "Properties": {
                    "TableName": name,
                    "BillingMode": "PAY_PER_REQUEST",
                    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
                    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
                    "Tags": [{"Key": "owner", "Value": "as written"}],
                },
            },
        }

    def setUp(self) -> None:
        super().setUp()
        self.name = unique("drift")
        self.resources = self.template(self.name)
        self.made = self.stack({"Resources": self.resources})
        self.assertEqual(self.made["StackStatus"], "CREATE_COMPLETE", self.made)
        self.api = client("cloudformation", DEVELOPMENT)
        listed = self.api.describe_stack_resources(StackName=self.made["StackName"])["StackResources"]
        self.ids = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in listed}

    def hands(self) -> dict[str, tuple[Callable[[], Any], Callable[[], Any]]]:
        """Logical id -> (what somebody does to it, what it says of itself)."""
        name, ids = self.name, self.ids
        sqs, iam, ec2 = client("sqs", DEVELOPMENT), client("iam", DEVELOPMENT), client("ec2", DEVELOPMENT)
        functions, logs, watch = (client(one, DEVELOPMENT) for one in ("lambda", "logs", "cloudwatch"))
        events, s3, tables = (client(one, DEVELOPMENT) for one in ("events", "s3", "dynamodb"))
        url, group, policy = ids["Queue"], ids["Group"], ids["Managed"]
        arn = tables.describe_table(TableName=name)["Table"]["TableArn"]
        alarm = dict(self.resources["Alarm"]["Properties"])
        opened = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}

        def queue(attribute: str) -> Any:
            return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[attribute])["Attributes"].get(attribute)

        def document() -> Any:
            found = iam.get_policy(PolicyArn=policy)["Policy"]["DefaultVersionId"]
            return iam.get_policy_version(PolicyArn=policy, VersionId=found)["PolicyVersion"]["Document"]

        return {
            "Role": (
                lambda: iam.put_role_policy(RoleName=name, PolicyName="it", PolicyDocument=json.dumps(_identity("*"))),
                lambda: iam.get_role_policy(RoleName=name, PolicyName="it")["PolicyDocument"]["Statement"],
            ),
            "Function": (
                lambda: functions.update_function_configuration(FunctionName=name, Description="by hand"),
                lambda: functions.get_function_configuration(FunctionName=name)["Description"],
            ),
            "Queue": (
                lambda: sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "1"}),
                lambda: queue("VisibilityTimeout"),
            ),
            "QueuePolicy": (
                lambda: sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(_allow("sqs:*"))}),
                lambda: json.loads(queue("Policy"))["Statement"],
            ),
            "Mapping": (
                lambda: functions.update_event_source_mapping(UUID=ids["Mapping"], BatchSize=1),
                lambda: functions.get_event_source_mapping(UUID=ids["Mapping"])["BatchSize"],
            ),
            "Logs": (
                lambda: logs.put_retention_policy(logGroupName=name, retentionInDays=1),
                lambda: logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"][0]["retentionInDays"],
            ),
            "Alarm": (
                lambda: watch.put_metric_alarm(**{**alarm, "Threshold": 1}),
                lambda: watch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["Threshold"],
            ),
            "Group": (
                lambda: ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[opened]),
                lambda: len(ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]),
            ),
            "Volume": (
                lambda: ec2.modify_volume(VolumeId=ids["Volume"], Size=4),
                lambda: ec2.describe_volumes(VolumeIds=[ids["Volume"]])["Volumes"][0]["Size"],
            ),
            "Rule": (lambda: events.disable_rule(Name=name), lambda: events.describe_rule(Name=name)["State"]),
            "Managed": (
                lambda: iam.create_policy_version(
                    PolicyArn=policy, PolicyDocument=json.dumps(_identity("*")), SetAsDefault=True
                ),
                document,
            ),
            "BucketPolicy": (
                lambda: s3.put_bucket_policy(
                    Bucket=name, Policy=json.dumps(_allow("s3:PutObject", f"arn:aws:s3:::{name}/*"))
                ),
                lambda: json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])["Statement"],
            ),
            "Table": (
                lambda: tables.tag_resource(ResourceArn=arn, Tags=[{"Key": "owner", "Value": "by hand"}]),
                lambda: {one["Key"]: one["Value"] for one in tables.list_tags_of_resource(ResourceArn=arn)["Tags"]}[
                    "owner"
                ],
            ),
        }

    def change_set(self, resources: Record | None = None, **more: Any) -> tuple[Record, Record]:
        """A change set of the stack: its description and its changes by logical id."""
        name = unique("revert")
        self.api.create_change_set(
            StackName=self.made["StackName"],
            ChangeSetName=name,
            TemplateBody=json.dumps({"Resources": resources or self.resources}),
            Capabilities=["CAPABILITY_NAMED_IAM"],
            **more,
        )
        found = self.api.describe_change_set(StackName=self.made["StackName"], ChangeSetName=name)
        return found, {one["ResourceChange"]["LogicalResourceId"]: one["ResourceChange"] for one in found["Changes"]}

    def execute(self, change_set: Record, status: str) -> None:
        self.api.execute_change_set(StackName=self.made["StackName"], ChangeSetName=change_set["ChangeSetName"])
        events = self.api.describe_stack_events(StackName=self.made["StackName"])["StackEvents"]
        self.assertEqual(stack_at_rest(self.made["StackName"])["StackStatus"], status, events[:3])

    def test_nothing_drifts_by_itself(self) -> None:
        found, _ = self.change_set(DeploymentMode="REVERT_DRIFT")
        self.assertEqual((found["Status"], found["ExecutionStatus"]), ("FAILED", "UNAVAILABLE"), found["Changes"])
        self.assertIn("didn't contain changes", found["StatusReason"])
        detection = self.api.detect_stack_drift(StackName=self.made["StackName"])["StackDriftDetectionId"]
        looked = eventually(
            lambda: self.api.describe_stack_drift_detection_status(StackDriftDetectionId=detection),
            "drift was looked for",
        )
        self.assertEqual((looked["StackDriftStatus"], looked["DriftedStackResourceCount"]), ("IN_SYNC", 0))

    def test_what_somebody_changed_is_planned_and_reverted(self) -> None:
        hands = self.hands()
        self.assertEqual(set(self.resources) - set(hands), {"Bucket"}, "nobody touches the bucket, but its policy")
        before = {one: look() for one, (_, look) in hands.items()}
        for change, _ in hands.values():
            change()
        drifted = {one: look() for one, (_, look) in hands.items()}
        for one in hands:
            self.assertNotEqual(drifted[one], before[one], one)
        plain, _ = self.change_set()
        self.assertEqual(plain["Status"], "FAILED", "another change set does not see it")
        found, changes = self.change_set(DeploymentMode="REVERT_DRIFT")
        self.assertEqual((found["Status"], found["DeploymentMode"]), ("CREATE_COMPLETE", "REVERT_DRIFT"))
        self.assertEqual(set(changes), set(hands))
        self.assertEqual({one["ResourceDriftStatus"] for one in changes.values()}, {"MODIFIED"})
        self.assertEqual({one["Target"]["Name"] for one in changes["Alarm"]["Details"]}, {"Threshold"})
        self.execute(found, "UPDATE_COMPLETE")
        after = {one: look() for one, (_, look) in hands.items()}
        # A volume does not shrink: EC2 takes the smaller size for none.
        for one in set(hands) - {"Volume"}:
            self.assertEqual(after[one], before[one], one)

    def test_cloud_control_reads_what_the_stack_made(self) -> None:
        models = client("cloudcontrol", DEVELOPMENT)

        def read(kind: str, identifier: str) -> Record:
            found = models.get_resource(TypeName=kind, Identifier=identifier)["ResourceDescription"]
            self.assertEqual(found["Identifier"], identifier)
            model: Record = json.loads(found["Properties"])
            return model

        self.hands()["Queue"][0]()
        self.assertEqual(int(read("AWS::SQS::Queue", self.ids["Queue"])["VisibilityTimeout"]), 1)
        self.assertEqual(read("AWS::Logs::LogGroup", self.ids["Logs"])["RetentionInDays"], 7)
        client("logs", DEVELOPMENT).delete_log_group(logGroupName=self.name)
        with self.assertRaises(models.exceptions.ResourceNotFoundException):
            read("AWS::Logs::LogGroup", self.ids["Logs"])
        with self.assertRaises(models.exceptions.ResourceNotFoundException):
            read("AWS::SQS::Queue", "none")

    def test_a_resource_that_somebody_deleted_is_made_again(self) -> None:
        client("logs", DEVELOPMENT).delete_log_group(logGroupName=self.name)
        found, changes = self.change_set(DeploymentMode="REVERT_DRIFT")
        self.assertEqual((changes["Logs"]["Action"], changes["Logs"]["ResourceDriftStatus"]), ("Add", "DELETED"))
        self.execute(found, "UPDATE_COMPLETE")
        listed = client("logs", DEVELOPMENT).describe_log_groups(logGroupNamePrefix=self.name)["logGroups"]
        self.assertEqual([one["retentionInDays"] for one in listed], [7])

    def test_a_rollback_puts_back_what_was_there_before(self) -> None:
        change, look = self.hands()["Queue"]
        change()
        drifted = look()
        failing = {**self.resources, "Fails": {**_FAILS, "DependsOn": list(self.resources)}}
        found, _ = self.change_set(failing, DeploymentMode="REVERT_DRIFT")
        self.execute(found, "UPDATE_ROLLBACK_COMPLETE")
        self.assertEqual(look(), drifted)

    def test_an_unknown_mode_is_refused(self) -> None:
        with self.assertRaisesRegex(Exception, "deploymentMode|DeploymentMode"):
            self.change_set(DeploymentMode="NONSENSE")
