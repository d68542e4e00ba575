"""What a web page sends, and what a caller without a valid signature sends, has no effect."""

import base64
import datetime
import hashlib
import http.client
import io
import json
import sys
import unittest.mock
import zipfile
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest, HTTPHeaders
from botocore.credentials import Credentials

from overlay.shapes import Record
from overlay.tests.support import (
    DEVELOPMENT,
    PRODUCTION,
    REGION,
    TOOLING,
    CloudTest,
    client,
    control,
    endpoint,
    python_function,
    role,
    root_secret,
    unique,
)

_PAGE = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class _Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.body = response.status, response.read()
        self.headers = {name.lower(): value for name, value in response.getheaders()}


def _send(method: str, target: str, headers: Mapping[str, str], body: bytes = b"", port: int | None = None) -> _Answer:
    """Send exactly this, to the emulator or to another server of this machine."""
    port = port or urlsplit(endpoint()).port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.putrequest(method, target, skip_host="Host" in headers, skip_accept_encoding=True)
    for name, value in {**headers, **({"Content-Length": str(len(body))} if body else {})}.items():
        connection.putheader(name, value)
    connection.endheaders(body or None)
    answer = _Answer(connection.getresponse())
    connection.close()
    return answer


def _root(account: str, secret: str | None = None) -> Credentials:
    return Credentials(account, secret or root_secret(account))


def _signed(
    method: str, target: str, body: bytes, credentials: Credentials, service: str = "lambda", host: str | None = None
) -> dict[str, str]:
    """The headers of a request with its signature."""
    own = urlsplit(endpoint()).netloc
    request = AWSRequest(method, f"http://{host or own}{target}", data=body, headers={"Host": host or own})
    SigV4Auth(credentials, service, REGION).add_auth(request)
    return dict(request.headers.items())


def _presigned(target: str, credentials: Credentials, service: str = "sts", expires: int = 60) -> str:
    """The target of a GET with its signature in the query."""
    request = AWSRequest("GET", endpoint() + target)
    signer: Any = S3SigV4QueryAuth if service == "s3" else SigV4QueryAuth
    signer(credentials, service, REGION, expires=expires).add_auth(request)
    parts = urlsplit(request.url)
    return f"{parts.path}?{parts.query}"


def _aged(**ago: int) -> Any:
    """Makes a signature as it was some time ago."""
    then = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) - datetime.timedelta(**ago)
    return unittest.mock.patch("botocore.auth.get_current_datetime", return_value=then)


def _only_the_date(_signer: SigV4Auth, request: AWSRequest) -> HTTPHeaders:
    headers = HTTPHeaders()
    headers["x-amz-date"] = request.headers["X-Amz-Date"]
    return headers


