"""Typed parameters: which permission each type needs, whose, and what happens without it."""

import json
from typing import ClassVar

from overlay import parameter_types
from overlay.shapes import Record
from overlay.tests.support import DEVELOPMENT, REGION, Client, CloudTest, allow, client, role, stack_at_rest, unique

_STACKS = allow("cloudformation:*")


def _template(kind: str) -> Record:
    return {
        "Parameters": {"Given": {"Type": kind}},
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
    }


class Types(CloudTest):
    """Every type of the table, in a change set and in a stack."""

    values: ClassVar[dict[str, str]]
    parameter: ClassVar[str]

    @classmethod
    def setUpClass(cls) -> None:
        api = client("ec2", DEVELOPMENT)
        subnet, group = api.describe_subnets()["Subnets"][0], api.describe_security_groups()["SecurityGroups"][0]
        image = api.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        launch = {"ImageId": image, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
        cls.values = {
            "AWS::EC2::AvailabilityZone::Name": f"{REGION}a",
            "AWS::EC2::Image::Id": image,
            "AWS::EC2::Instance::Id": api.run_instances(**launch)["Instances"][0]["InstanceId"],
            "AWS::EC2::KeyPair::KeyName": api.create_key_pair(KeyName=unique("key"))["KeyName"],
            "AWS::EC2::SecurityGroup::GroupName": group["GroupName"],
            "AWS::EC2::SecurityGroup::Id": group["GroupId"],
            "AWS::EC2::Subnet::Id": subnet["SubnetId"],
            "AWS::EC2::VPC::Id": subnet["VpcId"],
            "AWS::EC2::Volume::Id": api.create_volume(AvailabilityZone=f"{REGION}a", Size=1)["VolumeId"],
            "AWS::Route53::HostedZone::Id": "Z0123456789ABCDEFGHIJ",
        }
        cls.parameter = f"/{unique('typed')}/subnet"
        client("ssm", DEVELOPMENT).put_parameter(Name=cls.parameter, Value=subnet["SubnetId"], Type="String")

    def change_set(self, api: Client, kind: str, value: str) -> Record:
        """The change set that an API makes of a template with one parameter, and what became of it."""
        name = unique("typed")
        api.create_change_set(
            StackName=name,
            ChangeSetName="one",
            ChangeSetType="CREATE",
            TemplateBody=json.dumps(_template(kind)),
            Parameters=[{"ParameterKey": "Given", "ParameterValue": value}],
        )
        self.addCleanup(self.delete_stack, name)
        return client("cloudformation", DEVELOPMENT).describe_change_set(StackName=name, ChangeSetName="one")

    def test_each_type_needs_its_permission_and_no_other(self) -> None:
        self.assertEqual(set(self.values), set(parameter_types._LOOKUPS))
        for kind, value in self.values.items():
            action, _ = parameter_types._LOOKUPS[kind]
            may, may_not = self.somebody(_STACKS, allow(action)), self.somebody(_STACKS)
            for type_ in (kind, f"List<{kind}>"):
                with self.subTest(type_):
                    made = self.change_set(may("cloudformation"), type_, value)
                    self.assertEqual((made["Status"], made["ExecutionStatus"]), ("CREATE_COMPLETE", "AVAILABLE"), made)
                    failed = self.change_set(may_not("cloudformation"), type_, value)
                    self.assertEqual((failed["Status"], failed["ExecutionStatus"]), ("FAILED", "UNAVAILABLE"))
                    self.assertEqual(
                        failed["StatusReason"], f"AccessDenied. User doesn't have permission to call {action}"
                    )

    def test_a_value_that_is_not_there_fails_the_change_set(self) -> None:
        api = client("cloudformation", DEVELOPMENT)
        for kind, value in (
            ("AWS::EC2::VPC::Id", "vpc-none"),
            ("List<AWS::EC2::Subnet::Id>", self.values["AWS::EC2::Subnet::Id"] + ",subnet-none"),
        ):
            made = self.change_set(api, kind, value)
            self.assertEqual(made["Status"], "FAILED")
            self.assertIn("-none for parameter name Given does not exist", made["StatusReason"])

    def test_the_role_of_the_stack_does_not_count(self) -> None:
        name = unique("executor")
        self.stack({"Resources": {"R": role(name, {"Service": "cloudformation.amazonaws.com"}, [allow("*")])}})
        arn = f"arn:aws:iam::{DEVELOPMENT}:role/{name}"
        api = self.somebody(_STACKS, allow("iam:PassRole", resource=arn))("cloudformation")
        stack = unique("typed")
        api.create_change_set(
            StackName=stack,
            ChangeSetName="one",
            ChangeSetType="CREATE",
            TemplateBody=json.dumps(_template("AWS::EC2::VPC::Id")),
            Parameters=[{"ParameterKey": "Given", "ParameterValue": self.values["AWS::EC2::VPC::Id"]}],
            RoleARN=arn,
        )
        self.addCleanup(self.delete_stack, stack)
        self.assertEqual(api.describe_change_set(StackName=stack, ChangeSetName="one")["Status"], "FAILED")

    def test_a_parameter_of_systems_manager_is_read_with_the_callers_rights(self) -> None:
        arn = f"arn:aws:ssm:{REGION}:{DEVELOPMENT}:parameter{self.parameter}"
        read, look = allow("ssm:GetParameters", resource=arn), allow("ec2:DescribeSubnets")
        for kind in ("AWS::SSM::Parameter::Value<String>", "AWS::SSM::Parameter::Name"):
            self.change_set(self.somebody(_STACKS, read)("cloudformation"), kind, self.parameter)
        nested = "AWS::SSM::Parameter::Value<AWS::EC2::Subnet::Id>"
        made = self.change_set(self.somebody(_STACKS, read, look)("cloudformation"), nested, self.parameter)
        self.assertEqual(made["Status"], "CREATE_COMPLETE")
        failed = self.change_set(self.somebody(_STACKS, read)("cloudformation"), nested, self.parameter)
        self.assertIn("ec2:DescribeSubnets", failed["StatusReason"])
        api, name = self.somebody(_STACKS, look)("cloudformation"), unique("typed")
        message = self.refused(
            "ValidationError",
            api.create_stack,
            StackName=name,
            TemplateBody=json.dumps(_template("AWS::SSM::Parameter::Value<String>")),
            Parameters=[{"ParameterKey": "Given", "ParameterValue": self.parameter}],
        )
        self.assertEqual(message, "AccessDenied. User doesn't have permission to call ssm:GetParameters")
        self.refused("ValidationError", client("cloudformation", DEVELOPMENT).describe_stacks, StackName=name)

    def test_a_stack_is_rolled_back_before_any_resource_is_made(self) -> None:
        arguments = {
            "TemplateBody": json.dumps(_template("AWS::EC2::VPC::Id")),
            "Parameters": [{"ParameterKey": "Given", "ParameterValue": self.values["AWS::EC2::VPC::Id"]}],
        }
        api, root, name = (
            self.somebody(_STACKS)("cloudformation"),
            client("cloudformation", DEVELOPMENT),
            unique("typed"),
        )
        api.create_stack(StackName=name, **arguments)
        self.addCleanup(self.delete_stack, name)
        self.assertEqual(stack_at_rest(name)["StackStatus"], "ROLLBACK_COMPLETE")
        events = root.describe_stack_events(StackName=name)["StackEvents"]
        self.assertEqual({one["LogicalResourceId"] for one in events}, {name}, "no resource was touched")
        reason = next(one["ResourceStatusReason"] for one in events if one["ResourceStatus"] == "ROLLBACK_IN_PROGRESS")
        self.assertEqual(
            reason, "AccessDenied. User doesn't have permission to call ec2:DescribeVpcs. Rollback requested by user."
        )

    def test_an_update_goes_back_to_what_the_stack_was(self) -> None:
        untyped = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": "before"}}}}
        name = self.stack(untyped)["StackName"]
        self.somebody(_STACKS)("cloudformation").update_stack(
            StackName=name,
            TemplateBody=json.dumps(_template("AWS::EC2::VPC::Id")),
            Parameters=[{"ParameterKey": "Given", "ParameterValue": self.values["AWS::EC2::VPC::Id"]}],
        )
        stack = stack_at_rest(name)
        self.assertEqual(stack["StackStatus"], "UPDATE_ROLLBACK_COMPLETE")
        self.assertEqual(client("cloudformation", DEVELOPMENT).get_template(StackName=name)["TemplateBody"], untyped)
        client("cloudformation", DEVELOPMENT).update_stack(
            StackName=name, TemplateBody=json.dumps({"Resources": {"Other": {"Type": "AWS::SNS::Topic"}}})
        )
        self.assertEqual(stack_at_rest(name)["StackStatus"], "UPDATE_COMPLETE", "and can be updated again")
