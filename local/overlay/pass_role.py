"""``iam:PassRole``: a call that gives a role to a service needs the right to pass that role to that service.

A role that a stack or a project already has is not passed again by a call that does not name it, as on AWS. What
CloudFormation itself passes while it makes resources is not asked about: its own calls are not enforced here.
"""

from collections.abc import Iterable
from typing import Any

from ministack.services import iam

from overlay import checks
from overlay.checks import Check, Request

_STACKS = ("CreateStack", "UpdateStack", "DeleteStack", "CreateChangeSet", "ContinueUpdateRollback", "RollbackStack")
_IN_QUERY = {("cloudformation", action): (["RoleARN"], "cloudformation.amazonaws.com") for action in _STACKS}
_IN_JSON = {
    ("lambda", "CreateFunction"): (["Role"], "lambda.amazonaws.com"),
    ("lambda", "UpdateFunctionConfiguration"): (["Role"], "lambda.amazonaws.com"),
    ("states", "CreateStateMachine"): (["roleArn"], "states.amazonaws.com"),
    ("states", "UpdateStateMachine"): (["roleArn"], "states.amazonaws.com"),
    ("events", "PutRule"): (["RoleArn"], "events.amazonaws.com"),
    ("events", "PutTargets"): (["Targets.*.RoleArn"], "events.amazonaws.com"),
    ("scheduler", "CreateSchedule"): (["Target.RoleArn"], "scheduler.amazonaws.com"),
    ("scheduler", "UpdateSchedule"): (["Target.RoleArn"], "scheduler.amazonaws.com"),
    ("codebuild", "CreateProject"): (["serviceRole"], "codebuild.amazonaws.com"),
    ("codebuild", "UpdateProject"): (["serviceRole"], "codebuild.amazonaws.com"),
    ("codebuild", "StartBuild"): (["serviceRoleOverride"], "codebuild.amazonaws.com"),
    ("logs", "PutSubscriptionFilter"): (["roleArn"], "logs.amazonaws.com"),
}
# The instance's profile is named, its role is passed.
_PROFILES = {
    "RunInstances": "IamInstanceProfile",
    "AssociateIamInstanceProfile": "IamInstanceProfile",
    "ReplaceIamInstanceProfileAssociation": "IamInstanceProfile",
}
PASSING = {*_IN_QUERY, *_IN_JSON, *(("ec2", action) for action in _PROFILES)}
"""Every call that passes a role: what the suite goes through."""


def install() -> None:
    """Ask beside whatever else a call needs."""
    checks.beside(asked)


def asked(request: Request) -> list[Check]:
    """Returns a check for each role that a call passes."""
    return [
        Check("iam:PassRole", role, {"iam:PassedToService": service})
        for role, service in _passed(request)
        if isinstance(role, str) and role
    ]


def _passed(request: Request) -> Iterable[tuple[Any, str]]:
    call = (request.service, request.action)
    if call in _IN_QUERY:
        fields, service = _IN_QUERY[call]
        yield from ((request.text(name), service) for name in fields)
    elif call in _IN_JSON:
        paths, service = _IN_JSON[call]
        yield from ((role, service) for path in paths for role in _at(request.json, path.split(".")))
    elif request.service == "ec2" and request.action in _PROFILES:
        for role in _roles_of_profile(request, _PROFILES[request.action]):
            yield role, "ec2.amazonaws.com"


def _at(value: Any, path: list[str]) -> Iterable[Any]:
    """Returns what is found at a path; ``*`` is each element of a list."""
    if not path:
        yield value
    elif path[0] == "*" and isinstance(value, list):
        for one in value:
            yield from _at(one, path[1:])
    elif isinstance(value, dict) and path[0] in value:
        yield from _at(value[path[0]], path[1:])


def _roles_of_profile(request: Request, name: str) -> Iterable[str]:
    profile = request.text(f"{name}.Name") or request.text(f"{name}.Arn").rpartition("/")[2]
    for role in (iam._instance_profiles.get(profile) or {}).get("Roles", []) if profile else []:
        name = role if isinstance(role, str) else role["RoleName"]
        yield iam._roles[name]["Arn"] if name in iam._roles else f"arn:aws:iam::{request.account}:role/{name}"
