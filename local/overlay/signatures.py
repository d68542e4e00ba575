"""The signature of each request, also of an account's root, and secrets that cannot be guessed.

Under ``AUTH=true`` ministack checks the signatures of users and of sessions, on its way to a service. It takes every
signature of a root access key (an account's id, or ``test``), and needs none at some paths. Here a request is checked
before its path is looked at. The secret of a root key is random for each run: the parent hands it over in the
environment, from which it is removed before a function can inherit it.

ministack derives the keys with which a function calls AWS from the names of the function and of its role. Here they
follow from a random value too.
"""

import dataclasses
import datetime
import hashlib
import json
import os
import secrets
from typing import Any

from ministack.core import iam_evaluator, sigv4
from ministack.core.iam_evaluator import AuthError, CredentialResolutionError, ResolvedCredential
from ministack.core.responses import _account_from_sts_session
from ministack.core.router import extract_access_key_id

from overlay import patched
from overlay.shapes import Headers, Query, Record

_LONGEST_AGE = datetime.timedelta(minutes=15)
_ALGORITHM = "AWS4-HMAC-SHA256"
_PARTS = {"x-amz-algorithm", "x-amz-credential", "x-amz-signature", "awsaccesskeyid"}
_root_secrets: dict[str, str] = json.loads(os.environ.pop("LOCKSTEP_ROOT_SECRETS", "{}"))
_salt = secrets.token_hex()
_resolve_credential = patched.RESOLVE_CREDENTIAL.current()
_execution_credentials = patched.EXECUTION_CREDENTIALS.current()


def install() -> None:
    """Replace what finds the secret of a key, and what makes the keys of a function."""
    patched.RESOLVE_CREDENTIAL.replace(resolve_credential, "ministack.services.s3", "ministack.services.sts")
    patched.EXECUTION_CREDENTIALS.replace(execution_credentials, "ministack.services.lambda_svc")


def resolve_credential(
    access_key_id: str, account_id: str | None = None, session_token: Any = iam_evaluator._SESSION_TOKEN_NOT_CHECKED
) -> ResolvedCredential | CredentialResolutionError:
    """ministack's answer, with the secret of a root key. A root key that is no account's has one that nothing knows."""
    found = _resolve_credential(access_key_id, account_id, session_token)
    if isinstance(found, ResolvedCredential) and iam_evaluator.is_root_access_key(access_key_id):
        secret = _root_secrets.get(access_key_id) or secrets.token_hex()
        return dataclasses.replace(found, secret_access_key=secret)
    return found


def execution_credentials(config: Record) -> dict[str, str]:
    """The keys of a function. ministack derives them from its ARN and that of its role, whose last part it uses."""
    name = config.get("Role", "").rpartition("/")[2]
    return _execution_credentials({**config, "Role": f"{_salt}/{name}"})


def carries_one(headers: Headers, query: Query) -> bool:
    """Returns whether a request has any part of a signature, in whatever form."""
    return headers.get("authorization", "").startswith("AWS") or any(name.lower() in _PARTS for name in query)


def failure(method: str, raw_path: str, query: Query, headers: Headers, body: bytes) -> AuthError | None:
    """Returns why a request is not its caller's; ``None`` if its signature is valid."""
    if not carries_one(headers, query):
        return AuthError("MissingAuthenticationToken", "Request is missing Authentication Token")
    presigned = "authorization" not in headers
    signature = sigv4.parse_query_signature(query) if presigned else sigv4.parse_header_signature(headers)
    if isinstance(signature, tuple):
        return AuthError(*signature)
    if not _is_the_only_one(signature, presigned, query, headers) or not _covers(signature, headers, body):
        return AuthError("SignatureDoesNotMatch", sigv4.SIGNATURE_MISMATCH)
    if _is_old(signature, query):
        return AuthError("RequestTimeTooSkewed", f"Signature expired: {signature.amz_date} is not the current time")
    key = signature.access_key_id
    account = _account_from_sts_session(key) or iam_evaluator.find_iam_access_key_account(key) or key
    token = query.get("X-Amz-Security-Token", [""])[0] if presigned else headers.get("x-amz-security-token", "")
    credential = resolve_credential(key, account, token)
    if isinstance(credential, CredentialResolutionError):
        return AuthError(credential.code, credential.message)
    mismatch = sigv4.header_signature_failure(
        signature, credential.secret_access_key, method, raw_path, query, headers, body, presigned=presigned
    )
    return AuthError(*mismatch) if mismatch else None


def _is_the_only_one(signature: sigv4.HeaderSignature, presigned: bool, query: Query, headers: Headers) -> bool:
    """Returns whether this is the signature by which every other part of the emulator knows the caller."""
    algorithm = query.get("X-Amz-Algorithm", [""])[0] if presigned else headers["authorization"].partition(" ")[0]
    return (
        algorithm == _ALGORITHM
        and (presigned or not any(name.lower() in _PARTS for name in query))
        and extract_access_key_id(headers, query) == signature.access_key_id
        and headers.get("authorization", "").count("Credential=") <= 1
    )


def _covers(signature: sigv4.HeaderSignature, headers: Headers, body: bytes) -> bool:
    """Returns whether the signature is of this host and of this body. S3 takes one of no body, as AWS does."""
    stated = headers.get("x-amz-content-sha256", "")
    of_body = stated in ("", hashlib.sha256(body).hexdigest())
    unsigned = signature.service == "s3" and stated.startswith(("UNSIGNED-PAYLOAD", "STREAMING-"))
    return "host" in signature.signed_headers.split(";") and (of_body or unsigned)


def _is_old(signature: sigv4.HeaderSignature, query: Query) -> bool:
    """Returns whether a signature is older than a quarter of an hour or than it says itself, or from the future."""
    try:
        made = datetime.datetime.strptime(signature.amz_date, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
        stated = datetime.timedelta(seconds=int(query.get("X-Amz-Expires", ["900"])[0]))
    except (ValueError, OverflowError):
        return True
    return not -_LONGEST_AGE <= datetime.datetime.now(datetime.timezone.utc) - made <= min(stated, _LONGEST_AGE)
