"""Judges with a third-party policy evaluator that AWS would allow each call that succeeded.

The evaluator judges the recorded calls, and the calls of AWS services for Lockstep, by the policies in force: identity
policies, trust policies, boundaries, resource policies. It also judges the calls that must be denied. Every role of
infra/ must be judged, and every Allow statement must be used, unless data/unused.yaml gives a reason.
"""

import json
import re
from collections.abc import Callable, Iterator

import yaml

from referee import identities, recordings, requests, service_calls, statements
from referee.context import Context
from referee.evaluator import Answer, Questions
from referee.identities import Identity
from referee.planting import replace
from referee.recordings import Recording
from referee.requests import Permission
from referee.verdict import Verdict

# The location of the local cloud's accounts, and so of the recorded roles.
REGION = "eu-west-1"

# The tables of the ledger, by owner.
TABLES = (
    "authority",
    "approvals",
    "delivery",
    "promotion",
    "delivery-images",
    "promotion-images",
    "callbacks",
    "intake",
    "sweep",
)


def judge(context: Context) -> Verdict:
    """Judges the recordings and the tables."""
    verdict = Verdict()
    found = recordings.load(context, verdict)
    if not found:
        return verdict
    judge = _Judge(context, verdict)
    for recording in found:
        judge.requests(recording)
        judge.derived(recording)
        judge.programs(recording)
    judge.denied(found)
    verdict.judged("permissions", judge.questions.number)
    verdict.judged("different permissions", judge.questions.answer(context))
    for (who, *_), times in judge.refused.items():
        verdict.find(who, times[0] + (f"; and {len(times) - 1} times more" if len(times) > 1 else ""))
    judge.table_follows_the_reference()
    judge.used.judge(context, verdict)
    return verdict


def _load(context: Context, name: str) -> dict:
    return yaml.safe_load((context.data / f"{name}.yaml").read_text(encoding="utf-8")) or {}


class _Judge:
    """Asks about calls, and finds wrong results."""

    def __init__(self, context: Context, verdict: Verdict) -> None:
        self.context, self.verdict = context, verdict
        self.questions = Questions()
        self.used = statements.Used()
        self.table = _load(context, "operations")
        self.refused: dict[tuple, list[str]] = {}
        # The resource types that each action in a row of an operation was judged on.
        self.types: dict[tuple[str, str], set[str]] = {}

    def requests(self, recording: Recording) -> None:
        """Asks about every request of Lockstep that AWS would have to allow."""
        for request in recording.requests():
            if not recordings.is_judged(request):
                self.verdict.judged("requests of tests, left out")
            elif not _succeeded(request["answer"]):
                self.verdict.judged("requests that were refused or lost, left out")
            else:
                self.verdict.judged("requests")
                self.request(recording, request)

    def request(self, recording: Recording, request: dict) -> None:
        place = recording.place(request["seq"])
        name = f"{request['service']}:{request['operation']}"
        try:
            identity = identities.of_request(recording, request, self.context.root)
            for permission in requests.expand(self.table, request, recording):
                self.ask(recording, request["began"], place, name, identity, permission)
        except (identities.NoPolicy, requests.Unknown) as error:
            self.verdict.find(place, str(error))

    def derived(self, recording: Recording) -> None:
        """Asks about the calls of AWS services for Lockstep."""
        problems: list[tuple[str, str]] = []
        for call in service_calls.derive(recording, problems):
            self.verdict.judged("derived calls")
            self.ask(recording, call.seq, recording.place(call.seq), call.why, call.identity, call.permission)
        for place, problem in problems:
            self.verdict.find(place, problem)

    def programs(self, recording: Recording) -> None:
        """Asks about the calls of third-party programs with roles of Lockstep, by data/unrecorded.yaml."""
        for program in _load(self.context, "unrecorded"):
            for newest, arn, state in recording.latest("role"):
                if not statements.matches(program["role"], state["name"]):
                    continue
                seq = recording.last_before_removal("role", arn, newest)
                names = _names(recording, state)
                identity = identities.of_role(recording, arn, seq)
                for row in program["calls"]:
                    self.verdict.judged("calls of programs")
                    permission = _permission(row, names)
                    own = _own(recording, row, permission, seq)
                    self.ask(recording, seq, recording.place(seq), program["program"], identity, permission, own)

    def ask(
        self,
        recording: Recording,
        seq: int,
        place: str,
        why: str,
        identity: Identity,
        permission: Permission,
        own: dict | None = None,
    ) -> None:
        """Asks about a call that must be allowed."""
        own = own or _own(recording, {}, permission, seq)

        def then(answer: Answer) -> None:
            self.types.setdefault((why, permission.action), set()).add(answer.type or "*")
            if answer.result == "Allowed":
                self.used.note(identity, permission, answer)
            elif not _granted(recording, identity, permission, seq):
                # A denial of the same call on many resources of one type is reported once.
                refused = (_short(identity), why, permission.action, answer.type, answer.result)
                self.refused.setdefault(refused, []).append(_refusal(place, why, permission, answer))

        self.questions.ask(identity, permission, own, then)

    def denied(self, found: list[Recording]) -> None:
        """Asks about the calls that must be denied: each must be in a recording's roles, and denied there."""
        table = _load(self.context, "denied")
        for owner, rows in table.items():
            asked = False
            for recording in found:
                for identity, seq, names in self.owners(recording, owner):
                    asked = True
                    for number, row in enumerate(rows, start=1):
                        self.verdict.judged("calls that must be denied")
                        permission = _permission(row, names)
                        own = _own(recording, row, permission, seq)
                        judged = identities.inline_only(identity) if row.get("inline") else identity
                        self.must_be_denied(f"{owner} {number}", judged, permission, own)
            if not asked:
                self.verdict.find("data/denied.yaml", f"{owner}: no recording has a role or policy of that name")
        self.used.denied = table

    def owners(self, recording: Recording, owner: str) -> Iterator[tuple[Identity, int, dict]]:
        """Yields the policy owners that a name of the table means: roles, a command's policy, or AWS's services."""
        for newest, arn, state in recording.latest("role"):
            if statements.matches(owner, state["name"]):
                seq = recording.last_before_removal("role", arn, newest)
                yield identities.of_role(recording, arn, seq), seq, _names(recording, state)
        for _, arn, state in recording.latest("managed-policy"):
            if arn.endswith(f"policy/{owner}"):
                user = f"arn:aws:iam::{state['account']}:user/any"
                policy = identities.Policy(owner, owner, state["document"])
                yield Identity(user, state["account"], [policy]), recording.lines[-1]["seq"], _names(recording, state)

    def must_be_denied(self, where: str, identity: Identity, permission: Permission, own: dict | None) -> None:
        """Asks about a call that must be denied."""

        def then(answer: Answer) -> None:
            if answer.result not in ("ImplicitlyDenied", "ExplicitlyDenied"):
                asked = f"{permission.action} on {permission.resource}"
                what = f"{asked} must be denied, and is {answer.result} {answer.why or answer.by}"
                self.verdict.find(f"data/denied.yaml: {where}", what)

        self.questions.ask(identity, permission, own, then)

    def table_follows_the_reference(self) -> None:
        """Finds rows that AWS's reference contradicts: an unknown action, a resource too many, a type missing."""
        rows = [(operation, row) for operation, rows in self.table.items() for row in rows or []]
        known = json.loads(self.context.node("reference", stdin=json.dumps(sorted({row["action"] for _, row in rows}))))
        where = "data/operations.yaml"
        for operation, row in rows:
            self.verdict.judged("rows compared with the service reference")
            reference, action = known[row["action"]], row["action"]
            if reference is None:
                self.verdict.find(where, f"{operation}: AWS knows no action {action}")
            elif bool(reference["types"]) != ("resource" in row):
                self.verdict.find(where, f"{operation}: {action} takes {'a' if reference['types'] else 'no'} resource")
        for (operation, action), types in self.types.items():
            reference = known.get(action) if operation in self.table else None
            missing = set(reference["required"]) - types - _OF_OTHERS.get(action, set()) if reference else ()
            if missing:
                self.verdict.find(where, f"{operation}: {action} is never judged on {', '.join(sorted(missing))}")


