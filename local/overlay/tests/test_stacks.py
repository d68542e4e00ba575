"""CloudFormation: stack events, tokens, templates, failures, change sets, IAM resources."""

import json
from collections.abc import Callable

from overlay.shapes import Record
from overlay.tests.support import (
    DEVELOPMENT,
    PRODUCTION,
    REGION,
    CloudTest,
    client,
    endpoint,
    eventually,
    python_function,
    role,
    stack_at_rest,
    unique,
)

_TOPIC = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}
_TWO_TOPICS = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}, "Second": {"Type": "AWS::SNS::Topic"}}}
_WAIT = {
    "Handle": {"Type": "AWS::CloudFormation::WaitConditionHandle"},
    "Never": {
        "Type": "AWS::CloudFormation::WaitCondition",
        "Properties": {"Handle": {"Ref": "Handle"}, "Timeout": "1"},
    },
}
_PATTERN = {"source": ["aws.cloudformation"], "detail-type": ["CloudFormation Stack Status Change"]}


class StackEvents(CloudTest):
    """The events a stack raises on the default bus of its account."""

    def statuses(self, caught: Callable[[], list[Record]], stack_id: str) -> list[tuple[str, str]]:
        """(status, token) of the events about one stack, in the order they came."""
        return [
            (event["detail"]["status-details"]["status"], event["detail"]["client-request-token"])
            for event in caught()
            if event["detail"]["stack-id"] == stack_id
        ]

    def ends_with(self, caught: Callable[[], list[Record]], stack_id: str, status: str) -> list[tuple[str, str]]:
        eventually(
            lambda: any(found == status for found, _ in self.statuses(caught, stack_id)), f"the event {status} came"
        )
        return self.statuses(caught, stack_id)

    def test_create_update_and_delete_raise_events_with_the_operations_own_token(self) -> None:
        caught = self.queue_of_events(_PATTERN)
        api = client("cloudformation", DEVELOPMENT)
        stack = self.stack(_TOPIC, ClientRequestToken="create-1")
        name, stack_id = stack["StackName"], stack["StackId"]
        self.assertEqual(
            self.ends_with(caught, stack_id, "CREATE_COMPLETE"),
            [("CREATE_IN_PROGRESS", "create-1"), ("CREATE_COMPLETE", "create-1")],
        )
        api.update_stack(StackName=name, TemplateBody=json.dumps(_TWO_TOPICS), ClientRequestToken="update-1")
        self.assertEqual(
            self.ends_with(caught, stack_id, "UPDATE_COMPLETE")[2:],
            [
                ("UPDATE_IN_PROGRESS", "update-1"),
                ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "update-1"),
                ("UPDATE_COMPLETE", "update-1"),
            ],
        )
        api.delete_stack(StackName=name, ClientRequestToken="delete-1")
        self.assertEqual(
            self.ends_with(caught, stack_id, "DELETE_COMPLETE")[5:],
            [("DELETE_IN_PROGRESS", "delete-1"), ("DELETE_COMPLETE", "delete-1")],
        )

    def test_an_event_has_the_shape_aws_documents(self) -> None:
        caught = self.queue_of_events(_PATTERN, PRODUCTION)
        stack = self.stack(_TOPIC, PRODUCTION)
        self.addCleanup(self.delete_stack, stack["StackName"], PRODUCTION)
        self.ends_with(caught, stack["StackId"], "CREATE_COMPLETE")
        event = next(one for one in caught() if one["detail"]["stack-id"] == stack["StackId"])
        self.assertEqual(
            set(event), {"version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"}
        )
        self.assertEqual((event["account"], event["region"]), (PRODUCTION, REGION))
        self.assertEqual(event["resources"], [stack["StackId"]])
        self.assertEqual(set(event["detail"]), {"stack-id", "status-details", "client-request-token"})
        self.assertEqual(set(event["detail"]["status-details"]), {"status", "status-reason"})
        self.assertEqual(event["detail"]["client-request-token"], "")

    def test_a_failed_creation_rolls_back_with_its_token_and_names_its_reason(self) -> None:
        caught = self.queue_of_events(_PATTERN)
        stack = self.stack({"Resources": {**_TOPIC["Resources"], **_WAIT}}, ClientRequestToken="fails-1")
        self.assertEqual(stack["StackStatus"], "ROLLBACK_COMPLETE")
        found = self.ends_with(caught, stack["StackId"], "ROLLBACK_COMPLETE")
        self.assertEqual(
            [status for status, _ in found], ["CREATE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS", "ROLLBACK_COMPLETE"]
        )
        self.assertEqual({token for _, token in found}, {"fails-1"})
        api = client("cloudformation", DEVELOPMENT)
        recorded = api.describe_stack_events(StackName=stack["StackName"])["StackEvents"]
        failed = [one for one in recorded if one["ResourceStatus"] == "CREATE_FAILED"]
        self.assertEqual([one["LogicalResourceId"] for one in failed], ["Never"])
        self.assertIn("WaitCondition timed out", failed[0]["ResourceStatusReason"])
        self.assertEqual(failed[0]["ClientRequestToken"], "fails-1")
        rollback = next(one for one in recorded if one["ResourceStatus"] == "ROLLBACK_IN_PROGRESS")
        self.assertIn("[Never]", rollback["ResourceStatusReason"])

    def test_a_failed_update_rolls_back_with_its_token(self) -> None:
        caught = self.queue_of_events(_PATTERN)
        stack = self.stack(_TOPIC)
        broken = {"Resources": {**_TOPIC["Resources"], **_WAIT}}
        client("cloudformation", DEVELOPMENT).update_stack(
            StackName=stack["StackName"], TemplateBody=json.dumps(broken), ClientRequestToken="update-2"
        )
        found = self.ends_with(caught, stack["StackId"], "UPDATE_ROLLBACK_COMPLETE")[2:]
        self.assertEqual(
            [status for status, _ in found],
            [
                "UPDATE_IN_PROGRESS",
                "UPDATE_ROLLBACK_IN_PROGRESS",
                "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
                "UPDATE_ROLLBACK_COMPLETE",
            ],
        )
        self.assertEqual({token for _, token in found}, {"update-2"})


