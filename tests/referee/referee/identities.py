"""Finds the policies of a caller: identity policies, boundary and session policies, and the policy of a resource."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from referee.recordings import Recording


@dataclass(frozen=True)
class Policy:
    """A policy document and its owner."""

    owner: str
    name: str
    document: dict = field(compare=False)
    attached: bool = False


@dataclass
class Identity:
    """A principal and its policies."""

    principal: str
    account: str | None
    policies: list[Policy] = field(default_factory=list)
    boundaries: list[dict] = field(default_factory=list)
    session: dict | None = None
    context: dict = field(default_factory=dict)


class NoPolicy(Exception):
    """The error of a caller without a recorded policy."""


def of_request(recording: Recording, request: dict, root: Path) -> Identity:
    """Returns the caller of a request, and its policies when the request began."""
    caller, seq = request["caller"], request["began"]
    if request["claims"] == "installer":
        user = f"arn:aws:iam::{caller['account']}:user/installer"
        policies = _installer_policies(recording, request, root)
        return Identity(user, caller["account"], policies, context={"aws:PrincipalArn": user})
    if caller["type"] == "AssumedRole":
        identity = of_role(recording, _role_arn(recording, caller), seq, caller["session_name"])
        identity.context["aws:userid"] = caller["user_id"]
        if caller.get("session_policies"):
            raise NoPolicy("session policies are not judged yet")
        identity.context.update({f"aws:PrincipalTag/{key}": value for key, value in caller["principal_tags"].items()})
        return identity
    if caller["type"] == "User":
        return _of_user(recording, request)
    if caller["type"] == "Anonymous":
        return Identity("anonymous", None)
    raise NoPolicy(f"a caller of the type {caller['type']} has no policy")


def _role_arn(recording: Recording, caller: dict) -> str:
    for _, arn, state in recording.every("role"):
        if state["account"] == caller["account"] and state["name"] == caller["role"]:
            return arn
    raise NoPolicy(f"no policies of the role {caller['role']} were recorded")


def of_role(recording: Recording, arn: str, seq: int, session: str = "session") -> Identity:
    """Returns a session of a role under the policies in force at a number."""
    state = recording.state("role", arn, seq)
    if state is None:
        raise NoPolicy(f"the role {arn} did not exist")
    principal = f"arn:aws:sts::{state['account']}:assumed-role/{state['name']}/{session}"
    identity = _with_policies(recording, Identity(principal, state["account"]), state, seq)
    identity.context["aws:PrincipalArn"] = arn
    return identity


def _of_user(recording: Recording, request: dict) -> Identity:
    caller, seq = request["caller"], request["began"]
    identity = Identity(caller["arn"], caller["account"], context={"aws:PrincipalArn": caller["arn"]})
    claimed = f"lockstep-{request['claims']}"
    for _, arn, state in recording.every("managed-policy"):
        if state["account"] == caller["account"] and arn.endswith(f":policy/{claimed}"):
            document = recording.state("managed-policy", arn, seq)
            identity.policies = [Policy(claimed, claimed, document["document"])] if document else []
            return identity
    # In a target account the account itself chooses the permissions of users: there is no policy of ours to check.
    user = recording.state("user", caller["arn"], seq)
    if user is None:
        raise NoPolicy(f"the user {caller['arn']} did not exist")
    return _with_policies(recording, identity, user, seq)


def _with_policies(recording: Recording, identity: Identity, state: dict, seq: int) -> Identity:
    owner = state["name"]
    identity.policies = [Policy(owner, name, document) for name, document in sorted(state["inline"].items())]
    for arn in state["attached"]:
        identity.policies.append(Policy(owner, arn.rpartition("/")[2], _managed(recording, arn, seq), attached=True))
    if state["boundary"]:
        identity.boundaries = [_managed(recording, state["boundary"], seq)]
    identity.context.update({f"aws:PrincipalTag/{key}": value for key, value in state["tags"].items()})
    return identity


def inline_only(identity: Identity) -> Identity:
    """Returns an identity without the managed policies that an account attached to it."""
    return replace(identity, policies=[policy for policy in identity.policies if not policy.attached])


def _managed(recording: Recording, arn: str, seq: int) -> dict:
    state = recording.state("managed-policy", arn, seq)
    if state is None:
        raise NoPolicy(f"the managed policy {arn} was not recorded")
    return state["document"]


def of_resource(recording: Recording, action: str, resource: str, seq: int) -> tuple[str, dict] | None:
    """Returns the policy of a resource and its owner, or None without one."""
    service = action.partition(":")[0]
    if service == "sts":
        state = recording.state("role", resource, seq)
        return ("trust", state["trust"]) if state else ("trust", {"Version": "2012-10-17", "Statement": []})
    if service == "s3":
        return _own(recording, "bucket-policy", resource.split("/")[0], seq)
    if service == "lambda":
        return _own(recording, "function-policy", ":".join(resource.split(":")[:7]), seq)
    kinds = {"kms": "key", "sqs": "queue", "sns": "topic", "secretsmanager": "secret", "events": "event-bus"}
    return _own(recording, kinds[service], resource, seq) if service in kinds else None


def _own(recording: Recording, what: str, identifier: str, seq: int) -> tuple[str, dict] | None:
    state = recording.state(what, identifier, seq)
    return (what, state["policy"]) if state and state["policy"] else None


def _installer_policies(recording: Recording, request: dict, root: Path) -> list[Policy]:
    """Returns the written policies of the installer: of the control plane's account, or of target accounts."""
    tooling = {state["account"] for _, _, state in recording.every("role") if state["name"] == "lockstep-ledger-role"}
    name = "installer-policy" if request["account"] in tooling else "installer-target-policy"
    paths = sorted((root / "infra").glob(f"{name}*.json"))
    if not paths:
        raise NoPolicy(f"infra/{name}.json says what installing needs, and is not there")
    return [Policy("installer", path.stem, json.loads(path.read_text(encoding="utf-8"))) for path in paths]
