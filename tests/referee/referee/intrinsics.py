"""Resolves the intrinsic functions of a template to the values of a deployment."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from referee.documents import Document

_PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": "eu-central-1",
    "AWS::AccountId": "111122223333",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackName": "stack",
    "AWS::StackId": "arn:aws:cloudformation:eu-central-1:111122223333:stack/stack/6f1b1a30-0000-1111-2222-0123456789ab",
    "AWS::NoValue": None,
}
_PLACEHOLDER = re.compile(r"\$\{(!?)([^}]+)\}")
# The value of Ref for a resource with a name of its own: the property with that name.
_NAMES = (
    "FunctionName",
    "RoleName",
    "QueueName",
    "TableName",
    "BucketName",
    "StateMachineName",
    "Name",
    "LogGroupName",
    "ManagedPolicyName",
    "InstanceProfileName",
    "AlarmName",
    "RuleName",
    "TopicName",
    "AliasName",
)
_ARNS = {
    "AWS::Lambda::Function": "lambda:{region}:{account}:function:{name}",
    "AWS::IAM::Role": "iam::{account}:role/{name}",
    "AWS::IAM::InstanceProfile": "iam::{account}:instance-profile/{name}",
    "AWS::IAM::ManagedPolicy": "iam::{account}:policy/{name}",
    "AWS::SQS::Queue": "sqs:{region}:{account}:{name}",
    "AWS::SNS::Topic": "sns:{region}:{account}:{name}",
    "AWS::DynamoDB::Table": "dynamodb:{region}:{account}:table/{name}",
    "AWS::S3::Bucket": "s3:::{name}",
    "AWS::StepFunctions::StateMachine": "states:{region}:{account}:stateMachine:{name}",
    "AWS::Events::EventBus": "events:{region}:{account}:event-bus/{name}",
    "AWS::Events::Rule": "events:{region}:{account}:rule/{name}",
    "AWS::Logs::LogGroup": "logs:{region}:{account}:log-group:{name}:*",
    "AWS::CodeBuild::Project": "codebuild:{region}:{account}:project/{name}",
    "AWS::KMS::Key": "kms:{region}:{account}:key/01234567-89ab-cdef-0123-456789abcdef",
    "AWS::SecretsManager::Secret": "secretsmanager:{region}:{account}:secret:{name}-AbCdEf",
}
# The types whose Ref is the ARN.
_REF_IS_ARN = (
    "AWS::StepFunctions::StateMachine",
    "AWS::IAM::ManagedPolicy",
    "AWS::SNS::Topic",
    "AWS::SecretsManager::Secret",
)


@dataclass
class Resolver:
    """Resolves values of one template, with the parameters of one deployment."""

    template: Document
    parameters: dict[str, str] = field(default_factory=dict)
    pseudo: dict[str, str | None] = field(default_factory=lambda: dict(_PSEUDO))

    def resource(self, name: str) -> dict:
        """Returns a resource of the template."""
        return self.template.body["Resources"].get(name, {})

    def value(self, value: Any) -> Any:
        """Returns a value without intrinsic functions, or None if Ref AWS::NoValue removes it."""
        if isinstance(value, list):
            return [item for item in map(self.value, value) if item is not None]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name == "Ref" or name.startswith("Fn::") or (name == "Condition" and isinstance(argument, str)):
                return self._function(name, argument)
        return {key: item for key, each in value.items() if (item := self.value(each)) is not None}

    def condition(self, name: str) -> bool:
        """Returns true if a condition of the template is true."""
        return bool(self._test(self.template.body.get("Conditions", {}).get(name, True)))

    def exists(self, resource: dict) -> bool:
        """Returns true if a deployment with these parameters creates a resource."""
        return "Condition" not in resource or self.condition(resource["Condition"])

    def _function(self, name: str, argument: Any) -> Any:
        match name:
            case "Ref":
                return self._ref(str(argument))
            case "Fn::GetAtt":
                resource, attribute = argument if isinstance(argument, list) else str(argument).split(".", 1)
                return self._attribute(resource, str(attribute))
            case "Fn::Sub":
                return self._sub(argument)
            case "Fn::Join":
                separator, items = argument
                return str(separator).join(str(item) for item in self._list(items))
            case "Fn::If":
                condition, then, otherwise = argument
                return self.value(then if self.condition(condition) else otherwise)
            case "Fn::Select":
                index, items = argument
                found = self._list(items)
                return found[int(index)] if int(index) < len(found) else ""
            case "Fn::Split":
                separator, text = argument
                return str(self.value(text)).split(separator)
            case "Fn::Base64":
                return self.value(argument)
            case "Fn::FindInMap":
                table, first, second = map(self.value, argument[:3])
                return self.template.body.get("Mappings", {}).get(table, {}).get(first, {}).get(second, "")
            case "Fn::GetAZs":
                return [f"{self.pseudo['AWS::Region']}{zone}" for zone in "abc"]
            case "Condition":
                return self.condition(str(argument))
            case _:
                return f"<{name}>"

    def _list(self, value: Any) -> list:
        resolved = self.value(value)
        return resolved if isinstance(resolved, list) else [resolved]

    def _ref(self, name: str) -> Any:
        if name in self.pseudo:
            return self.pseudo[name]
        parameter = self.template.body.get("Parameters", {}).get(name)
        if parameter is not None:
            value = self.parameter(name, parameter)
            lists = parameter["Type"] == "CommaDelimitedList" or parameter["Type"].startswith("List<")
            return [item for item in value.split(",") if item] if lists else value
        resource = self.resource(name)
        return self._attribute(name, "Arn") if resource.get("Type") in _REF_IS_ARN else self.name_of(name)

    def parameter(self, name: str, parameter: dict) -> str:
        """Returns the value of a parameter: the given one, the default, the first allowed one, or a placeholder."""
        if name in self.parameters:
            return self.parameters[name]
        if "Default" in parameter:
            return str(parameter["Default"])
        allowed = parameter.get("AllowedValues")
        return str(allowed[0]) if allowed else f"value-of-{name}"

    def name_of(self, resource: str) -> str:
        """Returns the physical name of a resource, as far as the template defines it."""
        properties = self.resource(resource).get("Properties", {})
        for key in _NAMES:
            if key in properties:
                return str(self.value(properties[key]))
        return f"{self.pseudo['AWS::StackName']}-{resource}-1A2B3C4D5E6F"

    def _attribute(self, resource: str, attribute: str) -> str:
        pattern = _ARNS.get(self.resource(resource).get("Type", ""))
        # A secret's Id is its ARN.
        if attribute in ("Arn", "StreamArn", "Id") and pattern:
            return f"arn:{self.pseudo['AWS::Partition']}:" + pattern.format(
                region=self.pseudo["AWS::Region"], account=self.pseudo["AWS::AccountId"], name=self.name_of(resource)
            )
        return f"{self.name_of(resource)}.{attribute}"

    def _sub(self, argument: Any) -> str:
        text, own = argument if isinstance(argument, list) else (argument, {})

        def replaced(match: re.Match) -> str:
            if match[1]:
                return "${" + match[2] + "}"
            name = match[2].strip()
            if name in own:
                return str(self.value(own[name]))
            if "." in name:
                return self._attribute(*name.split(".", 1))
            value = self._ref(name)
            return ",".join(map(str, value)) if isinstance(value, list) else str(value)

        return _PLACEHOLDER.sub(replaced, str(text))

    def _test(self, condition: Any) -> Any:
        if not isinstance(condition, dict) or len(condition) != 1:
            return condition
        ((name, argument),) = condition.items()
        match name:
            case "Fn::Equals":
                left, right = map(self.value, argument)
                return str(left) == str(right)
            case "Fn::Not":
                return not self._test(argument[0])
            case "Fn::And":
                return all(map(self._test, argument))
            case "Fn::Or":
                return any(map(self._test, argument))
            case "Condition":
                return self.condition(argument)
            case _:
                return self.value(condition)


def variants(
    template: Document, names: tuple[str, ...] = ("FunctionName", "StateMachineName", "RoleName")
) -> Iterator[Resolver]:
    """Yields a resolver for each combination of allowed values of the parameters that occur in names of resources."""
    used: set[str] = set()
    for resource in template.body["Resources"].values():
        properties = resource.get("Properties", {})
        for key in names:
            used.update(re.findall(r"\$\{(\w+)\}", str(properties.get(key, ""))))
    parameters = template.body.get("Parameters", {})
    chosen = sorted(name for name in used if "AllowedValues" in parameters.get(name, {}))
    for values in itertools.product(*(parameters[name]["AllowedValues"] for name in chosen)):
        yield Resolver(template, dict(zip(chosen, map(str, values), strict=True)))
