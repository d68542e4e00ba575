"""A stack as an installation would create it: its resources with the names and ARNs from its properties.

Every branch counts: a property under Fn::If may have each of the two values.
"""

import itertools
import re
from typing import Any

from referee.documents import Document

REGION = "eu-west-1"
NO_VALUE = object()
_REFERENCE = re.compile(r"\$\{(!?)([A-Za-z0-9:._-]+)\}")
# The most values of one text. More of them would add nothing.
_MOST = 16


class Stack:
    """One template under a name, in an account, with parameters."""

    def __init__(self, name: str, account: str, document: Document, parameters: dict[str, str]) -> None:
        self.name = name
        self.account = account
        self.document = document
        self.resources = document.body["Resources"]
        self._parameters = parameters

    def texts(self, value: Any) -> list[str]:
        """Returns each possible text of a value; an unknown part becomes a name of its own."""
        found = [text for text in self._alternatives(value) if text is not NO_VALUE]
        return list(dict.fromkeys(str(text) for text in found))[:_MOST]

    def is_set(self, value: Any, steps: list[str]) -> bool:
        """Returns true if a template sets the property at these steps, in any branch."""
        if value is None or value == {"Ref": "AWS::NoValue"}:
            return False
        if isinstance(value, dict) and "Fn::If" in value:
            return any(self.is_set(branch, steps) for branch in value["Fn::If"][1:])
        if not steps:
            return True
        if _is_function(value):
            # The value is known only at runtime: it may hold the property.
            return True
        first, rest = steps[0], steps[1:]
        if isinstance(value, list):
            return any(self.is_set(item, rest) for item in value) if first == "*" else False
        if not isinstance(value, dict):
            return False
        if first == "*":
            return any(self.is_set(item, rest) for item in value.values())
        return self.is_set(value.get(first), rest)

    def values(self, value: Any, steps: list[str]) -> list:
        """Returns the values that stand at these steps, in every branch."""
        if value is None or value == {"Ref": "AWS::NoValue"}:
            return []
        if isinstance(value, dict) and "Fn::If" in value:
            return [found for branch in value["Fn::If"][1:] for found in self.values(branch, steps)]
        if not steps:
            return [value]
        first, rest = steps[0], steps[1:]
        if isinstance(value, list):
            items = value if first == "*" else value[int(first) : int(first) + 1] if first.isdigit() else []
        elif isinstance(value, dict) and not _is_function(value):
            items = list(value.values()) if first == "*" else [value.get(first)]
        else:
            items = []
        return [found for item in items for found in self.values(item, rest)]

    def physical_name(self, logical_id: str) -> list[str]:
        """Returns the possible names of a resource: the given one, or one like CloudFormation generates."""
        properties = self.resources[logical_id].get("Properties", {})
        for name in _NAMES:
            if name in properties:
                found = self.texts(properties[name])
                if found:
                    return found
        return [f"{self.name}-{logical_id}-1EXAMPLE2ID34"]

    def _alternatives(self, value: Any) -> list:
        if isinstance(value, dict) and len(value) == 1:
            ((function, argument),) = value.items()
            call = getattr(self, "_" + function.replace("Fn::", "").lower(), None)
            if call:
                return call(argument)[:_MOST]
        return [value]

    def _if(self, argument: Any) -> list:
        return self._alternatives(argument[1]) + self._alternatives(argument[2])

    def _ref(self, name: str) -> list:
        pseudo = {
            "AWS::Partition": "aws",
            "AWS::Region": REGION,
            "AWS::AccountId": self.account,
            "AWS::StackName": self.name,
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{self.account}:stack/{self.name}/1",
            "AWS::NoValue": NO_VALUE,
        }
        if name in pseudo:
            return [pseudo[name]]
        if name in self.document.body.get("Parameters", {}):
            return [self._parameter(name)]
        return self.physical_name(name)

    def _parameter(self, name: str) -> str:
        declared = self.document.body["Parameters"][name]
        given = self._parameters.get(name, declared.get("Default"))
        if given not in (None, ""):
            return str(given)
        return str(declared["AllowedValues"][0]) if "AllowedValues" in declared else f"example-{name.lower()}"

    def _getatt(self, argument: Any) -> list:
        logical_id, attribute = argument if isinstance(argument, list) else argument.split(".", 1)
        if logical_id not in self.resources:
            return [f"{logical_id}.{attribute}"]
        kind = self.resources[logical_id]["Type"]
        names = self.physical_name(logical_id)
        if attribute == "Arn" and kind in _ARNS:
            return [_ARNS[kind].format(region=REGION, account=self.account, name=name) for name in names]
        return [f"{name}.{attribute}" for name in names]

    def _sub(self, argument: Any) -> list:
        text, own = argument if isinstance(argument, list) else (argument, {})
        parts = []
        end = 0
        for match in _REFERENCE.finditer(text):
            parts.append([text[end : match.start()]])
            end = match.end()
            parts.append(self._substituted(match, own))
        parts.append([text[end:]])
        return ["".join(map(str, choice)) for choice in itertools.islice(itertools.product(*parts), _MOST)]

    def _substituted(self, match: re.Match, own: dict) -> list:
        literal, name = match.groups()
        if literal:
            return ["${" + name + "}"]
        if name in own:
            return self._alternatives(own[name])
        return self._getatt(name) if "." in name else self._ref(name)

    def _join(self, argument: Any) -> list:
        between, items = argument
        if not isinstance(items, list):
            return ["joined"]
        parts = [self._alternatives(item) for item in items]
        return [between.join(map(str, choice)) for choice in itertools.islice(itertools.product(*parts), _MOST)]

    def _select(self, argument: Any) -> list:
        index, items = argument
        chosen = items[int(index)] if isinstance(items, list) else None
        return self._alternatives(chosen) if chosen is not None else ["selected"]


# The properties that name a resource, and the ARNs that templates read with GetAtt.
_NAMES = (
    "FunctionName",
    "InstanceProfileName",
    "RoleName",
    "TableName",
    "StateMachineName",
    "BucketName",
    "LogGroupName",
    "ManagedPolicyName",
    "QueueName",
    "TopicName",
    "DomainName",
    "AutoScalingGroupName",
    "LaunchTemplateName",
    "Name",
    "AliasName",
)
_ARNS = {
    "AWS::IAM::Role": "arn:aws:iam::{account}:role/{name}",
    "AWS::IAM::InstanceProfile": "arn:aws:iam::{account}:instance-profile/{name}",
    "AWS::IAM::ManagedPolicy": "arn:aws:iam::{account}:policy/{name}",
    "AWS::Lambda::Function": "arn:aws:lambda:{region}:{account}:function:{name}",
    "AWS::SQS::Queue": "arn:aws:sqs:{region}:{account}:{name}",
    "AWS::DynamoDB::Table": "arn:aws:dynamodb:{region}:{account}:table/{name}",
    "AWS::Events::EventBus": "arn:aws:events:{region}:{account}:event-bus/{name}",
    "AWS::S3::Bucket": "arn:aws:s3:::{name}",
    "AWS::StepFunctions::StateMachine": "arn:aws:states:{region}:{account}:stateMachine:{name}",
    "AWS::KMS::Key": "arn:aws:kms:{region}:{account}:key/{name}",
    "AWS::Logs::LogGroup": "arn:aws:logs:{region}:{account}:log-group:{name}",
}


def steps(pointer: str) -> list[str]:
    """Returns the steps of a JSON pointer."""
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _is_function(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and next(iter(value)).startswith(("Fn::", "Ref"))
