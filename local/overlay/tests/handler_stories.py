"""What ``test_handlers`` does with each resource type: how it is created, changed in place and replaced.

A story looks at the service itself and not at the stack: a handler that says it changed something, and did not, is
found.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from overlay.shapes import Record
from overlay.tests.support import DEVELOPMENT, REGION, client, endpoint, python_function, role

_LAMBDA = {"Service": "lambda.amazonaws.com"}
# A resource that always fails, and only after the one under test was replaced.
_FAILS = {
    **python_function(f"arn:aws:iam::{DEVELOPMENT}:role/none", "", Code={"S3Bucket": "none", "S3Key": "none.zip"}),
    "DependsOn": "Thing",
}


@dataclass
class Story:
    """One resource: three versions of it, and what the service says of it (``None`` once it is gone)."""

    created: dict[str, Any]
    updated: dict[str, Any]
    replaced: dict[str, Any]
    look: Callable[[str], Any]
    before: Any
    after: Any
    around: dict[str, Any] = field(default_factory=dict)

    def template(self, thing: dict[str, Any]) -> dict[str, Any]:
        """Returns a template with one version of the resource. A version under another logical id is given as such."""
        named = thing if "Type" not in thing else {"Thing": thing}
        return {"Resources": {**self.around, **named}}

    def failing(self, thing: dict[str, Any]) -> dict[str, Any]:
        """Returns the same template with a resource that fails after it."""
        template = self.template(thing)
        last = "Thing" if "Thing" in template["Resources"] else "Other"
        template["Resources"]["Fails"] = {**_FAILS, "DependsOn": last}
        return template


def _story(kind: str, created: Record, updated: Record, replaced: Record, **more: Any) -> Story:
    """Returns a story of three sets of properties; the second and the third say only what differs from the first."""

    def version(changed: Record) -> Record:
        return {"Type": kind, "Properties": {**created, **changed}}

    return Story(created=version({}), updated=version(updated), replaced=version(replaced), **more)


def _or_none(call: Callable[..., Any], **arguments: Any) -> Any:
    """Returns the answer of a call, or ``None`` if what it asks for does not exist."""
    try:
        return call(**arguments)
    except ClientError as error:
        if any(word in error.response["Error"]["Code"] for word in ("NotFound", "NoSuch", "DoesNotExist", "404")):
            return None
        raise


def _function(name: str) -> Story:
    def look(physical_id: str) -> Any:
        found = _or_none(client("lambda", DEVELOPMENT).get_function_configuration, FunctionName=physical_id)
        return found and found["Description"]

    return _story(
        "AWS::Lambda::Function",
        python_function({"Fn::GetAtt": ["Role", "Arn"]}, "def handler(e, c): return 1", f"{name}-a")["Properties"]
        | {"Description": "one"},
        {"Description": "two", "Code": {"ZipFile": "def handler(e, c): return 2"}},
        {"FunctionName": f"{name}-b"},
        look=look,
        before="one",
        after="two",
        around={"Role": role(name, _LAMBDA, [])},
    )


def _subscription(name: str) -> Story:
    def look(physical_id: str) -> Any:
        found = _or_none(client("lambda", DEVELOPMENT).get_event_source_mapping, UUID=physical_id)
        return found and found["BatchSize"]

    around = _function(name)
    return _story(
        "AWS::Lambda::EventSourceMapping",
        {"EventSourceArn": {"Fn::GetAtt": ["First", "Arn"]}, "FunctionName": {"Ref": "Function"}, "BatchSize": "1"},
        {"BatchSize": "2"},
        {"EventSourceArn": {"Fn::GetAtt": ["Second", "Arn"]}},
        look=look,
        before=1,
        after=2,
        around={
            **around.around,
            "Function": around.created,
            "First": {"Type": "AWS::SQS::Queue"},
            "Second": {"Type": "AWS::SQS::Queue"},
        },
    )


def _nested(name: str) -> Story:
    """A nested stack is never replaced: another logical id is another nested stack, and the first one goes."""
    s3 = client("s3", DEVELOPMENT)
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})

    def child(says: str) -> Record:
        topic = {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": says}}
        body = {"Resources": {"Topic": topic}, "Outputs": {"Says": {"Value": says}}}
        s3.put_object(Bucket=name, Key=f"{says}.json", Body=json.dumps(body).encode())
        return {
            "Type": "AWS::CloudFormation::Stack",
            "Properties": {"TemplateURL": f"{endpoint()}/{name}/{says}.json"},
        }

    def look(physical_id: str) -> Any:
        (found,) = client("cloudformation", DEVELOPMENT).describe_stacks(StackName=physical_id)["Stacks"]
        gone = found["StackStatus"] == "DELETE_COMPLETE"
        return None if gone else found["Outputs"][0]["OutputValue"]

    return Story(child("one"), child("two"), {"Other": child("three")}, look=look, before="one", after="two")


def _role(name: str) -> Story:
    def look(physical_id: str) -> Any:
        found = _or_none(client("iam", DEVELOPMENT).get_role, RoleName=physical_id)
        return found and found["Role"].get("Description")

    return _story(
        "AWS::IAM::Role",
        role(f"{name}-a", _LAMBDA, [])["Properties"] | {"Description": "one"},
        {"Description": "two"},
        {"RoleName": f"{name}-b"},
        look=look,
        before="one",
        after="two",
    )


def _access_key(name: str) -> Story:
    def look(physical_id: str) -> Any:
        listed = _or_none(client("iam", DEVELOPMENT).list_access_keys, UserName=name)
        found = [
            one["Status"] for one in (listed or {}).get("AccessKeyMetadata", []) if one["AccessKeyId"] == physical_id
        ]
        return found[0] if found else None

    return _story(
        "AWS::IAM::AccessKey",
        {"UserName": {"Ref": "User"}},
        {"Status": "Inactive"},
        {"Serial": 2},
        look=look,
        before="Active",
        after="Inactive",
        around={"User": {"Type": "AWS::IAM::User", "Properties": {"UserName": name}}},
    )


def _policy_of(owner: str) -> Callable[[str], Story]:
    """Returns the story of an inline policy of a role or a user."""

    def document(action: str) -> Record:
        return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]}

    def story(name: str) -> Story:
        iam = client("iam", DEVELOPMENT)
        get = iam.get_role_policy if owner == "Role" else iam.get_user_policy

        def look(physical_id: str) -> Any:
            policy, of = physical_id.split("|")
            found = _or_none(get, **{"PolicyName": policy, f"{owner}Name": of})
            return found and found["PolicyDocument"]["Statement"][0]["Action"]

        owners = {
            "Role": role(name, _LAMBDA, []),
            "User": {"Type": "AWS::IAM::User", "Properties": {"UserName": name}},
        }
        return _story(
            f"AWS::IAM::{owner}Policy",
            {f"{owner}Name": {"Ref": "Owner"}, "PolicyName": "first", "PolicyDocument": document("sqs:SendMessage")},
            {"PolicyDocument": document("sqs:DeleteMessage")},
            {"PolicyName": "second"},
            look=look,
            before="sqs:SendMessage",
            after="sqs:DeleteMessage",
            around={"Owner": owners[owner]},
        )

    return story


def _bus_policy(name: str) -> Story:
    def look(physical_id: str) -> Any:
        bus, statement = physical_id.split("|")
        found = _or_none(client("events", DEVELOPMENT).describe_event_bus, Name=bus)
        statements = json.loads((found or {}).get("Policy") or '{"Statement": []}')["Statement"]
        actions = [one["Action"] for one in statements if one["Sid"] == statement]
        return actions[0] if actions else None

    return _story(
        "AWS::Events::EventBusPolicy",
        {"EventBusName": {"Ref": "Bus"}, "StatementId": "first", "Principal": "*", "Action": "events:PutEvents"},
        {"Action": "events:PutRule"},
        {"StatementId": "second"},
        look=look,
        before="events:PutEvents",
        after="events:PutRule",
        around={"Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": name}}},
    )


def _volume(name: str) -> Story:
    def look(physical_id: str) -> Any:
        found = _or_none(client("ec2", DEVELOPMENT).describe_volumes, VolumeIds=[physical_id])
        return found["Volumes"][0]["Size"] if found and found["Volumes"] else None

    return _story(
        "AWS::EC2::Volume",
        {"AvailabilityZone": f"{REGION}a", "Size": 1, "Tags": [{"Key": "Name", "Value": name}]},
        {"Size": 2},
        {"AvailabilityZone": f"{REGION}b"},
        look=look,
        before=1,
        after=2,
    )


def _table(name: str) -> Story:
    def look(physical_id: str) -> Any:
        found = _or_none(client("dynamodb", DEVELOPMENT).describe_table, TableName=physical_id)
        return found and found["Table"].get("StreamSpecification", {}).get("StreamViewType", "none")

    return _story(
        "AWS::DynamoDB::Table",
        {
            "TableName": f"{name}-a",
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        },
        {"StreamSpecification": {"StreamViewType": "KEYS_ONLY"}},
        {"TableName": f"{name}-b"},
        look=look,
        before="none",
        after="KEYS_ONLY",
    )


def _log_group(name: str) -> Story:
    def look(physical_id: str) -> Any:
        listed = client("logs", DEVELOPMENT).describe_log_groups(logGroupNamePrefix=physical_id)["logGroups"]
        found = [one["retentionInDays"] for one in listed if one["logGroupName"] == physical_id]
        return found[0] if found else None

    created = {"LogGroupName": f"{name}-a", "RetentionInDays": 1}
    replaced = {"LogGroupName": f"{name}-b"}
    return _story("AWS::Logs::LogGroup", created, {"RetentionInDays": 3}, replaced, look=look, before=1, after=3)


def _machine(name: str) -> Story:
    def definition(comment: str) -> str:
        return json.dumps({"Comment": comment, "StartAt": "End", "States": {"End": {"Type": "Succeed"}}})

    def look(physical_id: str) -> Any:
        found = _or_none(client("stepfunctions", DEVELOPMENT).describe_state_machine, stateMachineArn=physical_id)
        return found and json.loads(found["definition"])["Comment"]

    return _story(
        "AWS::StepFunctions::StateMachine",
        {
            "StateMachineName": f"{name}-a",
            "DefinitionString": definition("one"),
            "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
        },
        {"DefinitionString": definition("two")},
        {"StateMachineName": f"{name}-b"},
        look=look,
        before="one",
        after="two",
        around={"Role": role(name, {"Service": "states.amazonaws.com"}, [])},
    )


def _bucket(name: str) -> Story:
    def look(physical_id: str) -> Any:
        found = _or_none(client("s3", DEVELOPMENT).get_public_access_block, Bucket=physical_id)
        return found and found["PublicAccessBlockConfiguration"]["BlockPublicAcls"]

    return _story(
        "AWS::S3::Bucket",
        {"BucketName": f"{name}-a", "PublicAccessBlockConfiguration": {"BlockPublicAcls": False}},
        {"PublicAccessBlockConfiguration": {"BlockPublicAcls": True}},
        {"BucketName": f"{name}-b"},
        look=look,
        before=False,
        after=True,
    )


STORIES: dict[str, Callable[[str], Story]] = {
    "AWS::CloudFormation::Stack": _nested,
    "AWS::DynamoDB::Table": _table,
    "AWS::EC2::Volume": _volume,
    "AWS::Events::EventBusPolicy": _bus_policy,
    "AWS::IAM::AccessKey": _access_key,
    "AWS::IAM::Role": _role,
    "AWS::IAM::RolePolicy": _policy_of("Role"),
    "AWS::IAM::UserPolicy": _policy_of("User"),
    "AWS::Lambda::EventSourceMapping": _subscription,
    "AWS::Lambda::Function": _function,
    "AWS::Logs::LogGroup": _log_group,
    "AWS::S3::Bucket": _bucket,
    "AWS::StepFunctions::StateMachine": _machine,
}
