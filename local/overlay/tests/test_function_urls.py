"""Function URLs: reachable, authenticated, with the caller's identity."""

import json
import urllib.error
import urllib.request
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from overlay.tests.support import DEVELOPMENT, REGION, CloudTest, client, endpoint, python_function, role, unique

_SHOW = """
import json
def handler(event, context):
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(event)}
"""


class FunctionUrls(CloudTest):
    """A function that answers with its event, behind a URL."""

    def function(self, auth_type: str, permission: bool = True) -> str:
        name = unique("url")
        principal = "*" if auth_type == "NONE" else DEVELOPMENT
        resources = {
            "Role": role(f"{name}-role", {"Service": "lambda.amazonaws.com"}, []),
            "Function": python_function({"Fn::GetAtt": ["Role", "Arn"]}, _SHOW, name),
            "Url": {
                "Type": "AWS::Lambda::Url",
                "Properties": {"TargetFunctionArn": {"Fn::GetAtt": ["Function", "Arn"]}, "AuthType": auth_type},
            },
        }
        if permission:
            resources["Permission"] = {
                "Type": "AWS::Lambda::Permission",
                "Properties": {
                    "FunctionName": {"Ref": "Function"},
                    "Action": "lambda:InvokeFunctionUrl",
                    "Principal": principal,
                    "FunctionUrlAuthType": auth_type,
                },
            }
        stack = self.stack(
            {"Resources": resources, "Outputs": {"Url": {"Value": {"Fn::GetAtt": ["Url", "FunctionUrl"]}}}}
        )
        self.assertEqual(stack["StackStatus"], "CREATE_COMPLETE", stack)
        self.name = name
        return stack["Outputs"][0]["OutputValue"]

    def post(self, url: str, body: bytes = b"{}", credentials: Any = None) -> Any:
        """(status, parsed body) of a request, signed if credentials are given."""
        request = AWSRequest("POST", url, data=body, headers={"content-type": "application/json"})
        if credentials:
            SigV4Auth(credentials, "lambda", REGION).add_auth(request)
        sent = urllib.request.Request(url, data=body, method="POST", headers=dict(request.headers.items()))
        try:
            with urllib.request.urlopen(sent, timeout=20) as reply:
                return reply.status, json.loads(reply.read())
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def user(self, allowed: bool) -> Any:
        """Credentials of a user that may (or may not) call the function's URL."""
        name = unique("caller")
        statements = [{"Effect": "Allow", "Action": "lambda:InvokeFunctionUrl", "Resource": "*"}] if allowed else []
        resources = {
            "User": {
                "Type": "AWS::IAM::User",
                "Properties": {
                    "UserName": name,
                    "Policies": [
                        {"PolicyName": "p", "PolicyDocument": {"Version": "2012-10-17", "Statement": statements}}
                    ]
                    if statements
                    else [],
                },
            },
            "Key": {"Type": "AWS::IAM::AccessKey", "Properties": {"UserName": {"Ref": "User"}}},
        }
        outputs = {"Id": {"Value": {"Ref": "Key"}}, "Secret": {"Value": {"Fn::GetAtt": ["Key", "SecretAccessKey"]}}}
        stack = self.stack({"Resources": resources, "Outputs": outputs})
        values = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
        return name, Credentials(values["Id"], values["Secret"])

    def test_an_open_url_is_on_the_loopback_address_and_answers(self) -> None:
        url = self.function("NONE")
        self.assertTrue(url.startswith(f"{endpoint()}/_aws/lambda-url/"), url)
        shown = client("lambda", DEVELOPMENT).get_function_url_config(FunctionName=self.name)["FunctionUrl"]
        self.assertEqual(shown, url)
        status, event = self.post(url + "github?x=1", b'{"a": 1}')
        self.assertEqual((status, event["rawPath"], event["rawQueryString"]), (200, "/github", "x=1"))
        self.assertEqual((event["version"], event["body"]), ("2.0", '{"a": 1}'))
        self.assertNotIn("authorizer", event["requestContext"])

    def test_an_open_url_needs_the_permission_for_everyone(self) -> None:
        self.assertEqual(self.post(self.function("NONE", permission=False))[0], 403)

    def test_an_iam_url_names_its_caller_to_the_function(self) -> None:
        url = self.function("AWS_IAM")
        name, credentials = self.user(allowed=True)
        status, event = self.post(url, credentials=credentials)
        self.assertEqual(status, 200, event)
        identity = event["requestContext"]["authorizer"]["iam"]
        self.assertEqual(
            set(identity),
            {"accessKey", "accountId", "callerId", "cognitoIdentity", "principalOrgId", "userArn", "userId"},
        )
        self.assertEqual(identity["accessKey"], credentials.access_key)
        self.assertEqual(identity["accountId"], DEVELOPMENT)
        self.assertEqual(identity["userArn"], f"arn:aws:iam::{DEVELOPMENT}:user/{name}")
        self.assertTrue(identity["userId"])

    def test_an_iam_url_names_an_assumed_role_by_its_session(self) -> None:
        url, name = self.function("AWS_IAM"), unique("approver")
        may = [{"Effect": "Allow", "Action": "lambda:InvokeFunctionUrl", "Resource": "*"}]
        self.stack({"Resources": {"R": role(name, {"AWS": f"arn:aws:iam::{DEVELOPMENT}:root"}, may)}})
        got = client("sts", DEVELOPMENT).assume_role(
            RoleArn=f"arn:aws:iam::{DEVELOPMENT}:role/{name}", RoleSessionName="ada"
        )["Credentials"]
        credentials = Credentials(got["AccessKeyId"], got["SecretAccessKey"], got["SessionToken"])
        status, event = self.post(url, credentials=credentials)
        self.assertEqual(status, 200, event)
        arn = event["requestContext"]["authorizer"]["iam"]["userArn"]
        self.assertEqual(arn, f"arn:aws:sts::{DEVELOPMENT}:assumed-role/{name}/ada")

    def test_an_iam_url_refuses_the_unsigned_the_forged_and_the_unauthorised(self) -> None:
        url = self.function("AWS_IAM")
        self.assertEqual(self.post(url)[0], 403)
        _, allowed = self.user(allowed=True)
        self.assertEqual(self.post(url, credentials=Credentials(allowed.access_key, "wrong"))[0], 403)
        _, other = self.user(allowed=False)
        self.assertEqual(self.post(url, credentials=other)[0], 403)
