"""The recording: every request with its parameters as the caller gave them, in order and without a gap.

The emulator is one of our own: the recording is judged after its end.
"""

import contextlib
import json
import os
import tempfile
import unittest
from pathlib import Path
from typing import ClassVar

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from overlay.shapes import Record
from overlay.tests import support
from overlay.tests.support import DEVELOPMENT, REGION, TOOLING, client, control

_folder = tempfile.TemporaryDirectory()
_address, _process = support.start(LOCKSTEP_RECORDING=_folder.name)
os.environ["LOCKSTEP_TEST_ENDPOINT"] = _address

# For each protocol and place on the wire: service, operation, parameters as a caller gives them.
_CALLS: list[tuple[str, str, Record]] = [
    ("dynamodb", "get_item", {"TableName": "none", "Key": {"pk": {"S": "CONFIG"}}, "ConsistentRead": True}),
    (
        "dynamodb",
        "put_item",
        {"TableName": "none", "Item": {"pk": {"N": "1"}, "l": {"L": [{"BOOL": False}, {"NULL": True}]}}},
    ),
    (
        "stepfunctions",
        "list_executions",
        {"stateMachineArn": f"arn:aws:states:{REGION}:{TOOLING}:stateMachine:x", "maxResults": 7},
    ),
    (
        "cloudformation",
        "create_change_set",
        {
            "StackName": "none",
            "ChangeSetName": "one",
            "TemplateBody": '{"Resources": {}}',
            "Parameters": [
                {"ParameterKey": "A", "ParameterValue": "a & b=c"},
                {"ParameterKey": "B", "UsePreviousValue": True},
            ],
            "Tags": [{"Key": "k", "Value": "v w"}],
            "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
        },
    ),
    ("iam", "create_role", {"RoleName": "r", "AssumeRolePolicyDocument": "{}", "Tags": [{"Key": "a", "Value": "b"}]}),
    ("sns", "create_topic", {"Name": "t", "Attributes": {"DisplayName": "d", "KmsMasterKeyId": "k"}}),
    ("cloudwatch", "describe_alarms", {"AlarmNames": ["a", "b"], "MaxRecords": 3}),
    ("elbv2", "describe_load_balancers", {"Names": ["one", "two"]}),
    (
        "ec2",
        "copy_image",
        {
            "Name": "image-copy",
            "SourceImageId": "ami-0123456789abcdef0",
            "SourceRegion": REGION,
            "TagSpecifications": [
                {"ResourceType": "image", "Tags": [{"Key": "lockstep:image", "Value": "x"}]},
                {"ResourceType": "snapshot", "Tags": [{"Key": "k", "Value": "v"}, {"Key": "l", "Value": "w"}]},
            ],
            "Encrypted": False,
        },
    ),
    (
        "ec2",
        "describe_images",
        {"Filters": [{"Name": "state", "Values": ["pending", "available"]}], "Owners": ["self"]},
    ),
    ("ec2", "modify_image_attribute", {"ImageId": "ami-1", "LaunchPermission": {"Add": [{"UserId": DEVELOPMENT}]}}),
    ("lambda", "get_function", {"FunctionName": f"arn:aws:lambda:{REGION}:{TOOLING}:function:f", "Qualifier": "live"}),
    ("lambda", "put_function_concurrency", {"FunctionName": "f", "ReservedConcurrentExecutions": 5}),
    (
        "lambda",
        "add_permission",
        {"FunctionName": "f", "StatementId": "s", "Action": "lambda:InvokeFunction", "Principal": "*"},
    ),
    ("lambda", "list_functions", {"MaxItems": 9}),
    ("s3", "list_objects_v2", {"Bucket": "none", "Prefix": "a/b c+d", "MaxKeys": 5}),
    ("s3", "list_object_versions", {"Bucket": "none", "Prefix": "p"}),
    ("s3", "get_object", {"Bucket": "none", "Key": "releases/a b/ü+c.json", "VersionId": "v"}),
    ("s3", "delete_object", {"Bucket": "none", "Key": "k", "ExpectedBucketOwner": TOOLING}),
    (
        "s3",
        "copy_object",
        {
            "Bucket": "none",
            "Key": "k",
            "CopySource": "other/key",
            "MetadataDirective": "REPLACE",
            "Metadata": {"a": "b"},
        },
    ),
    (
        "s3",
        "delete_objects",
        {"Bucket": "none", "Delete": {"Objects": [{"Key": "a"}, {"Key": "b", "VersionId": "1"}], "Quiet": True}},
    ),
    ("s3", "put_bucket_versioning", {"Bucket": "none", "VersioningConfiguration": {"Status": "Enabled"}}),
    ("s3", "head_bucket", {"Bucket": "none"}),
    (
        "s3",
        "put_bucket_lifecycle_configuration",
        {
            "Bucket": "none",
            "LifecycleConfiguration": {
                "Rules": [{"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "x"}, "Expiration": {"Days": 3}}]
            },
        },
    ),
]


def _recorded() -> list[Record]:
    """End the emulator, and return its lines."""
    assert _process.stdin is not None
    _process.stdin.close()
    _process.wait(30)
    (file,) = Path(_folder.name).iterdir()
    with file.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


class Recording(unittest.TestCase):
    """One story, told once; each test looks at its lines."""

    lines: ClassVar[list[Record]]
    requests: ClassVar[list[Record]]

    @classmethod
    def setUpClass(cls) -> None:
        for service, operation, parameters in _CALLS:
            with contextlib.suppress(ClientError):
                getattr(client(service), operation)(**parameters)
        cls.secret()
        cls.policies()
        cls.struck()
        cls.claimed()
        client("events").put_events(Entries=[{"Source": "test", "DetailType": "t", "Detail": '{"a": 1}'}])
        control(
            "POST",
            "events",
            {"account": TOOLING, "region": REGION, "source": "aws.ec2", "detail_type": "d", "detail": {}},
        )
        with contextlib.suppress(ClientError):
            client("events").put_events(Entries=[{"Source": "aws.ec2", "DetailType": "t", "Detail": "{}"}])
        cls.lines = _recorded()
        cls.requests = [line for line in cls.lines if line["kind"] == "request"]

    @staticmethod
    def secret() -> None:
        client("secretsmanager").create_secret(Name="hidden", SecretString="the password")
        with contextlib.suppress(ClientError):
            client("stepfunctions").send_task_success(taskToken="the task token", output="{}")
        client("iam").create_user(UserName="ada")
        with contextlib.suppress(ClientError):
            client("iam").create_login_profile(UserName="ada", Password="the login")
        client("s3").create_bucket(Bucket="bytes", CreateBucketConfiguration={"LocationConstraint": REGION})
        client("s3").put_object(Bucket="bytes", Key="k", Body=b"content")

    @staticmethod
    def policies() -> None:
        iam, name = client("iam"), "changing"
        trust = {
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": f"arn:aws:iam::{TOOLING}:root"},
                    "Action": ["sts:AssumeRole", "sts:TagSession"],
                }
            ]
        }
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust), Tags=[{"Key": "team", "Value": "a"}])
        allow = {"Statement": [{"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}]}
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(allow))
        key = client("sts").assume_role(
            RoleArn=f"arn:aws:iam::{TOOLING}:role/{name}",
            RoleSessionName="session",
            Tags=[{"Key": "run", "Value": "7"}],
        )["Credentials"]
        arguments = {"key": key["AccessKeyId"], "secret": key["SecretAccessKey"], "token": key["SessionToken"]}
        client("s3", **arguments).list_buckets()
        role = f"arn:aws:iam::{TOOLING}:role/{name}"
        iam.simulate_principal_policy(PolicySourceArn=role, ActionNames=["s3:ListAllMyBuckets", "s3:CreateBucket"])
        iam.delete_role_policy(RoleName=name, PolicyName="p")
        with contextlib.suppress(ClientError):
            client("s3", **arguments).list_buckets()
        iam.delete_role(RoleName=name)

    @staticmethod
    def struck() -> None:
        control("POST", "faults", {"service": "kms", "action": "ListKeys", "effect": {"kind": "throttle"}})
        control("POST", "faults", {"service": "kms", "action": "ListAliases", "effect": {"kind": "reset"}})
        control("POST", "faults", {"service": "kms", "action": "CreateKey", "effect": {"kind": "drop_reply"}})
        for call in (client("kms").list_keys, client("kms").list_aliases, client("kms").create_key):
            with contextlib.suppress(ClientError, HTTPClientError, BotoCoreError):
                call()
        control("DELETE", "faults")

    @staticmethod
    def claimed() -> None:
        import botocore.session
        from botocore.config import Config

        api = botocore.session.get_session().create_client(
            "ssm",
            region_name=REGION,
            endpoint_url=_address,
            aws_access_key_id=TOOLING,
            aws_secret_access_key=support.root_secret(TOOLING),
            config=Config(user_agent_appid="lockstep-operator"),
        )
        api.describe_parameters()

    def only(self, service: str, operation: str) -> Record:
        found = [one for one in self.requests if (one["service"], one["operation"]) == (service, operation)]
        self.assertEqual(len(found), 1, f"{service} {operation}")
        return found[0]

    def test_the_numbers_have_no_gap_from_start_to_end(self) -> None:
        self.assertEqual([line["seq"] for line in self.lines], list(range(1, len(self.lines) + 1)))
        self.assertEqual((self.lines[0]["kind"], self.lines[-1]["kind"]), ("start", "end"))
        self.assertEqual((self.lines[-1]["lines"], self.lines[-1]["in_flight"]), (len(self.lines), 0))
        self.assertEqual([line for line in self.lines if line["kind"] == "unreadable" or line.get("unparsed")], [])

    def test_the_parameters_of_every_protocol_are_those_that_the_caller_gave(self) -> None:
        for service, operation, parameters in _CALLS:
            with self.subTest(service=service, operation=operation):
                name = client(service).meta.method_to_api_mapping[operation]
                found = [
                    one["parameters"] for one in self.requests if (one["service"], one["operation"]) == (service, name)
                ]
                # What the client adds by itself: checksums and tokens.
                trimmed = [{key: value for key, value in one.items() if key in parameters} for one in found]
                self.assertIn(parameters, trimmed)
                added = {key for one in found for key in one} - set(parameters)
                by_client = {
                    "ChecksumAlgorithm",
                    "ChecksumCRC32",
                    "ChecksumMode",
                    "ClientToken",
                    "ContentMD5",
                    "EncodingType",
                }
                self.assertLessEqual(added, by_client)

    def test_secrets_are_hashed_and_content_is_only_measured(self) -> None:
        text = json.dumps(self.lines)
        for secret in ("the password", "the task token", "the login"):
            self.assertNotIn(secret, text)
        created = self.only("secretsmanager", "CreateSecret")["parameters"]
        self.assertEqual((created["Name"], created["SecretString"]["$secret"]["length"]), ("hidden", 12))
        body = self.only("s3", "PutObject")["parameters"]["Body"]
        self.assertIn("$blob", body)

    def test_a_line_names_the_caller_its_session_and_its_tags(self) -> None:
        allowed, refused = [
            one for one in self.requests if one["operation"] == "ListBuckets" and one["caller"]["type"] == "AssumedRole"
        ]
        caller = allowed["caller"]
        self.assertEqual(caller["arn"], f"arn:aws:sts::{TOOLING}:assumed-role/changing/session")
        self.assertEqual((caller["role"], caller["session_name"]), ("changing", "session"))
        self.assertEqual(caller["session_tags"], {"run": "7"})
        self.assertEqual(caller["principal_tags"], {"team": "a", "run": "7"})
        self.assertEqual((allowed["answer"]["status"], allowed["marks"], allowed["region"]), (200, [], REGION))
        self.assertEqual((refused["answer"]["status"], refused["answer"]["error_code"]), (403, "AccessDenied"))

    def test_what_was_in_force_when_a_call_began_can_be_read_off_the_lines(self) -> None:
        allowed, refused = [
            one for one in self.requests if one["operation"] == "ListBuckets" and one["caller"]["type"] == "AssumedRole"
        ]
        states = [
            (line["seq"], line["state"])
            for line in self.lines
            if line["kind"] == "policies" and line["what"] == "role" and line["id"].endswith("role/changing")
        ]

        def at(request: Record) -> Record:
            return [state for seq, state in states if seq <= request["began"]][-1]

        self.assertEqual(list(at(allowed)["inline"]), ["p"])
        self.assertEqual(at(allowed)["trust"]["Statement"][0]["Action"][0], "sts:AssumeRole")
        self.assertEqual(at(refused)["inline"], {})
        self.assertIsNone(states[-1][1])

    def test_what_a_simulation_of_policies_answers_is_there(self) -> None:
        answer = self.only("iam", "SimulatePrincipalPolicy")["answer"]
        found = {one["action"]: (one["resource"], one["decision"]) for one in answer["decisions"]}
        self.assertEqual(found, {"s3:ListAllMyBuckets": ("*", "allowed"), "s3:CreateBucket": ("*", "implicitDeny")})

    def test_a_call_that_a_fault_struck_is_there_with_what_its_caller_saw(self) -> None:
        seen = {name: self.only("kms", name)["answer"] for name in ("ListKeys", "ListAliases", "CreateKey")}
        self.assertEqual((seen["ListKeys"]["status"], seen["ListKeys"]["fault"]), (400, "throttle"))
        self.assertEqual((seen["ListAliases"]["status"], seen["ListAliases"]["fault"]), (0, "reset"))
        self.assertEqual((seen["CreateKey"]["status"], seen["CreateKey"]["fault"]), (0, "drop_reply"))

    def test_root_helpers_and_claims_are_marked(self) -> None:
        self.assertEqual(self.only("ec2", "CopyImage")["marks"], ["root", "helper"])
        claimed = self.only("ssm", "DescribeParameters")
        self.assertEqual((claimed["claims"], claimed["marks"]), ("operator", ["root"]))

    def test_events_say_who_raised_them(self) -> None:
        raised = {
            (one["source"], one["by"]) for one in self.lines if one["kind"] == "event" and one["phase"] == "raised"
        }
        self.assertLessEqual({("test", "caller"), ("aws.ec2", "test")}, raised)


if __name__ == "__main__":
    unittest.main()
