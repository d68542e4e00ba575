"""What a call is authorised on, as AWS's service authorization reference says it."""

import json
import unittest
from typing import Any

from ministack.core import iam_evaluator

from overlay import authorization
from overlay.shapes import Record

_ACCOUNT, _REGION = "222222222222", "eu-west-1"


def _resource(service: str, body: bytes = b"", params: Record | None = None, target: str = "") -> str:
    headers = {"x-amz-target": target}
    return authorization.extract_resource_arn(service, "POST", "/", headers, body, params or {}, _REGION, _ACCOUNT)


class Resources(unittest.TestCase):
    """The resource that a policy must name."""

    def test_the_reading_of_a_folder_of_parameters_is_a_call_on_the_folder(self) -> None:
        body = json.dumps({"Path": "/lockstep/images", "Recursive": True}).encode()
        found = _resource("ssm", body, target="AmazonSSM.GetParametersByPath")
        self.assertEqual(found, f"arn:aws:ssm:{_REGION}:{_ACCOUNT}:parameter/lockstep/images")

    def test_a_parameter_is_named_by_its_name(self) -> None:
        body = json.dumps({"Name": "/lockstep/images/logstash/latest"}).encode()
        found = _resource("ssm", body, target="AmazonSSM.PutParameter")
        self.assertEqual(found, f"arn:aws:ssm:{_REGION}:{_ACCOUNT}:parameter/lockstep/images/logstash/latest")

    def test_a_simulation_is_a_call_on_the_role_that_is_simulated(self) -> None:
        role = f"arn:aws:iam::{_ACCOUNT}:role/lockstep-cloudformation"
        params = {"Action": ["SimulatePrincipalPolicy"], "PolicySourceArn": [role]}
        self.assertEqual(_resource("iam", params=params), role)

    def test_a_public_parameter_belongs_to_no_account(self) -> None:
        body = json.dumps({"Name": "/aws/service/ami-amazon-linux-latest/al2023"}).encode()
        found = _resource("ssm", body, target="AmazonSSM.GetParameter")
        self.assertEqual(found, f"arn:aws:ssm:{_REGION}::parameter/aws/service/ami-amazon-linux-latest/al2023")

    def test_several_public_parameters_belong_to_no_account(self) -> None:
        body = json.dumps({"Names": ["/aws/service/a", "/aws/service/b"]}).encode()
        found = _resource("ssm", body, target="AmazonSSM.GetParameters")
        self.assertEqual(found, f"arn:aws:ssm:{_REGION}::parameter/aws/service/a")
        mixed = json.dumps({"Names": ["/aws/service/a", "/shop/size"]}).encode()
        self.assertNotIn(f"{_REGION}::", _resource("ssm", mixed, target="AmazonSSM.GetParameters"))

    def test_a_build_is_looked_at_as_its_project(self) -> None:
        project = f"arn:aws:codebuild:{_REGION}:{_ACCOUNT}:project/bake"
        for build in ("bake:1f", f"arn:aws:codebuild:{_REGION}:{_ACCOUNT}:build/bake:1f"):
            body = json.dumps({"ids": [build]}).encode()
            self.assertEqual(_resource("codebuild", body, target="CodeBuild_20161006.BatchGetBuilds"), project)

    def test_deprecating_an_image_is_a_call_on_the_image_which_names_no_account(self) -> None:
        for action in ("EnableImageDeprecation", "DisableImageDeprecation"):
            found = _resource("ec2", params={"Action": [action], "ImageId": ["ami-12345678"]})
            self.assertEqual(found, f"arn:aws:ec2:{_REGION}::image/ami-12345678")


class Principals(unittest.TestCase):
    """Who calls, as a condition sees it."""

    def test_the_principal_of_a_session_is_its_role(self) -> None:
        role, user = f"arn:aws:iam::{_ACCOUNT}:role/x", f"arn:aws:iam::{_ACCOUNT}:user/ada"
        self.assertEqual(_principal(f"arn:aws:sts::{_ACCOUNT}:assumed-role/x/session"), role)
        self.assertEqual(_principal(user), user)
        self.assertEqual(_principal(role), role)


def _principal(arn: str) -> Any:
    context = iam_evaluator.EvalContext(
        principal_arn=arn,
        principal_type="AssumedRole",
        principal_account=_ACCOUNT,
        action="sts:AssumeRole",
        resource_arn="*",
        region=_REGION,
    )
    return authorization.resolve_condition_key("aws:PrincipalArn", context)
