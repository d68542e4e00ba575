"""Expands a recorded request into the permissions that it needs, by the table data/operations.yaml.

A permission is an action on a resource in a context. The context comes from the request, from its session and from the
tags that resources had before it, never from a policy.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import jmespath

from referee.recordings import Recording

_EXPRESSION = re.compile(r"\{([^{}]*(?:\{[^{}]*\})*[^{}]*)\}")


class Unknown(Exception):
    """The error of a request whose needs the table cannot express."""


@dataclass(frozen=True)
class Permission:
    """An action on a resource, the account of the resource, and the context."""

    action: str
    resource: str
    account: str
    context: dict[str, Any] = field(default_factory=dict, compare=False)


def expand(table: dict, request: dict, recording: Recording) -> list[Permission]:
    """Returns the permissions that a request needs."""
    name = f"{request['service']}:{request['operation']}"
    if name not in table:
        raise Unknown(f"data/operations.yaml has no row for {name}")
    reader = _Reader(request, recording)
    return [permission for row in table[name] or [] for permission in reader.row(row)]


class _Reader:
    """Reads the rows of one request."""

    def __init__(self, request: dict, recording: Recording) -> None:
        self.request, self.recording = request, recording
        self.parameters = request["parameters"]
        self.item: Any = None
        self.names = {
            "partition": _partition(request["region"]),
            "region": request["region"],
            "account": request["account"],
            "caller_account": request["caller"]["account"],
        }

    def row(self, row: dict) -> Iterator[Permission]:
        if "when" in row and not self.search(row["when"]):
            return
        items = self.search(row["each"]) if "each" in row else [None]
        for self.item in items or []:
            resource = self.text(row.get("resource", "*"))
            yield Permission(row["action"], resource, self.owner(resource), self.context(row))

    def search(self, expression: str) -> Any:
        """Returns the result of a JMESPath expression over the parameters; `item` is the element of the row."""
        if expression == "query":
            return expression
        return jmespath.search(expression, {**self.parameters, "item": self.item})

    def value(self, expression: str) -> Any:
        """Returns the value of the text between braces."""
        expression, _, function = (
            expression.rpartition("|") if re.search(r"[^|]\|\w+$", expression) else (expression, "", "")
        )
        found = self.names[expression] if expression in self.names else self.search(expression)
        return getattr(self, f"as_{function}")(found) if function else found

    def text(self, template: str) -> str:
        """Returns a template with every expression replaced by its value."""

        def one(match: re.Match) -> str:
            found = self.value(match[1])
            if found is None:
                raise Unknown(f"{self.request['operation']}: {match[0]} of {template!r} finds nothing in the request")
            return str(found)

        return _EXPRESSION.sub(one, template)

    def context(self, row: dict) -> dict[str, Any]:
        context = {}
        for key, template in row.get("context", {}).items():
            alone = isinstance(template, str) and _EXPRESSION.fullmatch(template)
            value = self.value(alone[1]) if alone else template
            if value is not None:
                context[key] = [str(one) for one in value] if isinstance(value, list) else _said(value)
        if "tags" in row:
            tags = self.search(row["tags"]) or []
            pairs = tags.items() if isinstance(tags, dict) else [(tag["Key"], tag.get("Value", "")) for tag in tags]
            pairs = list(pairs)
            context.update({f"aws:RequestTag/{key}": value for key, value in pairs})
            context["aws:TagKeys"] = [key for key, _ in pairs]
        if "tags_of" in row:
            tags = self.request.get("resource_tags", {}).get(self.text(row["tags_of"]), {})
            context.update({f"aws:ResourceTag/{key}": value for key, value in tags.items()})
            context.update({f"ec2:ResourceTag/{key}": value for key, value in tags.items()})
        if "keys_of" in row:
            context.update(self.leading_keys(row["keys_of"]))
        return {key: value for key, value in context.items() if value != []}

    def owner(self, resource: str) -> str:
        """Returns the account of a resource: its ARN's, a bucket's owner, or the caller's if the ARN has none."""
        parts = resource.split(":")
        if resource.startswith("arn:") and parts[4].isdigit():
            return parts[4]
        if resource.startswith("arn:") and parts[2] == "s3":
            bucket = ":".join(parts[:5]) + ":" + parts[5].split("/")[0]
            state = self.recording.state("bucket", bucket, self.request["seq"])
            return state["account"] if state else self.request["account"]
        return self.request["account"]

    def leading_keys(self, expression: str) -> dict[str, Any]:
        """Returns the context key with the partition keys of the items, or of the query."""
        table = self.table_name()
        state = self.recording.state("table", self.as_table(table), self.request["seq"])
        if state is None:
            raise Unknown(f"no definition of the table {table} was recorded")
        index = self.parameters.get("IndexName")
        schema = state["indexes"][index] if index else state["keys"]
        hash_key = next(key["AttributeName"] for key in schema if key["KeyType"] == "HASH")
        values = (
            [self.queried(hash_key)]
            if expression == "query"
            else [item.get(hash_key) for item in self.search(expression)]
        )
        keys = [next(iter(value.values())) for value in values if value]
        return {"dynamodb:LeadingKeys": keys, "dynamodb:Select": self.parameters.get("Select") or []}

    def table_name(self) -> str:
        return (
            (self.item or {}).get("TableName")
            or self.parameters.get("TableName")
            or next(iter(self.parameters["RequestItems"]))
        )

    def queried(self, hash_key: str) -> dict | None:
        names = self.parameters.get("ExpressionAttributeNames") or {}
        for name, value in re.findall(r"([#\w]+)\s*=\s*(:\w+)", self.parameters.get("KeyConditionExpression", "")):
            if names.get(name, name) == hash_key:
                return self.parameters["ExpressionAttributeValues"][value]
        return None

    # --- Functions of the table: from a parameter of a request to the ARN of its resource -----------------------------

    def arn(self, service: str, rest: str) -> str:
        return f"arn:{self.names['partition']}:{service}:{self.names['region']}:{self.names['account']}:{rest}"

    def as_table(self, given: str) -> str:
        return given if given.startswith("arn:") else self.arn("dynamodb", f"table/{given}")

    def as_stack(self, given: str) -> str:
        return (
            given
            if given.startswith("arn:")
            else self.arn("cloudformation", f"stack/{given}/00000000-0000-0000-0000-000000000000")
        )

    def as_stack_of_change_set(self, parameters: dict) -> str:
        """Returns the stack of a change set, from the call that created it if only the change set's ARN is known."""
        if stack := parameters.get("StackName"):
            return self.as_stack(stack)
        name = parameters["ChangeSetName"].split("/")[1]
        for request in self.recording.requests():
            made = request["operation"] == "CreateChangeSet" and request["parameters"].get("ChangeSetName") == name
            if made and request["account"] == self.request["account"]:
                return self.as_stack(request["parameters"]["StackName"])
        # One that CloudFormation made for a nested stack.
        return self.as_stack(f"nested-{name}")

    def as_object_of_url(self, url: str) -> str:
        host, _, path = url.split("://", 1)[1].partition("/")
        virtual = re.match(r"(.+)\.s3[.-]", host)
        return f"arn:{self.names['partition']}:s3:::{virtual[1] + '/' if virtual else ''}{path}"

    def as_project_of_build(self, build: str) -> str:
        name = build.rpartition("/")[2].partition(":")[0] if build.startswith("arn:") else build.partition(":")[0]
        return self.arn("codebuild", f"project/{name}")

    def as_function(self, given: str) -> str:
        if not given.startswith("arn:"):
            name, _, qualifier = given.rpartition("function:")[2].partition(":")
            given = self.arn("lambda", f"function:{name}" + (f":{qualifier}" if qualifier else ""))
        qualifier = self.parameters.get("Qualifier")
        return f"{given}:{qualifier}" if qualifier else given

    def _url(self, path: str) -> dict:
        identifier = path.split("/lambda-url/", 1)[1].split("/", 1)[0]
        for _, _, state in self.recording.every("function-url"):
            if f"/{identifier}/" in (state["url"] or ""):
                return state
        raise Unknown(f"no definition of the function URL {path} was recorded")

    def as_function_of_url(self, path: str) -> str:
        return self._url(path)["function"]

    def as_auth_type_of_url(self, path: str) -> str:
        return self._url(path)["auth_type"]

    def as_key(self, given: str) -> str:
        if given.startswith("arn:") and ":key/" in given:
            return given
        if "alias/" in given:
            alias = given if given.startswith("arn:") else self.arn("kms", given)
            state = self.recording.state("key-alias", alias, self.request["began"])
            given = state["key"] if state else "00000000-0000-0000-0000-000000000000"
        return given if given.startswith("arn:") else self.arn("kms", f"key/{given}")

    def as_ec2_resource(self, identifier: str) -> str:
        kinds = {
            "ami": "image",
            "snap": "snapshot",
            "i": "instance",
            "vol": "volume",
            "sg": "security-group",
            "lt": "launch-template",
        }
        kind = kinds.get(identifier.rpartition("-")[0])
        if kind is None:
            raise Unknown(f"{identifier} is of no known type")
        account = "" if kind in ("image", "snapshot") else self.names["account"]
        return f"arn:{self.names['partition']}:ec2:{self.names['region']}:{account}:{kind}/{identifier}"

    def as_role_of_profile(self, profile: dict) -> str:
        for _, arn, state in self.recording.every("instance-profile"):
            if profile.get("Arn") == arn or profile.get("Name") == state["name"]:
                return f"arn:{self.names['partition']}:iam::{state['account']}:role/{state['roles'][0]}"
        raise Unknown(f"no definition of the instance profile {profile} was recorded")

    def as_bus(self, given: str | None) -> str:
        return given if given and given.startswith("arn:") else self.arn("events", f"event-bus/{given or 'default'}")

    def as_rule(self, parameters: dict) -> str:
        bus = parameters.get("EventBusName", "default")
        name = parameters.get("Name") or parameters.get("Rule")
        return self.arn("events", f"rule/{'' if bus == 'default' else bus + '/'}{name}")

    def as_secret(self, given: str) -> str:
        # Secrets Manager ends an ARN with six characters of its own, unless the secret does not exist.
        return given if given.startswith("arn:") else self.arn("secretsmanager", f"secret:{given}-AbCdEf")

    def as_queue(self, url: str) -> str:
        account, name = url.rstrip("/").split("/")[-2:]
        return f"arn:{self.names['partition']}:sqs:{self.names['region']}:{account}:{name}"

    def as_parameter(self, given: str) -> str:
        if given.startswith("arn:"):
            return given
        if given.startswith("/aws/"):
            return f"arn:{self.names['partition']}:ssm:{self.names['region']}::parameter{given}"
        return self.arn("ssm", f"parameter/{given.strip('/')}")


def _said(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _partition(region: str) -> str:
    for start, partition in (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"), ("eusc-", "aws-eusc")):
        if region.startswith(start):
            return partition
    return "aws"