# Types that AWS marks as required although one of them is enough.
_OF_OTHERS = {
    "states:DescribeExecution": {"express"},
    "states:ListExecutions": {"maprun"},
}


def _names(recording: Recording, state: dict) -> dict[str, str]:
    """Returns the values of the tables' placeholders: the location of a role, its stack, and the stack's log group."""
    account, stack = state["account"], re.sub(r"-[A-Za-z]+-[0-9A-F]+$", "", state.get("name", ""))
    groups = [
        arn for _, arn, group in recording.latest("log-group") if group["account"] == account and stack and stack in arn
    ]
    region = groups[0].split(":")[3] if groups else REGION
    return {
        "partition": "aws",
        "region": region,
        "account": account,
        **{table: f"arn:aws:dynamodb:{REGION}:{account}:table/lockstep-{table}" for table in TABLES},
        "stack": stack,
        "log_group": groups[0].split(":log-group:")[1] if groups else "none",
    }


def _succeeded(answer: dict) -> bool:
    """Returns true if a call succeeded; EC2 reports the success of a dry run as an error."""
    return 200 <= answer["status"] < 400 or answer["error_code"] == "DryRunOperation"


def _permission(row: dict, names: dict) -> Permission:
    row = json.loads(re.sub(r"\{([\w-]+)\}", lambda match: names[match[1]], json.dumps(row)))
    if unknown := set(row) - {"past", "action", "resource", "context", "key", "inline"}:
        raise ValueError(f"a row has the unknown field(s) {', '.join(map(str, sorted(unknown)))}: {row}")
    resource = row.get("resource", "*")
    owner = resource.split(":")[4] if resource.startswith("arn:") else ""
    return Permission(row["action"], resource, owner if owner.isdigit() else names["account"], row.get("context", {}))


