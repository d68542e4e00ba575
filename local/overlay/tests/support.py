"""What the tests share: one emulator, clients of accounts, waiting for a state, an event catcher.

``LOCKSTEP_TEST_ENDPOINT`` names a running emulator; without it one is started for the run and ends with
it. Nothing sleeps for a fixed time: ``eventually`` looks until something is so, or its deadline has come.
"""

import atexit
import functools
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import unittest
import urllib.request
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError

from overlay.shapes import Record

REGION = "eu-west-1"
TOOLING, DEVELOPMENT, PRODUCTION = "111111111111", "222222222222", "333333333333"
_DEADLINE_SECONDS = 20
_root_secrets: dict[str, str] = json.loads(os.environ.get("LOCKSTEP_TEST_ROOT_SECRETS", "{}"))

T = TypeVar("T")
Client: TypeAlias = Any
"""A client of botocore, whose methods are made from a model."""
Caller: TypeAlias = Callable[..., Client]
"""Gives clients of one caller, by service."""


@functools.cache
def endpoint() -> str:
    """The emulator's address."""
    return os.environ.get("LOCKSTEP_TEST_ENDPOINT") or start()[0]


def root_secret(account: str) -> str:
    """The secret of an account's root key: the given emulator's, or the one of each emulator that is started here."""
    return _root_secrets.setdefault(account, secrets.token_hex())


def start(**variables: str) -> tuple[str, subprocess.Popen[bytes]]:
    """Start an emulator with these variables beside the usual ones; returns its address and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "AUTH": "true",
        "LOCKSTEP_ROOT_SECRETS": json.dumps({one: root_secret(one) for one in (TOOLING, DEVELOPMENT, PRODUCTION)}),
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "AWS_ENDPOINT_URL": address,
        "MINISTACK_ACCOUNT_ID": TOOLING,
        "MINISTACK_REGION": REGION,
        "SFN_WAIT_SCALE": "0",
        **variables,
    }
    with Path(os.environ.get("LOCKSTEP_TEST_LOG", os.devnull)).open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "overlay"], env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log
        )
    atexit.register(process.wait)
    assert process.stdin is not None
    atexit.register(process.stdin.close)
    eventually(lambda: _answers(address), "the emulator answers")
    return address, process


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address + "/_ministack/health", timeout=1) as reply:
            return reply.status == 200
    except OSError:
        return False


def eventually(look: Callable[[], T | None], what: str, deadline: float = _DEADLINE_SECONDS) -> T:
    """Look until the result is truthy and return it; fail with ``what`` at the deadline (seconds)."""
    end = time.monotonic() + deadline
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline} seconds: {what}")
        time.sleep(0.02)


@functools.cache
def _session() -> botocore.session.Session:
    return botocore.session.get_session()


@functools.cache
def client(
    service: str,
    account: str = TOOLING,
    region: str = REGION,
    key: str | None = None,
    secret: str | None = None,
    token: str | None = None,
    attempts: int = 1,
) -> Client:
    """A client of an account: its root, or the credentials given. Kept, because making one is slow."""
    return _session().create_client(
        service,
        region_name=region,
        endpoint_url=endpoint(),
        aws_access_key_id=key or account,
        aws_secret_access_key=secret or root_secret(account),
        aws_session_token=token,
        config=Config(
            retries={"total_max_attempts": attempts},
            s3={"addressing_style": "path"},
            read_timeout=30,
            connect_timeout=5,
        ),
    )


def control(method: str, path: str, body: Record | None = None) -> Any:
    """A control request; returns its JSON."""
    request = urllib.request.Request(
        f"{endpoint()}/_lockstep/{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
    )
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.loads(reply.read())


def unique(prefix: str) -> str:
    """A name no other test uses."""
    return f"{prefix}-{uuid.uuid4().hex[:10]}"


class CloudTest(unittest.TestCase):
    """A test against the emulator. Fault rules are cleared after each."""

    def setUp(self) -> None:
        self.addCleanup(control, "DELETE", "faults")

    def refused(self, code: str, call: Callable[..., Any], **arguments: Any) -> str:
        """The call is refused with this error code; returns the message."""
        with self.assertRaises(ClientError) as caught:
            call(**arguments)
        self.assertEqual(caught.exception.response["Error"]["Code"], code, caught.exception)
        return caught.exception.response["Error"]["Message"]

    def stack(
        self,
        template: Record,
        account: str = DEVELOPMENT,
        parameters: dict[str, str] | None = None,
        wait: bool = True,
        name: str | None = None,
        **more: Any,
    ) -> Record:
        """Create a stack, wait for its end, delete it after the test; returns its description."""
        api = client("cloudformation", account)
        name = name or unique("stack")
        api.create_stack(
            StackName=name,
            TemplateBody=json.dumps(template),
            Capabilities=["CAPABILITY_NAMED_IAM"],
            Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in (parameters or {}).items()],
            **more,
        )
        self.addCleanup(self.delete_stack, name, account)
        return stack_at_rest(name, account) if wait else api.describe_stacks(StackName=name)["Stacks"][0]

    def delete_stack(self, name: str, account: str = DEVELOPMENT) -> None:
        """Delete a stack, if it is there, and wait until it is gone."""
        client("cloudformation", account).delete_stack(StackName=name)

    def somebody(self, *statements: Record, account: str = DEVELOPMENT) -> Caller:
        """Make a user who may do exactly what the statements say; returns a function that gives clients of it."""
        iam, name = client("iam", account), unique("somebody")
        iam.create_user(UserName=name)
        document = {"Version": "2012-10-17", "Statement": list(statements)}
        iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=json.dumps(document))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        mine = {"key": key["AccessKeyId"], "secret": key["SecretAccessKey"]}
        return lambda service, **more: client(service, account, **mine, **more)

    def queue_of_events(
        self, pattern: Record, account: str = DEVELOPMENT, bus: str = "default"
    ) -> Callable[[], list[Record]]:
        """Collect matching events of a bus; returns a function that gives those that came so far."""
        sqs, events = client("sqs", account), client("events", account)
        name = unique("catch")
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        events.put_rule(Name=name, EventPattern=json.dumps(pattern), EventBusName=bus)
        events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
        self.addCleanup(events.delete_rule, Name=name, EventBusName=bus)
        self.addCleanup(events.remove_targets, Rule=name, EventBusName=bus, Ids=["queue"])
        seen: list[Record] = []

        def caught() -> list[Record]:
            while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
                for message in messages:
                    seen.append(json.loads(message["Body"]))
                    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            return list(seen)

        return caught


def stack_at_rest(name: str, account: str = DEVELOPMENT) -> Record:
    """The stack's description once nothing is in progress."""
    api = client("cloudformation", account)

    def look() -> Record | None:
        stack = api.describe_stacks(StackName=name)["Stacks"][0]
        return None if stack["StackStatus"].endswith("_IN_PROGRESS") else stack

    return eventually(look, f"stack {name} is at rest")


