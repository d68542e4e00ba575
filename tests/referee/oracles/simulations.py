"""Judges the answers of the local cloud to SimulatePrincipalPolicy.

`lockstep plan` warns of permissions that an execution role lacks, as AWS's simulation says. A policy evaluator must
give the same answer for every recorded simulation: for each action on each resource, under the role's policies and
boundary.
"""

import json
import re
from collections.abc import Callable

from referee import identities, recordings
from referee.context import Context
from referee.evaluator import Answer, Questions
from referee.requests import Permission
from referee.verdict import Verdict

_DECISIONS = {"allowed": "Allowed", "implicitDeny": "ImplicitlyDenied", "explicitDeny": "ExplicitlyDenied"}


def judge(context: Context) -> Verdict:
    """Compares each recorded decision with the evaluator's."""
    verdict = Verdict()
    questions = Questions()
    for recording in recordings.load(context, verdict):
        for request in recording.requests():
            if request["operation"] == "SimulatePrincipalPolicy" and request["answer"]["status"] == 200:
                verdict.judged("simulations")
                _simulation(recording, request, questions, verdict)
    questions.answer(context)
    return verdict


def _simulation(recording: recordings.Recording, request: dict, questions: Questions, verdict: Verdict) -> None:
    parameters = request["parameters"]
    source = parameters["PolicySourceArn"]
    place = recording.place(request["seq"])
    if source.split(":")[5].partition("/")[0] != "role":
        verdict.find(place, f"simulates {source}, which is no role")
        return
    identity = identities.of_role(recording, source, request["began"])
    context = {
        entry["ContextKeyName"]: entry["ContextKeyValues"]
        if len(entry["ContextKeyValues"]) > 1
        else entry["ContextKeyValues"][0]
        for entry in parameters.get("ContextEntries", [])
    }
    asked = {
        (action, resource) for action in parameters["ActionNames"] for resource in parameters.get("ResourceArns", ["*"])
    }
    answered = {(one["action"], one["resource"]) for one in request["answer"]["decisions"]}
    for action, resource in sorted(asked - answered):
        verdict.find(place, f"nothing is answered for {action} on {resource}")
    for one in request["answer"]["decisions"]:
        if one["missing"]:
            # The product calls it unknown, whatever the decision.
            verdict.judged("decisions that lack a condition key")
            continue
        verdict.judged("decisions")
        # A simulation takes an ARN literally; the evaluator would look for every resource that a pattern names.
        resource = one["resource"] if one["resource"] == "*" else re.sub(r"[*?]", "x", one["resource"])
        account = (resource.split(":") + [""] * 5)[4] or identity.account or ""
        permission = Permission(one["action"], resource, account, context)
        questions.ask(identity, permission, _own(resource, account), _comparing(verdict, place, one))


def _own(resource: str, account: str) -> dict | None:
    """Returns the default policy of a key: a simulation omits the policies of resources."""
    if not (resource.startswith("arn:") and ":kms:" in resource):
        return None
    principal = {"AWS": f"arn:aws:iam::{account}:root"}
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": principal, "Action": "kms:*", "Resource": "*"}],
    }


_FITS_NO_FORMAT = "no.resource.types"


def _comparing(verdict: Verdict, place: str, one: dict) -> Callable[[Answer], None]:
    def compare(answer: Answer) -> None:
        what = f"{one['action']} on {one['resource']}"
        if answer.result == "Error" and _FITS_NO_FORMAT in str(answer.why):
            # The name is made up. IAM compares text and requires no format, so there is nothing to compare.
            verdict.judged("decisions on names that fit no format, not compared")
        elif answer.result == "Error":
            verdict.find(place, f"the evaluator does not judge {what}: {answer.why}")
        elif answer.result != _DECISIONS[one["decision"]]:
            verdict.find(place, f"{what} is answered with {one['decision']}, and is {answer.result}")

    return compare


def _change(edit: Callable[[dict], bool], named: str) -> Callable[[Context], str]:
    """Returns a mistake in the first recorded simulation that the edit applies to."""

    def plant(copy: Context) -> str:
        folder = copy.own_recordings()
        for path in sorted(folder.glob("*.jsonl")):
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            for number, line in enumerate(lines):
                if '"SimulatePrincipalPolicy"' in line and edit(entry := json.loads(line)):
                    lines[number] = json.dumps(entry) + "\n"
                    path.write_text("".join(lines), encoding="utf-8")
                    return named
        raise ValueError("the recording holds no simulation that the mistake could change")

    return plant


def _deny(entry: dict) -> bool:
    for one in entry["answer"].get("decisions", []):
        if one["decision"] == "allowed" and not one["missing"]:
            one["decision"] = "implicitDeny"
            return True
    return False


def _allow(entry: dict) -> bool:
    # Operators choose the permissions of a CloudFormation role, so it may have all.
    role = entry["parameters"]["PolicySourceArn"].rpartition("/")[2]
    if entry["answer"]["status"] != 200 or role.endswith("-cloudformation"):
        return False
    entry["parameters"]["ActionNames"].append("iam:DeleteAccountAlias")
    entry["parameters"].pop("ResourceArns", None)
    entry["answer"]["decisions"] = [
        {"action": action, "resource": "*", "decision": "allowed", "missing": []}
        for action in entry["parameters"]["ActionNames"]
    ]
    return True


def _drop(entry: dict) -> bool:
    return bool(entry["answer"].get("decisions")) and entry["answer"]["decisions"].pop() is not None


PLANTED = [
    ("a permission that the role has is answered with implicitDeny", _change(_deny, "is answered with implicitDeny")),
    ("a permission that no role of ours has is answered with allowed", _change(_allow, "iam:DeleteAccountAlias")),
    ("an action of the question is not answered", _change(_drop, "nothing is answered")),
]