class _Unchanged(CloudTest):
    """Requests that are refused, and leave the functions, users and buckets as they are."""

    def setUp(self) -> None:
        super().setUp()
        name = unique("page")
        self.stack({"Resources": {"Role": role(name, {"Service": "lambda.amazonaws.com"}, [])}}, TOOLING, name=name)
        self.role = f"arn:aws:iam::{TOOLING}:role/{name}"
        self.before = self.state()
        self.addCleanup(lambda: self.assertEqual(self.state(), self.before))

    def state(self) -> list[list[str]]:
        return [
            [one["FunctionName"] for one in client("lambda").list_functions()["Functions"]],
            [one["UserName"] for one in client("iam").list_users()["Users"]],
            [one["Name"] for one in client("s3").list_buckets()["Buckets"]],
            [str(one["id"]) for one in control("GET", "faults")["faults"]],
        ]

    def assert_refused(self, answer: _Answer) -> None:
        self.assertEqual(answer.status, 403, answer.body)
        self.assertFalse([name for name in answer.headers if name.startswith("access-control-")])

    def new_function(self) -> tuple[str, bytes]:
        """The target and the body of a valid CreateFunction."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("index.py", "def handler(event, context):\n    return 1\n")
        body = {
            "FunctionName": unique("page"),
            "Runtime": "python3.12",
            "Handler": "index.handler",
            "Role": self.role,
            "Code": {"ZipFile": base64.b64encode(packed.getvalue()).decode()},
        }
        return "/2015-03-31/functions", json.dumps(body).encode()


class WebPages(_Unchanged):
    """A page in the browser of the developer."""

    def test_a_simple_request_with_credentials_in_the_query_is_refused(self) -> None:
        target, body = self.new_function()
        query = f"?X-Amz-Credential={TOOLING}/20260101/{REGION}/lambda/aws4_request&X-Amz-Signature=00"
        for headers in ({**_PAGE, "Content-Type": "text/plain"}, {"Content-Type": "text/plain"}):
            self.assert_refused(_send("POST", target + query, headers, body))
        self.assert_refused(_send("POST", f"{target}/any/invocations{query}", _PAGE, b"{}"))

    def test_a_valid_signature_does_not_help_a_page(self) -> None:
        target, body = self.new_function()
        signed = _signed("POST", target, body, _root(TOOLING))
        for sign in (
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://127.0.0.1:1"},
            {"Origin": endpoint()},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
        ):
            with self.subTest(sign):
                self.assert_refused(_send("POST", target, {**signed, **sign}, body))
        made = _send("POST", target, signed, body)
        self.assertEqual(made.status, 201, made.body)
        client("lambda").delete_function(FunctionName=json.loads(made.body)["FunctionName"])

    def test_a_name_that_was_bound_to_this_address_is_refused(self) -> None:
        target, body = self.new_function()
        port = urlsplit(endpoint()).port
        hosts = ["evil.example", f"evil.example:{port}", f"127.0.0.1.evil.example:{port}", f"a.localhost:{port}"]
        for host in [*hosts, "127.0.0.1", "127.0.0.1:1", "localhost", f"s3.amazonaws.com:{port}"]:
            with self.subTest(host):
                signed = _signed("POST", target, body, _root(TOOLING), host=host)
                self.assert_refused(_send("POST", target, signed, body))
                for path in ("/_ministack/health", "/_lockstep/faults", "/_aws/lambda-url/any/"):
                    self.assert_refused(_send("GET", path, {"Host": host, "Accept": "text/event-stream"}))

    def test_a_form_is_refused(self) -> None:
        create = b"Action=CreateUser&Version=2010-05-08&UserName=page"
        for headers in ({**_PAGE, **_FORM}, _FORM):
            self.assert_refused(_send("POST", "/", headers, create))
        bucket = unique("page")
        self.assert_refused(_send("PUT", f"/{bucket}", _PAGE))
        self.assert_refused(_send("PUT", f"/{bucket}", {}))
        fault = json.dumps({"on": "call", "effect": {"kind": "reset"}}).encode()
        self.assert_refused(_send("POST", "/_lockstep/faults", {**_PAGE, "Content-Type": "text/plain"}, fault))

    def test_a_question_of_a_browser_is_refused(self) -> None:
        asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization"}
        for path in ("/", "/2015-03-31/functions", "/_lockstep/faults", "/_aws/lambda-url/any/", "/bucket/key"):
            self.assert_refused(_send("OPTIONS", path, {**_PAGE, **asked}))
            self.assert_refused(_send("OPTIONS", path, asked))

    def test_a_web_socket_is_refused(self) -> None:
        upgrade = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        }
        for headers in ({**upgrade, **_PAGE}, upgrade):
            self.assert_refused(_send("GET", "/_aws/execute-api/12345678/live", headers))

    def test_an_inner_path_of_the_emulator_is_refused_with_every_signature(self) -> None:
        for method, path in (
            ("POST", "/_ministack/reset"),
            ("POST", "/_ministack/config"),
            ("GET", f"/_ministack/lambda-code/{TOOLING}/{REGION}/any"),
            ("POST", "/_ministack/health"),
            ("GET", "/_localstack/health"),
        ):
            with self.subTest(path):
                self.assert_refused(_send(method, path, _signed(method, path, b"", _root(TOOLING))))
                self.assert_refused(_send(method, path, {}))


class Signatures(_Unchanged):
    """A caller that is not who it says."""

    def test_a_root_needs_its_own_secret(self) -> None:
        target, body = self.new_function()
        for key, secret in (
            (TOOLING, "test"),
            (TOOLING, root_secret(DEVELOPMENT)),
            (PRODUCTION, root_secret(DEVELOPMENT)),
            ("999999999999", "test"),
            ("test", "test"),
            ("AKIAIOSFODNN7EXAMPLE", "test"),
        ):
            with self.subTest(key):
                self.assert_refused(_send("POST", target, _signed("POST", target, body, _root(key, secret)), body))
                asked = _presigned("/?Action=GetCallerIdentity&Version=2011-06-15", _root(key, secret))
                self.assert_refused(_send("GET", asked, {}))

    def test_a_request_without_a_whole_signature_is_refused(self) -> None:
        target, body = self.new_function()
        signed = _signed("POST", target, body, _root(TOOLING))
        whole = signed["Authorization"]
        credential = f"{TOOLING}/20260101/{REGION}/lambda/aws4_request"
        for authorization in (
            None,
            "Bearer token",
            f"AWS {TOOLING}:00",
            f"AWS4-HMAC-SHA256 Credential={credential}",
            whole[:-1] + ("0" if whole[-1] != "0" else "1"),
            whole.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
            whole.replace("host;", ""),
            whole.replace(f"Credential={TOOLING}/", f"Credential={PRODUCTION}/"),
            f"{whole}, Credential={PRODUCTION}/20260101/{REGION}/lambda/aws4_request",
        ):
            with self.subTest(authorization):
                given = {name: value for name, value in signed.items() if name != "Authorization"}
                answer = _send(
                    "POST", target, {**given, **({"Authorization": authorization} if authorization else {})}, body
                )
                self.assert_refused(answer)
        self.assert_refused(_send("POST", f"{target}?X-Amz-Credential={credential}", signed, body))
        self.assert_refused(_send("POST", f"{target}?AWSAccessKeyId={TOOLING}&Signature=00&Expires=9999999999", {}))

    def test_another_body_or_another_path_is_refused(self) -> None:
        target, body = self.new_function()
        signed = _signed("POST", target, body, _root(TOOLING))
        self.assert_refused(_send("POST", target, signed, body.replace(b"index.handler", b"index.another")))
        stated = {**signed, "X-Amz-Content-SHA256": hashlib.sha256(body).hexdigest()}
        self.assert_refused(_send("POST", target, stated, body.replace(b"index.handler", b"index.another")))
        self.assert_refused(_send("POST", target, {**signed, "X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}, body))
        self.assert_refused(_send("DELETE", f"{target}/any", signed))
        with unittest.mock.patch.object(SigV4Auth, "headers_to_sign", _only_the_date):
            of_every_host = _signed("POST", target, body, _root(TOOLING))
        self.assertIn("SignedHeaders=x-amz-date,", of_every_host["Authorization"])
        self.assert_refused(_send("POST", target, of_every_host, body))

    def test_a_signature_is_good_for_a_quarter_of_an_hour(self) -> None:
        target, body = self.new_function()
        question = "/?Action=GetCallerIdentity&Version=2011-06-15"
        for ago in ({"minutes": 16}, {"minutes": -16}, {"days": 300}):
            with self.subTest(ago), _aged(**ago):
                self.assert_refused(_send("POST", target, _signed("POST", target, body, _root(TOOLING)), body))
                self.assert_refused(_send("GET", _presigned(question, _root(TOOLING), expires=604800), {}))
                self.assert_refused(_send("GET", _presigned("/a/b", _root(TOOLING), "s3", expires=604800), {}))
        with _aged(seconds=30):
            self.assert_refused(_send("GET", _presigned(question, _root(TOOLING), expires=10), {}))

    def test_a_session_needs_its_secret_and_its_token(self) -> None:
        name = unique("session")
        self.stack({"Resources": {"R": role(name, {"AWS": f"arn:aws:iam::{DEVELOPMENT}:root"}, [])}})
        arn = f"arn:aws:iam::{DEVELOPMENT}:role/{name}"
        got = client("sts", DEVELOPMENT).assume_role(RoleArn=arn, RoleSessionName="ada")["Credentials"]
        key, secret, token = (got[one] for one in ("AccessKeyId", "SecretAccessKey", "SessionToken"))
        target, body = "/", b"Action=GetCallerIdentity&Version=2011-06-15"

        def ask(credentials: Credentials) -> _Answer:
            return _send("POST", target, {**_FORM, **_signed("POST", target, body, credentials, "sts")}, body)

        self.assertEqual(ask(Credentials(key, secret, token)).status, 200)
        for wrong in (
            Credentials(key, "wrong", token),
            Credentials(key, secret),
            Credentials(key, secret, token + "x"),
            Credentials(DEVELOPMENT, secret, token),
        ):
            self.assert_refused(ask(wrong))

    def test_the_keys_of_a_function_do_not_follow_from_its_name(self) -> None:
        name = unique("derived")
        code = "def handler(event, context):\n    return 1\n"
        function = python_function({"Fn::GetAtt": ["Role", "Arn"]}, code, name)
        trusted = role(f"{name}-role", {"Service": "lambda.amazonaws.com"}, [])
        self.stack({"Resources": {"Role": trusted, "Function": function}})
        client("lambda", DEVELOPMENT).invoke(FunctionName=name)
        arns = f"arn:aws:lambda:{REGION}:{DEVELOPMENT}:function:{name}:arn:aws:iam::{DEVELOPMENT}:role/{name}-role"
        known = hashlib.sha256(arns.encode()).hexdigest()
        guessed = Credentials(
            f"ASIA{known[:16].upper()}",
            hashlib.sha256(f"secret:{known}".encode()).hexdigest(),
            hashlib.sha256(f"token:{known}".encode()).hexdigest(),
        )
        body = b"Action=GetCallerIdentity&Version=2011-06-15"
        self.assert_refused(_send("POST", "/", {**_FORM, **_signed("POST", "/", body, guessed, "sts")}, body))


class Served(CloudTest):
    """What a tool sends is served, and no page may read the answer."""

    def test_signed_requests_are_served_without_permission_for_pages(self) -> None:
        body = b"Action=GetCallerIdentity&Version=2011-06-15"
        port = urlsplit(endpoint()).port
        for account in (TOOLING, DEVELOPMENT, PRODUCTION):
            for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}"):
                signed = _signed("POST", "/", body, _root(account), "sts", host)
                answer = _send("POST", "/", {**_FORM, **signed}, body)
                self.assertEqual(answer.status, 200, answer.body)
                self.assertIn(f"arn:aws:iam::{account}:root".encode(), answer.body)
                self.assertFalse([name for name in answer.headers if name.startswith("access-control-")])
        asked = _presigned("/?Action=GetCallerIdentity&Version=2011-06-15", _root(TOOLING))
        self.assertEqual(_send("GET", asked, {}).status, 200)
        typed = {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}
        for headers in ({}, typed):
            self.assertEqual(_send("GET", "/_ministack/health", headers).status, 200)

    def test_a_presigned_address_is_good_for_its_object_alone(self) -> None:
        s3, bucket = client("s3", DEVELOPMENT), unique("presigned")
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        for key in ("one", "two"):
            s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
        good = _presigned(f"/{bucket}/one", _root(DEVELOPMENT), "s3")
        self.assertEqual(_send("GET", good, {}).body, b"one")
        last = "0" if good[-1] != "0" else "1"
        for bad in (good.replace("/one?", "/two?"), good[:-1] + last, good.replace("Expires=60", "Expires=61")):
            self.assertEqual(_send("GET", bad, {}).status, 403)
        self.assertEqual(_send("DELETE", good, {}).status, 403)
        self.assertEqual(s3.get_object(Bucket=bucket, Key="one")["Body"].read(), b"one")


_BOOTSTRAP = """#!{python}
import json, os, urllib.request
api = "http://%s/2018-06-01/runtime/invocation/" % os.environ["AWS_LAMBDA_RUNTIME_API"]
while True:
    with urllib.request.urlopen(api + "next") as event:
        request = event.headers["Lambda-Runtime-Aws-Request-Id"]
    answer = json.dumps(dict(os.environ)).encode()
    urllib.request.urlopen(api + request + "/response", data=answer).read()
