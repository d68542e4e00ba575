"""Lambda with a runtime of its own, as our Rust functions have: identity, environment, code from S3."""

import io
import json
import sys
import zipfile

from overlay.tests.support import DEVELOPMENT, REGION, CloudTest, client, control, eventually, role, unique

# The runtime API in a few lines: next event, call, answer, for ever.
_BOOTSTRAP = """#!{python}
import json, os, urllib.request
import botocore.session
api = "http://%s/2018-06-01/runtime/invocation/" % os.environ["AWS_LAMBDA_RUNTIME_API"]
while True:
    with urllib.request.urlopen(api + "next") as event:
        request = event.headers["Lambda-Runtime-Aws-Request-Id"]
        given = json.loads(event.read())
    if given == {{"fail": True}}:
        error = json.dumps({{"errorType": "Terminal", "errorMessage": "told to"}}).encode()
        urllib.request.urlopen(api + request + "/error", data=error).read()
        continue
    sts = botocore.session.get_session().create_client("sts", region_name=os.environ["AWS_REGION"])
    answer = {{"identity": sts.get_caller_identity()["Arn"], "given": given, "region": os.environ["AWS_REGION"]}}
    urllib.request.urlopen(api + request + "/response", data=json.dumps(answer).encode()).read()
"""


class Functions(CloudTest):
    """A function on provided.al2023, deployed by a stack from a bucket."""

    def function(self) -> str:
        name, bucket, packed = unique("native"), unique("code"), io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            entry = zipfile.ZipInfo("bootstrap")
            entry.external_attr = 0o755 << 16
            archive.writestr(entry, _BOOTSTRAP.format(python=sys.executable))
        s3 = client("s3", DEVELOPMENT)
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_object(Bucket=bucket, Key="function.zip", Body=packed.getvalue())
        stack = self.stack(
            {
                "Resources": {
                    "Role": role(f"{name}-role", {"Service": "lambda.amazonaws.com"}, []),
                    "Function": {
                        "Type": "AWS::Lambda::Function",
                        "Properties": {
                            "FunctionName": name,
                            "Runtime": "provided.al2023",
                            "Handler": "bootstrap",
                            "Timeout": 20,
                            "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                            "Code": {"S3Bucket": bucket, "S3Key": "function.zip"},
                        },
                    },
                }
            }
        )
        self.assertEqual(stack["StackStatus"], "CREATE_COMPLETE", stack)
        return name

    def test_a_native_function_runs_as_its_role_and_its_calls_are_in_the_journal(self) -> None:
        name = self.function()
        reply = client("lambda", DEVELOPMENT).invoke(FunctionName=name, Payload=b'{"a": 1}')
        answer = json.loads(reply["Payload"].read())
        self.assertEqual((answer["given"], answer["region"]), ({"a": 1}, REGION))
        self.assertIn(f"assumed-role/{name}-role/", answer["identity"])
        calls = control("GET", "calls?service=sts&action=GetCallerIdentity")["calls"]
        self.assertIn(answer["identity"], [call["principal"] for call in calls])

    def test_a_native_function_fails_with_its_own_error_type(self) -> None:
        name = self.function()
        reply = client("lambda", DEVELOPMENT).invoke(FunctionName=name, Payload=b'{"fail": true}')
        self.assertEqual(reply["FunctionError"], "Unhandled")
        self.assertEqual(json.loads(reply["Payload"].read())["errorType"], "Terminal")

    def test_a_queue_feeds_a_function_as_often_at_once_as_a_parameter_says(self) -> None:
        function = self.function()
        stack = self.stack(
            {
                "Parameters": {"AtOnce": {"Type": "Number"}},
                "Resources": {
                    "Queue": {"Type": "AWS::SQS::Queue"},
                    "Subscription": {
                        "Type": "AWS::Lambda::EventSourceMapping",
                        "Properties": {
                            "EventSourceArn": {"Fn::GetAtt": ["Queue", "Arn"]},
                            "FunctionName": function,
                            "BatchSize": 1,
                            "ScalingConfig": {"MaximumConcurrency": {"Ref": "AtOnce"}},
                        },
                    },
                },
                "Outputs": {"Url": {"Value": {"Ref": "Queue"}}},
            },
            parameters={"AtOnce": "2"},
        )
        sqs, url = client("sqs", DEVELOPMENT), stack["Outputs"][0]["OutputValue"]
        sqs.send_message(QueueUrl=url, MessageBody="{}")
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

        def empty() -> bool:
            found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
            return all(found[name] == "0" for name in names)

        eventually(empty, "the message was taken and deleted")