def allow(*actions: str, resource: str | list[str] = "*", **conditions: Record) -> Record:
    """A statement that allows: conditions are operators, such as ``StringEquals={"aws:RequestTag/a": "b"}``."""
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    return (
        {**statement, "Condition": {_operator(name): keys for name, keys in conditions.items()}}
        if conditions
        else statement
    )


def _operator(name: str) -> str:
    """``ForAllValues_StringLike`` is the operator ``ForAllValues:StringLike``."""
    return name.replace("_", ":")


def role(name: str, principal: Record, statements: Sequence[Record], managed: Sequence[str] = ()) -> Record:
    """A role resource for a template: who may assume it, what it may do."""
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "RoleName": name,
            "AssumeRolePolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}],
            },
            "Policies": [{"PolicyName": "it", "PolicyDocument": {"Version": "2012-10-17", "Statement": statements}}]
            if statements
            else [],
            "ManagedPolicyArns": list(managed),
        },
    }


def python_function(role_arn: str | Record, code: str, name: str | None = None, **properties: Any) -> Record:
    """A Lambda resource for a template, with its code in the template."""
    return {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            **({"FunctionName": name} if name else {}),
            "Runtime": "python3.12",
            "Handler": "index.handler",
            "Role": role_arn,
            "Timeout": 20,
            "Code": {"ZipFile": code},
            **properties,
        },
    }