"""


class Functions(CloudTest):
    """The server from which a function takes its invocations."""

    def environment(self) -> Record:
        """The environment of a function that runs, and goes on to wait for its next invocation."""
        packed, name = io.BytesIO(), unique("runtime")
        with zipfile.ZipFile(packed, "w") as archive:
            entry = zipfile.ZipInfo("bootstrap")
            entry.external_attr = 0o755 << 16
            archive.writestr(entry, _BOOTSTRAP.format(python=sys.executable))
        self.stack({"Resources": {"Role": role(name, {"Service": "lambda.amazonaws.com"}, [])}})
        api = client("lambda", DEVELOPMENT)
        api.create_function(
            FunctionName=name,
            Runtime="provided.al2023",
            Handler="bootstrap",
            Role=f"arn:aws:iam::{DEVELOPMENT}:role/{name}",
            Code={"ZipFile": packed.getvalue()},
        )
        found: Record = json.loads(api.invoke(FunctionName=name)["Payload"].read())
        return found

    def test_a_page_reaches_no_function_and_no_function_inherits_the_secrets(self) -> None:
        environment = self.environment()
        self.assertNotIn(root_secret(TOOLING), json.dumps(environment))
        own = environment["AWS_LAMBDA_RUNTIME_API"]
        port = int(own.rpartition(":")[2])
        invocation = "/2018-06-01/runtime/invocation"
        for headers in (_PAGE, {"Host": f"evil.example:{port}"}, {"Host": endpoint()}, {"Sec-Fetch-Site": "same-site"}):
            with self.subTest(headers):
                self.assertEqual(_send("GET", f"{invocation}/next", headers, port=port).status, 403)
                self.assertEqual(_send("POST", f"{invocation}/any/response", headers, b"1", port=port).status, 403)
        # The same server answers a client that is no page: there is no such path.
        self.assertEqual(_send("GET", "/none", {"Host": own}, port=port).status, 404)
