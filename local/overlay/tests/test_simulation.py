"""What IAM's simulation says of a role: its policies, its boundary, and the keys that nobody gave a value for."""

import json
import unittest
from typing import Any

from overlay.shapes import Record
from overlay.tests.support import DEVELOPMENT, CloudTest, client, unique

_QUEUE = f"arn:aws:sqs:eu-west-1:{DEVELOPMENT}:orders"
_OTHER = f"arn:aws:sqs:eu-west-1:{DEVELOPMENT}:invoices"


def _document(*statements: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def _allow(action: Any, resource: Any = "*", effect: str = "Allow", **condition: Record | None) -> Record:
    statement = {"Effect": effect, "Action": action, "Resource": resource}
    return {**statement, "Condition": condition} if condition else statement


class Simulation(CloudTest):
    """The answers for one role."""

    def setUp(self) -> None:
        super().setUp()
        self.iam = client("iam", DEVELOPMENT)

    def role(self, *statements: Any, boundary: Any = None) -> str:
        """A role with these statements; returns its ARN."""
        name = unique("simulated")
        service = {"Service": "ec2.amazonaws.com"}
        trust = _document({"Effect": "Allow", "Principal": service, "Action": "sts:AssumeRole"})
        extra = {}
        if boundary:
            policy = self.iam.create_policy(PolicyName=unique("boundary"), PolicyDocument=_document(*boundary))
            extra["PermissionsBoundary"] = policy["Policy"]["Arn"]
        role = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust, **extra)
        self.iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=_document(*statements))
        return role["Role"]["Arn"]

    def ask(
        self, role: str, actions: list[str], resources: list[str] | None, **more: Any
    ) -> dict[tuple[str, str], Record]:
        answer = self.iam.simulate_principal_policy(
            PolicySourceArn=role, ActionNames=actions, ResourceArns=resources, **more
        )
        return {
            (result["EvalActionName"], one["EvalResourceName"]): one
            for result in answer["EvaluationResults"]
            for one in result["ResourceSpecificResults"]
        }

    def decisions(self, *arguments: Any, **more: Any) -> Any:
        answers = self.ask(*arguments, **more)
        return {key: one["EvalResourceDecision"] for key, one in answers.items()}

    def test_every_action_is_judged_on_every_resource(self) -> None:
        role = self.role(_allow("sqs:TagQueue", _QUEUE), _allow("sqs:Get*"))
        found = self.decisions(role, ["sqs:TagQueue", "sqs:GetQueueUrl"], [_QUEUE, _OTHER])
        expected = {
            ("sqs:TagQueue", _QUEUE): "allowed",
            ("sqs:TagQueue", _OTHER): "implicitDeny",
            ("sqs:GetQueueUrl", _QUEUE): "allowed",
            ("sqs:GetQueueUrl", _OTHER): "allowed",
        }
        self.assertEqual(found, expected)

    def test_a_deny_is_explicit(self) -> None:
        role = self.role(_allow("sqs:*"), _allow("sqs:DeleteQueue", _QUEUE, "Deny"))
        found = self.decisions(role, ["sqs:DeleteQueue"], [_QUEUE, _OTHER])
        self.assertEqual(list(found.values()), ["explicitDeny", "allowed"])

    def test_a_boundary_limits_the_role_and_is_named(self) -> None:
        role = self.role(_allow("sqs:*"), boundary=[_allow("sqs:Get*")])
        found = self.ask(role, ["sqs:DeleteQueue", "sqs:GetQueueUrl"], [_QUEUE])
        denied, allowed = found["sqs:DeleteQueue", _QUEUE], found["sqs:GetQueueUrl", _QUEUE]
        self.assertEqual(denied["EvalResourceDecision"], "implicitDeny")
        self.assertFalse(denied["PermissionsBoundaryDecisionDetail"]["AllowedByPermissionsBoundary"])
        self.assertEqual(allowed["EvalResourceDecision"], "allowed")

    def test_a_role_of_a_stack_has_its_boundary(self) -> None:
        cloudformation, stack = client("cloudformation", DEVELOPMENT), unique("bounded")

        def policy(action: str) -> Any:
            document = _document(_allow(action))
            return self.iam.create_policy(PolicyName=unique("boundary"), PolicyDocument=document)["Policy"]["Arn"]

        policies = [policy("sqs:Get*"), policy("sqs:Tag*")]

        def boundary(create: bool, arn: str | None) -> Any:
            trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
            properties = {
                "RoleName": stack,
                "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
                **({"PermissionsBoundary": arn} if arn else {}),
            }
            template = json.dumps({"Resources": {"Role": {"Type": "AWS::IAM::Role", "Properties": properties}}})
            call = cloudformation.create_stack if create else cloudformation.update_stack
            call(StackName=stack, TemplateBody=template, Capabilities=["CAPABILITY_NAMED_IAM"])
            cloudformation.get_waiter("stack_create_complete" if create else "stack_update_complete").wait(
                StackName=stack, WaiterConfig={"Delay": 1}
            )
            role = self.iam.get_role(RoleName=stack)["Role"]
            return role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")

        self.assertEqual(boundary(True, policies[0]), policies[0])
        self.assertEqual(boundary(False, policies[1]), policies[1])
        self.assertIsNone(boundary(False, None))

    def test_a_key_without_a_value_is_named(self) -> None:
        role = self.role(_allow("iam:PassRole", StringEquals={"iam:PassedToService": "lambda.amazonaws.com"}))
        target = f"arn:aws:iam::{DEVELOPMENT}:role/x"
        found = self.ask(role, ["iam:PassRole", "sqs:TagQueue"], [target])
        self.assertEqual(found["iam:PassRole", target]["MissingContextValues"], ["iam:PassedToService"])
        self.assertEqual(found["sqs:TagQueue", target]["MissingContextValues"], [])

    def test_a_given_value_decides_a_condition(self) -> None:
        role = self.role(_allow("iam:PassRole", StringEquals={"iam:PassedToService": "lambda.amazonaws.com"}))
        target = f"arn:aws:iam::{DEVELOPMENT}:role/x"
        for service, expected in (("lambda.amazonaws.com", "allowed"), ("ec2.amazonaws.com", "implicitDeny")):
            entry = {
                "ContextKeyName": "iam:PassedToService",
                "ContextKeyType": "string",
                "ContextKeyValues": [service],
            }
            found = self.ask(role, ["iam:PassRole"], [target], ContextEntries=[entry])["iam:PassRole", target]
            self.assertEqual((found["EvalResourceDecision"], found["MissingContextValues"]), (expected, []))

    def test_a_role_that_does_not_exist_is_refused(self) -> None:
        with self.assertRaises(self.iam.exceptions.NoSuchEntityException):
            self.ask(f"arn:aws:iam::{DEVELOPMENT}:role/none", ["sqs:TagQueue"], [_QUEUE])


if __name__ == "__main__":
    unittest.main()
