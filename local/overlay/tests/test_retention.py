"""What a retained resource does when its stack fails, and how a later stack takes it in again.

Both are ministack's own. ``install`` relies on them, so they are held here.
"""

import json
from typing import Any

from overlay.shapes import Record
from overlay.tests.support import DEVELOPMENT, CloudTest, client, python_function, stack_at_rest, unique

_NOTHING = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}
_FAILS = python_function(f"arn:aws:iam::{DEVELOPMENT}:role/none", "", Code={"S3Bucket": "none", "S3Key": "none.zip"})


def _table(name: str | Record, policy: str = "Retain") -> Record:
    return {
        "Type": "AWS::DynamoDB::Table",
        "DeletionPolicy": policy,
        "UpdateReplacePolicy": "Retain",
        "Properties": {
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        },
    }


def _template(table: Record, fails: bool = False) -> Record:
    more = {"Fails": {**_FAILS, "DependsOn": "Table"}} if fails else {}
    return {"Resources": {"Table": table, **more}}


class RetainExceptOnCreate(CloudTest):
    """A retained resource of an operation that fails goes, if the operation says so; otherwise it stays in the way."""

    def setUp(self) -> None:
        super().setUp()
        self.api, self.name = client("cloudformation", DEVELOPMENT), unique("retained")

    def exists(self) -> bool:
        return self.name in client("dynamodb", DEVELOPMENT).list_tables()["TableNames"]

    def test_without_it_a_failed_creation_leaves_a_table_that_fails_the_next_one(self) -> None:
        failing = _template(_table(self.name), fails=True)
        self.assertEqual(self.stack(failing)["StackStatus"], "ROLLBACK_COMPLETE")
        self.assertTrue(self.exists())
        again = self.stack(_template(_table(self.name)))
        self.assertEqual(again["StackStatus"], "ROLLBACK_COMPLETE")
        events = self.api.describe_stack_events(StackName=again["StackName"])["StackEvents"]
        self.assertTrue(any("already exists" in one.get("ResourceStatusReason", "") for one in events))

    def test_create_stack_takes_it(self) -> None:
        stack = self.stack(_template(_table(self.name), fails=True), RetainExceptOnCreate=True)
        self.assertEqual(stack["StackStatus"], "ROLLBACK_COMPLETE")
        self.assertFalse(self.exists())

    def test_update_stack_takes_it(self) -> None:
        name = self.stack(_NOTHING)["StackName"]
        body = json.dumps(_template(_table(self.name), fails=True))
        self.api.update_stack(StackName=name, TemplateBody=body, RetainExceptOnCreate=True)
        self.assertEqual(stack_at_rest(name)["StackStatus"], "UPDATE_ROLLBACK_COMPLETE")
        self.assertFalse(self.exists())

    def test_execute_change_set_takes_it(self) -> None:
        name = unique("stack")
        body = json.dumps(_template(_table(self.name), fails=True))
        self.api.create_change_set(StackName=name, ChangeSetName="one", ChangeSetType="CREATE", TemplateBody=body)
        self.addCleanup(self.delete_stack, name)
        self.api.execute_change_set(StackName=name, ChangeSetName="one", RetainExceptOnCreate=True)
        self.assertEqual(stack_at_rest(name)["StackStatus"], "ROLLBACK_COMPLETE")
        self.assertFalse(self.exists())

    def test_what_an_operation_did_not_create_stays_all_the_same(self) -> None:
        name = self.stack(_template(_table(self.name)))["StackName"]
        body = json.dumps(_template(_table(self.name), fails=True))
        self.api.update_stack(StackName=name, TemplateBody=body, RetainExceptOnCreate=True)
        self.assertEqual(stack_at_rest(name)["StackStatus"], "UPDATE_ROLLBACK_COMPLETE")
        self.assertTrue(self.exists())


