"""Derives the unrecorded calls of AWS services for Lockstep from the definitions that were in force.

A function writes its logs, a state machine invokes and starts, a rule forwards an event, a mapping reads a queue, a
build writes logs and reads its source, an instance assumes a role. data/unrecorded.yaml lists the calls of third-party
programs with a role (Packer in a build, agents on an instance).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from referee import identities
from referee.identities import Identity
from referee.recordings import Recording
from referee.requests import Permission

_MANAGED_RULE = "StepFunctionsGetEventsForStepFunctionsExecutionRule"


@dataclass(frozen=True)
class Call:
    """A derived call: its caller, action and time, and the reason for it."""

    why: str
    seq: int
    identity: Identity
    permission: Permission


def derive(recording: Recording, problems: list[tuple[str, str]]) -> Iterator[Call]:
    """Yields every derived call; adds each underivable one to the problems."""
    maker = _Maker(recording, problems)
    kinds = {
        "function": maker.function,
        "state-machine": maker.machine,
        "rule": maker.rule,
        "schedule": maker.schedule,
        "mapping": maker.mapping,
        "project": maker.project,
        "instance-profile": maker.profile,
        "bucket": maker.bucket,
        "topic": maker.topic,
    }
    for what, make in kinds.items():
        # The last state of each: during the creation of a stack, its dependencies may be missing.
        for seq, arn, state in recording.latest(what):
            maker.place = recording.place(seq)
            maker.seq = maker.settled(what, arn, seq)
            yield from make(arn, state)
    yield from maker.passed_to_cloudformation()


class _Maker:
    def __init__(self, recording: Recording, problems: list[tuple[str, str]]) -> None:
        self.recording, self.problems = recording, problems
        self.seq, self.place = 0, ""

    def settled(self, what: str, arn: str, seq: int) -> int:
        """Returns the last number at which a thing exists: by then its policies do, too."""
        return self.recording.last_before_removal(what, arn, seq)

    def service(self, name: str, action: str, resource: str, account: str, why: str, source: str | None = None) -> Call:
        """Adds a call of a service in its own name; the policy of the resource decides."""
        owner = source.split(":")[4] if source and source.split(":")[4] else account
        context = {"aws:SourceAccount": owner, "aws:PrincipalServiceName": name, "aws:PrincipalIsAWSService": "true"}
        if source:
            context["aws:SourceArn"] = source
        return Call(why, self.seq, Identity(name, None), Permission(action, resource, account, context))

    def role(self, role: str, action: str, resource: str, why: str, **context: Any) -> Iterator[Call]:
        """Adds a call of a service with a role of ours."""
        try:
            identity = identities.of_role(self.recording, role, self.seq)
        except identities.NoPolicy as error:
            self.problems.append((self.place, f"{why}: {error}"))
            return
        owner = resource.split(":")[4] if resource != "*" and resource.split(":")[4].isdigit() else identity.account
        assert owner, "a role has an account"
        yield Call(why, self.seq, identity, Permission(action, resource, owner, context))

    def assume(self, service: str, role: str | None, why: str, source: str | None = None) -> Iterator[Call]:
        if not role:
            self.problems.append((self.place, f"{why}: no role is named"))
            return
        yield self.service(service, "sts:AssumeRole", role, role.split(":")[4], why, source)

    def writes_logs(self, role: str, group: str, why: str) -> Iterator[Call]:
        for action in ("CreateLogStream", "PutLogEvents"):
            yield from self.role(role, f"logs:{action}", f"{group}:log-stream:any", why)

    def function(self, arn: str, state: dict) -> Iterator[Call]:
        why = f"the function {state['name']}"
        role = state["role"]
        yield from self.assume("lambda.amazonaws.com", role, f"{why} takes its role")
        group = f"{arn.rsplit(':function:')[0].replace(':lambda:', ':logs:')}:log-group:{state['log_group']}"
        yield from self.writes_logs(role, group, f"{why} writes its logs")
        if state["dead_letters"]:
            yield from self.role(role, "sqs:SendMessage", state["dead_letters"], f"{why} leaves what failed")

    def machine(self, arn: str, state: dict) -> Iterator[Call]:
        why = f"the state machine {state['name']}"
        yield from self.assume("states.amazonaws.com", state["role"], f"{why} takes its role", arn)
        for name, task in _tasks(state["definition"]):
            yield from self.task(state["role"], f"{why} in {name}", task)

    def task(self, role: str, why: str, task: dict) -> Iterator[Call]:
        arguments = task.get("Arguments") or task.get("Parameters") or {}
        resource = task["Resource"].split(":", 5)[-1]
        if resource.startswith("lambda:invoke"):
            yield from self.role(role, "lambda:InvokeFunction", arguments["FunctionName"], why)
        elif resource.startswith("states:startExecution"):
            machine = arguments["StateMachineArn"]
            yield from self.role(role, "states:StartExecution", machine, why)
            if ".sync" in resource:
                execution = machine.replace(":stateMachine:", ":execution:") + ":any"
                for action in ("DescribeExecution", "StopExecution"):
                    yield from self.role(role, f"states:{action}", execution, why)
                rule = ":".join(machine.split(":")[:5]).replace(":states:", ":events:") + f":rule/{_MANAGED_RULE}"
                for action in ("DescribeRule", "PutRule", "PutTargets"):
                    yield from self.role(role, f"events:{action}", rule, why)
        else:
            self.problems.append((self.place, f"{why}: no table lists what {task['Resource']} calls"))

    def rule(self, arn: str, state: dict) -> Iterator[Call]:
        for target in state["targets"]:
            why = f"the rule {state['name']} hands on to {target['Arn'].split(':', 5)[-1]}"
            yield from self.target(arn, state, target["Arn"], target.get("RoleArn"), why)
            if letters := (target.get("DeadLetterConfig") or {}).get("Arn"):
                yield self.service(
                    "events.amazonaws.com",
                    "sqs:SendMessage",
                    letters,
                    letters.split(":")[4],
                    f"{why}: what failed",
                    arn,
                )

    def target(self, rule: str, state: dict, target: str, role: str | None, why: str) -> Iterator[Call]:
        service, account = target.split(":")[2], target.split(":")[4]
        if service == "lambda":
            yield self.service("events.amazonaws.com", "lambda:InvokeFunction", target, account, why, rule)
        elif service == "sqs":
            yield self.service("events.amazonaws.com", "sqs:SendMessage", target, account, why, rule)
        elif service == "sns":
            yield self.service("events.amazonaws.com", "sns:Publish", target, account, why, rule)
        elif service == "events":
            yield from self.assume("events.amazonaws.com", role, why, rule)
            for source in (state["pattern"] or {}).get("source", [""]):
                detail = ((state["pattern"] or {}).get("detail-type") or [""])[0]
                context = {"events:source": source, "events:detail-type": detail}
                yield from self.role(role or "", "events:PutEvents", target, why, **context)
        elif service == "states":
            yield from self.assume("events.amazonaws.com", role, why, rule)
            yield from self.role(role or "", "states:StartExecution", target, why)
        else:
            self.problems.append((self.place, f"{why}: no table lists what a rule needs for it"))

    def schedule(self, arn: str, state: dict) -> Iterator[Call]:
        why = f"the schedule {state['name']}"
        yield from self.assume("scheduler.amazonaws.com", state["role"], f"{why} takes its role", arn)
        service = state["target"].split(":")[2]
        if service == "lambda":
            yield from self.role(state["role"], "lambda:InvokeFunction", state["target"], why)
        elif service == "states":
            yield from self.role(state["role"], "states:StartExecution", state["target"], why)
        else:
            self.problems.append((self.place, f"{why}: no table lists what it needs for {state['target']}"))

    def mapping(self, _arn: str, state: dict) -> Iterator[Call]:
        function = ":".join(state["FunctionArn"].split(":")[:7])
        found = self.recording.state("function", function, self.seq)
        source = state["EventSourceArn"]
        if found is None or source.split(":")[2] != "sqs":
            self.problems.append((self.place, f"the mapping of {source} to {function}: no table lists what it needs"))
            return
        for action in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes"):
            yield from self.role(
                found["role"], f"sqs:{action}", source, f"a mapping reads {source.split(':')[-1]} for {found['name']}"
            )

    def project(self, arn: str, state: dict) -> Iterator[Call]:
        name = arn.rpartition("/")[2]
        why = f"the build project {name}"
        role = state["serviceRole"]
        yield from self.assume("codebuild.amazonaws.com", role, f"{why} takes its role", arn)
        named = ((state["logsConfig"] or {}).get("cloudWatchLogs") or {}).get("groupName") or f"/aws/codebuild/{name}"
        group = f"{':'.join(arn.split(':')[:5]).replace(':codebuild:', ':logs:')}:log-group:{named}"
        yield from self.writes_logs(role, group, f"{why} writes its logs")

    def profile(self, arn: str, state: dict) -> Iterator[Call]:
        for role in state["roles"]:
            named = f"{arn.split(':instance-profile/')[0]}:role/{role}"
            yield from self.assume("ec2.amazonaws.com", named, f"an instance takes the role {role}")

    def bucket(self, arn: str, state: dict) -> Iterator[Call]:
        for target in sorted(
            set(re.findall(r"arn:[^<>\"\s]+:(?:sqs|lambda):[^<>\"\s]+", str(state["notifications"] or "")))
        ):
            action = "sqs:SendMessage" if ":sqs:" in target else "lambda:InvokeFunction"
            call = self.service(
                "s3.amazonaws.com", action, target, target.split(":")[4], f"{arn} tells of its objects", arn
            )
            call.permission.context["aws:SourceAccount"] = state["account"]
            yield call

    def topic(self, arn: str, state: dict) -> Iterator[Call]:
        for subscription in state["subscriptions"]:
            if subscription["protocol"] == "sqs":
                queue = subscription["endpoint"]
                yield self.service(
                    "sns.amazonaws.com", "sqs:SendMessage", queue, queue.split(":")[4], f"{arn} sends to a queue", arn
                )
            elif subscription["protocol"] == "lambda":
                function = subscription["endpoint"]
                yield self.service(
                    "sns.amazonaws.com",
                    "lambda:InvokeFunction",
                    function,
                    function.split(":")[4],
                    f"{arn} invokes",
                    arn,
                )

    def passed_to_cloudformation(self) -> Iterator[Call]:
        seen = set()
        for request in self.recording.requests():
            role = (request["parameters"] or {}).get("RoleARN") if request["service"] == "cloudformation" else None
            if role and role not in seen and request["answer"]["status"] == 200:
                seen.add(role)
                self.seq, self.place = request["began"], self.recording.place(request["seq"])
                yield from self.assume("cloudformation.amazonaws.com", role, f"CloudFormation takes the role {role}")


def _tasks(definition: dict, path: str = "") -> Iterator[tuple[str, dict]]:
    """Yields every task of a definition, however deep, with its name."""
    for name, state in definition.get("States", {}).items():
        if state["Type"] == "Task":
            yield path + name, state
        for inner in (state.get("ItemProcessor"), state.get("Iterator"), *state.get("Branches", [])):
            if inner:
                yield from _tasks(inner, f"{path}{name}.")