def _own(recording: Recording, row: dict, permission: Permission, seq: int) -> dict | None:
    """Returns the policy of the resource: the recorded one, or that of a key whose policy delegates to its account."""
    if row.get("key"):
        everything = {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{permission.account}:root"},
            "Action": "kms:*",
            "Resource": "*",
        }
        return {"Version": "2012-10-17", "Statement": [everything]}
    own = identities.of_resource(recording, permission.action, permission.resource, seq)
    return own[1] if own else None


def _granted(recording: Recording, identity: Identity, permission: Permission, seq: int) -> bool:
    """Returns true if a grant of a key allows the call without a policy."""
    if not permission.action.startswith("kms:"):
        return False
    key = recording.state("key", permission.resource, seq)
    operation = permission.action.partition(":")[2]
    role = identity.context.get("aws:PrincipalArn")
    return any(
        grant["GranteePrincipal"] == role and operation in grant["Operations"]
        for grant in (key or {}).get("grants", [])
    )


def _short(identity: Identity) -> str:
    return (
        identity.principal.split(":", 5)[-1].rsplit("/", 1)[0]
        if ":assumed-role/" in identity.principal
        else identity.principal
    )


def _refusal(place: str, why: str, permission: Permission, answer: Answer) -> str:
    context = {key: value for key, value in permission.context.items() if value}
    suffix = f" ({answer.why})" if answer.why else ""
    asked = f"{permission.action} on {permission.resource}"
    return f"{place}: {why}: {asked} is {answer.result}{suffix}; context {json.dumps(context)}"


def _in_recording(kind: str, change: Callable[[dict], bool], named: str) -> Callable[[Context], str]:
    """Returns a planting that changes lines of a kind in the recordings."""

    def plant(copy: Context) -> str:
        changed = 0
        for path in sorted(copy.own_recordings().glob("*.jsonl")):
            lines = []
            for text in path.read_text(encoding="utf-8").splitlines():
                line = json.loads(text)
                fits = line["kind"] == kind and change(line)
                changed += 1 if fits else 0
                lines.append(json.dumps(line) if fits else text)
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        if not changed:
            raise ValueError("no line of the recordings is one to change: the planted mistake must follow the roles")
        return named

    return plant


def _role(name: str, change: Callable[[dict], object]) -> Callable[[dict], bool]:
    """Returns a change of the policies of a role."""

    def apply(line: dict) -> bool:
        return (
            line["what"] == "role"
            and bool(line["state"])
            and line["state"]["name"] == name
            and bool(change(line["state"]))
        )

    return apply


def _without(action: str) -> Callable[[dict], bool]:
    """Returns a change that takes an action out of a role's policies."""

    def change(state: dict) -> bool:
        found = False
        for document in state["inline"].values():
            for statement in document["Statement"]:
                if isinstance(statement["Action"], list) and action in statement["Action"]:
                    statement["Action"].remove(action)
                    found = True
                elif statement["Action"] == action:
                    statement["Action"], found = "ec2:DescribeTags", True
                    statement["Resource"] = "*"
        return found

    return change


def _keys_changed(state: dict) -> bool:
    text = json.dumps(state["inline"])
    state["inline"] = json.loads(text.replace("WAIT#", "WEIGHT#"))
    return "WAIT#" in text


def _trust_changed(state: dict) -> bool:
    text = json.dumps(state["trust"])
    state["trust"] = json.loads(text.replace("lambda.amazonaws.com", "ec2.amazonaws.com"))
    return "lambda.amazonaws.com" in text


def _allow_all(state: dict) -> bool:
    state["inline"]["all"] = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
    }
    return True


def _unknown_operation(line: dict) -> bool:
    if line["operation"] != "GetCallerIdentity":
        return False
    line["operation"] = "GetSessionToken"
    return True


def _bus_closed(line: dict) -> bool:
    if line["what"] != "event-bus" or not line["state"] or not line["state"]["policy"]:
        return False
    line["state"]["policy"]["Statement"] = []
    return True


def _needless(copy: Context) -> str:
    statement = (
        "              - Sid: {}\n                Effect: Allow\n"
        "                Action: {}\n                Resource: {}\n"
    )
    before = "              - Sid: StartReleases\n"
    added = statement.format("Needless", "sqs:SendMessage", '"*"')
    replace(copy.root / "infra" / "control-plane" / "template.yaml", before, added + before)
    return "Needless"


PLANTED = [
    ("a statement that no call uses and no denied call goes past", _needless),
    (
        "a permission that was removed",
        _in_recording(
            "policies", _role("lockstep-webhook-role", _without("states:StartExecution")), "states:StartExecution"
        ),
    ),
    (
        "a condition that fits no record",
        _in_recording("policies", _role("lockstep-resume-role", _keys_changed), "dynamodb:"),
    ),
    (
        "a role that trusts another service",
        _in_recording("policies", _role("lockstep-package-role", _trust_changed), "sts:AssumeRole"),
    ),
    ("an event bus that admits no principal", _in_recording("policies", _bus_closed, "events:PutEvents")),
    (
        "a role that may do everything",
        _in_recording("policies", _role("lockstep-webhook-role", _allow_all), "must be denied"),
    ),
    (
        "a call that the table does not know",
        _in_recording("request", _unknown_operation, "no row for sts:GetSessionToken"),
    ),
]