class Failures(CloudTest):
    """Ways to make a stack fail, and what is left afterwards."""

    def test_a_name_that_is_taken_fails_the_resource(self) -> None:
        name = unique("taken")
        self.stack({"Resources": {"R": role(name, {"Service": "lambda.amazonaws.com"}, [])}})
        second = self.stack({"Resources": {"R": role(name, {"Service": "lambda.amazonaws.com"}, [])}})
        self.assertEqual(second["StackStatus"], "ROLLBACK_COMPLETE", second)

    def test_a_stack_that_rolled_back_can_only_be_deleted(self) -> None:
        stack = self.stack({"Resources": _WAIT})
        name, api = stack["StackName"], client("cloudformation", DEVELOPMENT)
        body = json.dumps(_TOPIC)
        self.refused("AlreadyExistsException", api.create_stack, StackName=name, TemplateBody=body)
        for kind, words in (("CREATE", "already exists"), ("UPDATE", "ROLLBACK_COMPLETE state and can not be updated")):
            message = self.refused(
                "ValidationError",
                api.create_change_set,
                StackName=name,
                ChangeSetName="one",
                ChangeSetType=kind,
                TemplateBody=body,
            )
            self.assertIn(words, message)
        self.refused("ValidationError", api.update_stack, StackName=name, TemplateBody=body)
        api.delete_stack(StackName=name)
        eventually(lambda: not _exists(name), "the stack is gone")
        self.assertEqual(self.stack(_TOPIC, name=name)["StackStatus"], "CREATE_COMPLETE")

    def test_a_function_whose_code_is_missing_fails_its_stack(self) -> None:
        bucket = unique("code")
        client("s3", DEVELOPMENT).create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        name = unique("nocode")
        function = python_function({"Fn::GetAtt": ["R", "Arn"]}, "")
        function["Properties"]["Code"] = {"S3Bucket": bucket, "S3Key": "missing.zip"}
        stack = self.stack({"Resources": {"R": role(name, {"Service": "lambda.amazonaws.com"}, []), "F": function}})
        self.assertEqual(stack["StackStatus"], "ROLLBACK_COMPLETE", stack)

    def test_a_stack_that_cannot_be_deleted_says_which_resource_is_to_blame(self) -> None:
        name = unique("blocked")
        stack = self.stack({"Resources": {"R": role(name, {"Service": "lambda.amazonaws.com"}, [])}})
        iam = client("iam", DEVELOPMENT)
        # A role with a policy that the stack does not know cannot be deleted.
        iam.put_role_policy(
            RoleName=name,
            PolicyName="foreign",
            PolicyDocument=json.dumps(
                {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
            ),
        )
        api = client("cloudformation", DEVELOPMENT)
        api.delete_stack(StackName=stack["StackName"])
        found = stack_at_rest(stack["StackId"])
        self.assertEqual(found["StackStatus"], "DELETE_FAILED", found)
        self.assertIn("[R]", found["StackStatusReason"])
        iam.delete_role_policy(RoleName=name, PolicyName="foreign")


def _exists(name: str, account: str = DEVELOPMENT) -> bool:
    api = client("cloudformation", account)
    try:
        return api.describe_stacks(StackName=name)["Stacks"]
    except api.exceptions.ClientError:
        return False


class Templates(CloudTest):
    """Where templates come from; nested stacks."""

    def bucket(self, account: str = DEVELOPMENT) -> str:
        """A versioned bucket of the account."""
        s3, name = client("s3", account), unique("artifacts")
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def put(self, bucket: str, key: str, template: Record, account: str = DEVELOPMENT) -> None:
        client("s3", account).put_object(Bucket=bucket, Key=key, Body=json.dumps(template).encode())

    def test_a_versioned_bucket_keeps_every_version_of_a_key(self) -> None:
        bucket, s3 = self.bucket(), client("s3", DEVELOPMENT)
        first = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["VersionId"]
        second = s3.put_object(Bucket=bucket, Key="k", Body=b"2")["VersionId"]
        self.assertNotEqual(first, second)
        self.assertEqual(s3.get_object(Bucket=bucket, Key="k", VersionId=first)["Body"].read(), b"1")
        self.assertEqual(s3.get_object(Bucket=bucket, Key="k")["Body"].read(), b"2")

    def test_a_stack_makes_a_versioned_bucket_and_cannot_delete_it_while_it_holds_anything(self) -> None:
        name, s3 = unique("versioned"), client("s3", DEVELOPMENT)
        properties = {"BucketName": name, "VersioningConfiguration": {"Status": "Enabled"}}
        stack = self.stack({"Resources": {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": properties}}})
        self.assertEqual(s3.get_bucket_versioning(Bucket=name)["Status"], "Enabled")
        version = s3.put_object(Bucket=name, Key="k", Body=b"1")["VersionId"]
        s3.delete_object(Bucket=name, Key="k")
        self.delete_stack(stack["StackName"])
        failed = stack_at_rest(stack["StackId"])
        self.assertEqual(failed["StackStatus"], "DELETE_FAILED", failed)
        for listed in ("Versions", "DeleteMarkers"):
            for one in s3.list_object_versions(Bucket=name).get(listed, []):
                s3.delete_object(Bucket=name, Key="k", VersionId=one["VersionId"])
        self.assertNotEqual(version, "null")
        self.delete_stack(stack["StackName"])
        self.assertEqual(stack_at_rest(stack["StackId"])["StackStatus"], "DELETE_COMPLETE")

    def test_a_template_url_may_be_the_endpoint_or_any_amazonaws_form(self) -> None:
        bucket, api = self.bucket(), client("cloudformation", DEVELOPMENT)
        self.put(bucket, "a folder/t+1.json", _TOPIC)
        urls = (
            f"{endpoint()}/{bucket}/a%20folder/t%2B1.json",
            f"https://{bucket}.s3.{REGION}.amazonaws.com/a%20folder/t%2B1.json",
            f"https://{bucket}.s3.amazonaws.com/a%20folder/t%2B1.json",
            f"https://s3.{REGION}.amazonaws.com/{bucket}/a%20folder/t%2B1.json",
        )
        for url in urls:
            with self.subTest(url=url):
                name = unique("url")
                api.create_stack(StackName=name, TemplateURL=url)
                self.assertEqual(stack_at_rest(name)["StackStatus"], "CREATE_COMPLETE")
                self.delete_stack(name)

    def test_a_change_set_may_take_its_template_from_the_endpoint(self) -> None:
        bucket, api, name = self.bucket(), client("cloudformation", DEVELOPMENT), unique("cs")
        self.put(bucket, "t.json", _TOPIC)
        api.create_change_set(
            StackName=name, ChangeSetName="one", ChangeSetType="CREATE", TemplateURL=f"{endpoint()}/{bucket}/t.json"
        )
        self.assertEqual(api.describe_change_set(StackName=name, ChangeSetName="one")["Status"], "CREATE_COMPLETE")
        self.delete_stack(name)

    def test_a_template_of_another_account_is_not_found(self) -> None:
        bucket = self.bucket(PRODUCTION)
        self.put(bucket, "t.json", _TOPIC, PRODUCTION)
        api = client("cloudformation", DEVELOPMENT)
        url = f"{endpoint()}/{bucket}/t.json"
        self.refused("ValidationError", api.create_stack, StackName=unique("no"), TemplateURL=url)

    def nested(self, template: Record) -> Record:
        """A template with one nested stack of the given one."""
        bucket = self.bucket()
        self.put(bucket, "child.json", template)
        child = {
            "Type": "AWS::CloudFormation::Stack",
            "Properties": {"TemplateURL": f"{endpoint()}/{bucket}/child.json"},
        }
        return {"Resources": {"Child": child}}

    def child_id(self, stack: Record) -> str:
        api = client("cloudformation", DEVELOPMENT)
        resource = api.describe_stack_resource(StackName=stack["StackName"], LogicalResourceId="Child")
        return resource["StackResourceDetail"]["PhysicalResourceId"]

    def test_a_nested_stack_is_created_updated_and_deleted_with_events_of_its_own(self) -> None:
        caught = self.queue_of_events(_PATTERN)
        stack = self.stack(self.nested(_TOPIC), ClientRequestToken="nested-1")
        self.assertEqual(stack["StackStatus"], "CREATE_COMPLETE", stack)
        child, api = self.child_id(stack), client("cloudformation", DEVELOPMENT)
        described = api.describe_stacks(StackName=child)["Stacks"][0]
        self.assertEqual(described["StackStatus"], "CREATE_COMPLETE")
        self.delete_stack(stack["StackName"])

        def statuses() -> list[str]:
            return [
                event["detail"]["status-details"]["status"]
                for event in caught()
                if event["detail"]["stack-id"] == child
            ]

        eventually(lambda: "DELETE_COMPLETE" in statuses(), "the nested stack said it is gone")
        self.assertEqual(statuses(), ["CREATE_IN_PROGRESS", "CREATE_COMPLETE", "DELETE_IN_PROGRESS", "DELETE_COMPLETE"])

    def test_a_nested_stack_that_fails_says_why_and_leaves_nothing(self) -> None:
        stack = self.stack(self.nested({"Resources": {**_TOPIC["Resources"], **_WAIT}}))
        self.assertEqual(stack["StackStatus"], "ROLLBACK_COMPLETE")
        api = client("cloudformation", DEVELOPMENT)
        recorded = api.describe_stack_events(StackName=stack["StackName"])["StackEvents"]
        failed = next(one for one in recorded if one["ResourceStatus"] == "CREATE_FAILED")
        self.assertEqual(failed["LogicalResourceId"], "Child")
        self.assertIn(
            "was not successfully created: The following resource(s) failed to create: [Never]",
            failed["ResourceStatusReason"],
        )
        child = failed["ResourceStatusReason"].split()[2]
        inner = api.describe_stack_events(StackName=child)["StackEvents"]
        self.assertIn(("Never", "CREATE_FAILED"), [(e["LogicalResourceId"], e["ResourceStatus"]) for e in inner])
        self.assertEqual(api.describe_stacks(StackName=child)["Stacks"][0]["StackStatus"], "DELETE_COMPLETE")


class ChangeSets(CloudTest):
    """Change sets with tokens, roles and lists."""

    def test_a_change_set_creates_a_stack_with_the_executions_token_and_role(self) -> None:
        caught = self.queue_of_events(_PATTERN)
        api, name, role_name = client("cloudformation", DEVELOPMENT), unique("cs"), unique("exec")
        self.stack({"Resources": {"R": role(role_name, {"Service": "cloudformation.amazonaws.com"}, [])}})
        arn = f"arn:aws:iam::{DEVELOPMENT}:role/{role_name}"
        made = api.create_change_set(
            StackName=name,
            ChangeSetName="one",
            ChangeSetType="CREATE",
            TemplateBody=json.dumps(_TOPIC),
            ClientToken="plan-1",
            RoleARN=arn,
            Tags=[{"Key": "environment", "Value": "ci"}],
        )
        self.addCleanup(self.delete_stack, name)
        self.assertEqual(api.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"], "REVIEW_IN_PROGRESS")
        listed = api.list_change_sets(StackName=name)["Summaries"]
        self.assertEqual([one["ChangeSetName"] for one in listed], ["one"])
        self.assertEqual(listed[0]["ExecutionStatus"], "AVAILABLE")
        by_arn = api.describe_change_set(StackName=made["StackId"], ChangeSetName="one")
        self.assertEqual(by_arn["Tags"], [{"Key": "environment", "Value": "ci"}])
        api.execute_change_set(StackName=name, ChangeSetName="one", ClientRequestToken="execute-1")
        self.assertEqual(stack_at_rest(name)["StackStatus"], "CREATE_COMPLETE")
        eventually(
            lambda: [
                event
                for event in caught()
                if event["detail"]["stack-id"] == made["StackId"]
                and event["detail"]["client-request-token"] == "execute-1"
                and event["detail"]["status-details"]["status"] == "CREATE_COMPLETE"
            ],
            "the end of the execution carries its token",
        )

    def test_a_change_set_that_changes_nothing_fails_in_aws_words(self) -> None:
        stack, api = self.stack(_TOPIC), client("cloudformation", DEVELOPMENT)
        name = stack["StackName"]
        api.create_change_set(StackName=name, ChangeSetName="same", TemplateBody=json.dumps(_TOPIC))
        found = api.describe_change_set(StackName=name, ChangeSetName="same")
        self.assertEqual((found["Status"], found["ExecutionStatus"]), ("FAILED", "UNAVAILABLE"))
        self.assertIn("didn't contain changes", found["StatusReason"])

    def test_a_replacement_shows_in_the_change_set(self) -> None:
        def template(name: str) -> Record:
            return {"Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": name}}}}

        stack, api = self.stack(template(unique("a"))), client("cloudformation", DEVELOPMENT)
        name = stack["StackName"]
        api.create_change_set(StackName=name, ChangeSetName="r", TemplateBody=json.dumps(template(unique("b"))))
        change = api.describe_change_set(StackName=name, ChangeSetName="r")["Changes"][0]["ResourceChange"]
        self.assertEqual((change["Action"], change["Replacement"]), ("Modify", "True"))

    def test_a_change_set_holds_no_resource_whose_condition_is_false(self) -> None:
        taken = {"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain", "Properties": {"BucketName": unique("taken")}}
        owner, api = self.stack({"Resources": {"Taken": taken}}), client("cloudformation", DEVELOPMENT)
        self.addCleanup(self.delete_stack, owner["StackName"], DEVELOPMENT)
        resources = {**_TWO_TOPICS["Resources"], "Taken": {**taken, "Condition": "Never"}}
        wanted = {"Conditions": {"Never": {"Fn::Equals": ["a", "b"]}}, "Resources": resources}
        name = self.stack(_TOPIC)["StackName"]
        api.create_change_set(
            StackName=name, ChangeSetName="c", TemplateBody=json.dumps(wanted), ImportExistingResources=True
        )
        found = api.describe_change_set(StackName=name, ChangeSetName="c")
        self.assertEqual(found["Status"], "CREATE_COMPLETE", found.get("StatusReason"))
        changes = [change["ResourceChange"] for change in found["Changes"]]
        self.assertEqual([(change["Action"], change["LogicalResourceId"]) for change in changes], [("Add", "Second")])

    def test_the_time_of_the_last_update_is_absent_until_the_first_update(self) -> None:
        stack = self.stack(_TOPIC)
        self.assertNotIn("LastUpdatedTime", stack)
        api = client("cloudformation", DEVELOPMENT)
        api.update_stack(StackName=stack["StackName"], TemplateBody=json.dumps(_TWO_TOPICS))
        found = stack_at_rest(stack["StackName"])
        self.assertGreaterEqual(found["LastUpdatedTime"], found["CreationTime"])


class Identities(CloudTest):
    """IAM through CloudFormation, enforced."""

    def test_an_operator_user_gets_a_key_that_may_do_what_its_policies_say(self) -> None:
        name = unique("operator")
        stack = self.stack(
            {
                "Resources": {
                    "User": {"Type": "AWS::IAM::User", "Properties": {"UserName": name}},
                    "Key": {"Type": "AWS::IAM::AccessKey", "Properties": {"UserName": {"Ref": "User"}}},
                    "Policy": {
                        "Type": "AWS::IAM::UserPolicy",
                        "Properties": {
                            "UserName": {"Ref": "User"},
                            "PolicyName": "read",
                            "PolicyDocument": {
                                "Version": "2012-10-17",
                                "Statement": [
                                    {"Effect": "Allow", "Action": "cloudformation:DescribeStacks", "Resource": "*"}
                                ],
                            },
                        },
                    },
                },
                "Outputs": {
                    "Id": {"Value": {"Ref": "Key"}},
                    "Secret": {"Value": {"Fn::GetAtt": ["Key", "SecretAccessKey"]}},
                },
            }
        )
        self.assertEqual(stack["StackStatus"], "CREATE_COMPLETE", stack)
        outputs = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
        mine = {"key": outputs["Id"], "secret": outputs["Secret"]}
        identity = client("sts", DEVELOPMENT, **mine).get_caller_identity()
        self.assertEqual(identity["Arn"], f"arn:aws:iam::{DEVELOPMENT}:user/{name}")
        client("cloudformation", DEVELOPMENT, **mine).describe_stacks()
        with self.assertRaisesRegex(Exception, "not authorized"):
            client("ec2", DEVELOPMENT, **mine).describe_images()
        with self.assertRaisesRegex(Exception, "Signature"):
            client("sts", DEVELOPMENT, key=outputs["Id"], secret="wrong").get_caller_identity()

    def test_role_policies_and_managed_policies_with_roles_are_enforced(self) -> None:
        name = unique("assumed")
        document = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "ec2:DescribeImages", "Resource": "*"}],
        }
        second = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "sqs:ListQueues", "Resource": "*"}],
        }
        stack = self.stack(
            {
                "Resources": {
                    "R": role(name, {"AWS": f"arn:aws:iam::{PRODUCTION}:root"}, []),
                    "Inline": {
                        "Type": "AWS::IAM::RolePolicy",
                        "Properties": {"RoleName": {"Ref": "R"}, "PolicyName": "inline", "PolicyDocument": document},
                    },
                    "Managed": {
                        "Type": "AWS::IAM::ManagedPolicy",
                        "Properties": {"PolicyDocument": second, "Roles": [{"Ref": "R"}]},
                    },
                }
            }
        )
        self.assertEqual(stack["StackStatus"], "CREATE_COMPLETE", stack)
        assumed = client("sts", PRODUCTION).assume_role(
            RoleArn=f"arn:aws:iam::{DEVELOPMENT}:role/{name}", RoleSessionName="test"
        )["Credentials"]
        mine = {
            "key": assumed["AccessKeyId"],
            "secret": assumed["SecretAccessKey"],
            "token": assumed["SessionToken"],
        }
        client("ec2", DEVELOPMENT, **mine).describe_images()
        client("sqs", DEVELOPMENT, **mine).list_queues()
        with self.assertRaisesRegex(Exception, "not authorized"):
            client("sqs", DEVELOPMENT, **mine).create_queue(QueueName=unique("no"))
        with self.assertRaisesRegex(Exception, "not authorized"):
            client("sts", DEVELOPMENT, **mine).assume_role(
                RoleArn=f"arn:aws:iam::{PRODUCTION}:role/{name}", RoleSessionName="test"
            )