class ImportExistingResources(CloudTest):
    """A change set that takes in what an earlier stack left, with what it holds."""

    def setUp(self) -> None:
        super().setUp()
        self.api, self.name = client("cloudformation", DEVELOPMENT), unique("kept")

    def left_behind(self) -> Record:
        """A table and a bucket that a deleted stack retained; the table holds an item."""
        bucket = {"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain", "Properties": {"BucketName": self.name}}
        stack = self.stack({"Resources": {"Table": _table(self.name), "Bucket": bucket}})
        client("dynamodb", DEVELOPMENT).put_item(TableName=self.name, Item={"pk": {"S": "kept"}})
        self.delete_stack(stack["StackName"])
        self.assertEqual(stack_at_rest(stack["StackId"])["StackStatus"], "DELETE_COMPLETE")
        return bucket

    def change_set(self, resources: Any, **more: Any) -> tuple[Record, dict[str, str]]:
        """The changes of a change set that creates a stack and may import, by logical id."""
        self.made = unique("again")
        self.api.create_change_set(
            StackName=self.made,
            ChangeSetName="one",
            ChangeSetType="CREATE",
            TemplateBody=json.dumps({"Resources": resources}),
            ImportExistingResources=True,
            **more,
        )
        self.addCleanup(self.delete_stack, self.made)
        found = self.api.describe_change_set(StackName=self.made, ChangeSetName="one")
        changes = (one["ResourceChange"] for one in found["Changes"])
        return found, {one["LogicalResourceId"]: one["Action"] for one in changes}

    def test_what_has_a_literal_name_is_imported_with_its_content(self) -> None:
        bucket = self.left_behind()
        topic = {"Type": "AWS::SNS::Topic"}
        _, actions = self.change_set({"Table": _table(self.name), "Bucket": bucket, "Topic": topic})
        self.assertEqual(actions, {"Table": "Import", "Bucket": "Import", "Topic": "Add"})
        self.api.execute_change_set(StackName=self.made, ChangeSetName="one")
        self.assertEqual(stack_at_rest(self.made)["StackStatus"], "CREATE_COMPLETE")
        held = client("dynamodb", DEVELOPMENT).get_item(TableName=self.name, Key={"pk": {"S": "kept"}})
        self.assertEqual(held["Item"], {"pk": {"S": "kept"}})
        listed = self.api.describe_stack_resources(StackName=self.made)["StackResources"]
        self.assertIn(self.name, [one["PhysicalResourceId"] for one in listed])

    def test_a_name_that_a_function_makes_is_not_imported_and_fails_the_stack(self) -> None:
        """AWS takes static names only: "Dynamic names (using !Ref or other functions) are not currently supported"."""
        self.left_behind()
        table = _table({"Fn::Join": ["", [self.name]]})
        _, actions = self.change_set({"Table": table})
        self.assertEqual(actions, {"Table": "Add"})
        self.api.execute_change_set(StackName=self.made, ChangeSetName="one", RetainExceptOnCreate=True)
        self.assertEqual(stack_at_rest(self.made)["StackStatus"], "ROLLBACK_COMPLETE")
        held = client("dynamodb", DEVELOPMENT).get_item(TableName=self.name, Key={"pk": {"S": "kept"}})
        self.assertIn("Item", held, "what was there before is not the stack's to delete")

    def test_an_import_that_is_rolled_back_leaves_the_resource(self) -> None:
        self.left_behind()
        self.change_set({"Table": _table(self.name), "Fails": {**_FAILS, "DependsOn": "Table"}})
        self.api.execute_change_set(StackName=self.made, ChangeSetName="one", RetainExceptOnCreate=True)
        self.assertEqual(stack_at_rest(self.made)["StackStatus"], "ROLLBACK_COMPLETE")
        self.assertIn(self.name, client("dynamodb", DEVELOPMENT).list_tables()["TableNames"])

    def test_a_resource_that_is_not_retained_fails_the_change_set(self) -> None:
        self.left_behind()
        found, _ = self.change_set({"Table": _table(self.name, policy="Delete")})
        self.assertEqual((found["Status"], found["ExecutionStatus"]), ("FAILED", "UNAVAILABLE"))
        self.assertIn("DeletionPolicy attribute set to 'Retain'", found["StatusReason"])

    def test_a_resource_of_another_stack_is_not_taken_from_it(self) -> None:
        self.stack(_template(_table(self.name)))
        found, _ = self.change_set({"Table": _table(self.name)})
        self.assertEqual(found["Status"], "FAILED")

    def test_an_updating_change_set_imports_too(self) -> None:
        self.left_behind()
        name = self.stack(_NOTHING)["StackName"]
        body = json.dumps({"Resources": {**_NOTHING["Resources"], "Table": _table(self.name)}})
        self.api.create_change_set(StackName=name, ChangeSetName="in", TemplateBody=body, ImportExistingResources=True)
        self.api.execute_change_set(StackName=name, ChangeSetName="in")
        self.assertEqual(stack_at_rest(name)["StackStatus"], "UPDATE_COMPLETE")
        listed = self.api.describe_stack_resources(StackName=name)["StackResources"]
        self.assertIn(self.name, [one["PhysicalResourceId"] for one in listed])
