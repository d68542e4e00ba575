"""What the overlay replaces in ministack: where each function is, and the contract that it keeps.

A patch is put in place by ``replace``, whose argument must keep the contract: a type checker finds a patch of the wrong
arity. ``check`` compares each contract with the function of the installed release before anything is replaced.
"""

import functools
import importlib
import inspect
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Generic, TypeVar

from overlay import contracts

F = TypeVar("F", bound=Callable[..., Any])
_CLOUDFORMATION = "ministack.services.cloudformation"
_declared: "list[Patched[Any] | Table[Any]]" = []


@dataclass(frozen=True)
class Patched(Generic[F]):
    """A function of ministack that the overlay replaces."""

    contract: type[F]
    module: str
    name: str
    """The attribute of the module; with a dot, the attribute of a class in it."""
    keys: tuple[str | int, ...] = ()
    """Where the attribute is a table: what leads to the function in it."""

    def __post_init__(self) -> None:
        _declared.append(self)

    def __str__(self) -> str:
        return f"{self.module}.{self.name}" + "".join(f"[{key!r}]" for key in self.keys)

    def current(self) -> F:
        """Returns the function that is in place now."""
        found: F = functools.reduce(operator.getitem, self.keys, operator.attrgetter(self.name)(self._module()))
        return found

    def replace(self, patch: F, *also_in: str) -> None:
        """Puts a patch in place, also under the same name in other modules, which imported the function."""
        if self.keys:
            table = operator.attrgetter(self.name)(self._module())
            functools.reduce(operator.getitem, self.keys[:-1], table)[self.keys[-1]] = patch
            return
        owner, _, name = self.name.rpartition(".")
        setattr(operator.attrgetter(owner)(self._module()) if owner else self._module(), name, patch)
        for module in also_in:
            setattr(importlib.import_module(module), name, patch)

    def functions(self) -> Iterator[tuple[str, F]]:
        """Yields the function, with its place."""
        yield str(self), self.current()

    def _module(self) -> Any:
        return importlib.import_module(self.module)


@dataclass(frozen=True)
class Table(Generic[F]):
    """A table of functions of ministack, each by its name. The overlay replaces some of them and adds others."""

    contract: type[F]
    module: str
    name: str

    def __post_init__(self) -> None:
        _declared.append(self)

    def names(self) -> list[str]:
        """Returns the name of each function."""
        return list(self._table())

    def current(self, name: str) -> F:
        """Returns the function that has a name now."""
        return self._table()[name]

    def replace(self, name: str, patch: F) -> None:
        """Gives a name to a patch, whether it had a function or not."""
        self._table()[name] = patch

    def functions(self) -> Iterator[tuple[str, F]]:
        """Yields every function, with its place."""
        for name, function in self._table().items():
            yield f"{self.module}.{self.name}[{name!r}]", function

    def _table(self) -> dict[str, F]:
        found: dict[str, F] = getattr(importlib.import_module(self.module), self.name)
        return found


def declared() -> tuple[Patched[Any] | Table[Any], ...]:
    """Returns everything that the overlay replaces."""
    return tuple(_declared)


class ContractBroken(Exception):
    """A function of ministack has another signature than the overlay was written for; the message names it."""


def check() -> None:
    """Raises ``ContractBroken`` unless every function that the overlay replaces has the signature of its contract."""
    for one in _declared:
        contract = one.contract.__call__
        for place, function in one.functions():
            wanted, found = _signature(contract, of_method=True), _signature(function)
            if not _agree(wanted, found) or _is_async(contract) != _is_async(function):
                raise ContractBroken(
                    f"{place} is {_shown(function, found)}, and the overlay replaces {_shown(contract, wanted)}"
                )


def _signature(function: Callable[..., Any], of_method: bool = False) -> inspect.Signature:
    """Returns the parameters of a function; of a method, without the object."""
    whole = inspect.signature(function)
    parameters = [one.replace(annotation=one.empty) for one in whole.parameters.values()]
    return whole.replace(parameters=parameters[1:] if of_method else parameters, return_annotation=whole.empty)


def _agree(wanted: inspect.Signature, found: inspect.Signature) -> bool:
    """Returns whether two functions can be called in the same ways."""
    pairs = zip_longest(wanted.parameters.values(), found.parameters.values())
    return all(one is not None and other is not None and _same(one, other) for one, other in pairs)


def _same(wanted: inspect.Parameter, found: inspect.Parameter) -> bool:
    if wanted.kind is wanted.POSITIONAL_ONLY:
        alike = found.kind in (found.POSITIONAL_ONLY, found.POSITIONAL_OR_KEYWORD)
    else:
        alike = (wanted.name, wanted.kind) == (found.name, found.kind)
    return alike and (wanted.default is wanted.empty) == (found.default is found.empty)


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function)


def _shown(function: Callable[..., Any], signature: inspect.Signature) -> str:
    return f"{'async ' if _is_async(function) else ''}def {signature}"


# --- What is replaced -------------------------------------------------------------------------------------------------

_APP, _STREAM = "ministack.app", "hypercorn.protocol.http_stream"
_EVALUATOR, _ACTIONS = "ministack.core.iam_evaluator", "ministack.core.iam_actions"
_STACKS, _CHANGE_SETS = f"{_CLOUDFORMATION}.stacks", f"{_CLOUDFORMATION}.changesets"
_PROVISIONERS = f"{_CLOUDFORMATION}.provisioners"
_CODEBUILD, _EVENTS, _IAM, _KMS = (f"ministack.services.{one}" for one in ("codebuild", "eventbridge", "iam", "kms"))
_LAMBDA, _STATES = "ministack.services.lambda_svc", "ministack.services.stepfunctions"

# Tables of actions.
CLOUDFORMATION_ACTIONS = Table(contracts.QueryAction, _CLOUDFORMATION, "_ACTION_HANDLERS")
EC2_ACTIONS = Table(contracts.QueryAction, "ministack.services.ec2", "_ACTION_MAP")
IAM_ACTIONS = Table(contracts.QueryAction, _IAM, "_IAM_HANDLERS")
SERVICES = Table(contracts.ServiceHandler, _APP, "SERVICE_HANDLERS")

# The server.
APP = Patched(contracts.AsgiApp, _APP, "app")
DISPATCH = Patched(contracts.Dispatch, _APP, "_dispatch_service_request")
DISPATCH_FUNCTION_URL = Patched(contracts.DispatchFunctionUrl, _APP, "_handle_lambda_url_request")
SEND_ERROR_RESPONSE = Patched(contracts.SendErrorResponse, _STREAM, "HTTPStream._send_error_response")
PARSE_REQUEST = Patched(contracts.ParseRequest, "http.server", "BaseHTTPRequestHandler.parse_request")

# Authentication.
RESOLVE_CREDENTIAL = Patched(contracts.ResolveCredential, _EVALUATOR, "resolve_credential")
EXECUTION_CREDENTIALS = Patched(
    contracts.ExecutionCredentials, "ministack.core.lambda_runtime", "execution_credentials"
)

# Authorization.
ENFORCE = Patched(contracts.Enforce, _EVALUATOR, "enforce")
RESOLVE_CONDITION_KEY = Patched(contracts.ResolveConditionKey, _EVALUATOR, "_resolve_condition_key")
EXTRACT_RESOURCE_ARN = Patched(contracts.ExtractResourceArn, _ACTIONS, "extract_resource_arn")
REQUEST_TAG_CONTEXT = Patched(contracts.RequestTagContext, _ACTIONS, "request_tag_context")

# Stacks.
ADD_EVENT = Patched(contracts.AddEvent, _STACKS, "_add_event")
RESOLVE_DOCUMENT = Patched(contracts.ResolveDocument, f"{_CLOUDFORMATION}.helpers", "_resolve_document")
DEPLOY_STACK = Patched(contracts.DeployStack, _CHANGE_SETS, "_deploy_stack_async")
RESOLVE_FOR_DIFF = Patched(contracts.ResolveForDiff, _CHANGE_SETS, "_resolve_props_for_diff")
VALIDATION_ERRORS = Patched(contracts.ValidationErrors, _STACKS, "_validation_errors")
FAIL_PROPERTY_VALIDATION = Patched(contracts.FailPropertyValidation, _STACKS, "_fail_property_validation")
PROVISION_RESOURCE = Patched(contracts.ProvisionResource, _STACKS, "_provision_resource")
ADOPT_RESOURCE = Patched(contracts.AdoptResource, _STACKS, "_adopt_resource")
DEPLOY_NESTED_STACK = Patched(contracts.DeployNestedStack, _PROVISIONERS, "_cfn_nested_stack_deploy")


def _step(contract: type[F], kind: str, step: str) -> Patched[F]:
    return Patched(contract, _PROVISIONERS, "_RESOURCE_HANDLERS", (kind, step))


# Resource types.
CREATE_FUNCTION = _step(contracts.CreateResource, "AWS::Lambda::Function", "create")
UPDATE_FUNCTION = _step(contracts.UpdateNamedResource, "AWS::Lambda::Function", "update")
CREATE_MAPPING = _step(contracts.CreateResource, "AWS::Lambda::EventSourceMapping", "create")
UPDATE_MAPPING = _step(contracts.UpdateResource, "AWS::Lambda::EventSourceMapping", "update")
CREATE_MACHINE = _step(contracts.CreateResource, "AWS::StepFunctions::StateMachine", "create")
UPDATE_MACHINE = _step(contracts.UpdateNamedResource, "AWS::StepFunctions::StateMachine", "update")
CREATE_LOG_GROUP = _step(contracts.CreateResource, "AWS::Logs::LogGroup", "create")
CREATE_ROLE = _step(contracts.CreateResource, "AWS::IAM::Role", "create")
UPDATE_ROLE = _step(contracts.UpdateNamedResource, "AWS::IAM::Role", "update")
CREATE_TABLE = _step(contracts.CreateResource, "AWS::DynamoDB::Table", "create")
DELETE_BUCKET = _step(contracts.DeleteResource, "AWS::S3::Bucket", "delete")
DELETE_ROLE = _step(contracts.DeleteResource, "AWS::IAM::Role", "delete")
DELETE_NESTED_STACK = _step(contracts.DeleteResource, "AWS::CloudFormation::Stack", "delete")
# A reader stands in a pair with the names of its properties, and the pair is replaced.
READ_ROLE = Patched(contracts.DriftReader, f"{_CLOUDFORMATION}.drift", "_DRIFT_READERS", ("AWS::IAM::Role", 0))


def add_resource_type(kind: str, handlers: contracts.ResourceHandlers) -> None:
    """Adds a type that ministack's CloudFormation does not have."""
    importlib.import_module(_PROVISIONERS)._RESOURCE_HANDLERS[kind] = handlers


# Services.
DISPATCH_EVENT = Patched(contracts.DispatchEvent, _EVENTS, "_dispatch_event")
INVOKE_TARGET = Patched(contracts.InvokeTarget, _EVENTS, "_invoke_target")
DISPATCH_TO_EVENT_BUS = Patched(contracts.DispatchToEventBus, _EVENTS, "_dispatch_to_event_bus")
SIMULATE = Patched(contracts.QueryAction, _IAM, "_simulate_principal_policy")
KEY_METADATA = Patched(contracts.KeyMetadata, _KMS, "_key_metadata")
GET_RESOURCE = Patched(contracts.JsonAction, "ministack.services.cloudcontrol", "_get_resource")
DESCRIBE_KEY = Patched(contracts.JsonAction, _KMS, "_describe_key")
START_BUILD = Patched(contracts.JsonAction, _CODEBUILD, "_start_build")
STOP_BUILD = Patched(contracts.JsonAction, _CODEBUILD, "_stop_build")
VALIDATE_JSONATA = Patched(contracts.ValidateDefinition, _STATES, "_validate_definition_jsonata")
VALIDATE_MACHINE = Patched(contracts.JsonAction, _STATES, "_validate_state_machine_definition")
START_EXECUTION = Patched(contracts.JsonAction, _STATES, "_start_execution")
STOP_EXECUTION = Patched(contracts.JsonAction, _STATES, "_stop_execution")
START_NESTED_EXECUTION = Patched(contracts.StartNestedExecution, _STATES, "_invoke_nested_start_execution_sync")
EXECUTE_TASK = Patched(contracts.ExecuteTask, _STATES, "_execute_task")
APPLY_ARGUMENTS = Patched(contracts.ApplyArguments, _STATES, "_apply_jsonata_arguments")
INVOKE_WITH_CALLBACK = Patched(contracts.InvokeWithCallback, _STATES, "_invoke_with_callback")
CALL_LAMBDA = Patched(contracts.CallLambda, _STATES, "_call_lambda")
SEND_TASK_ANSWERS = tuple(
    Patched(contracts.JsonAction, _STATES, f"_send_task_{one}") for one in ("success", "failure", "heartbeat")
)
RUN_FUNCTION = Patched(contracts.RunFunction, _LAMBDA, "_execute_function_dispatch")
CREATE_FUNCTION_URL = Patched(contracts.CreateFunctionUrl, _LAMBDA, "_create_function_url_config")
FUNCTION_URL_ID = Patched(contracts.FunctionUrlId, _LAMBDA, "_function_url_id")
SERVE_FUNCTION_URL = Patched(contracts.ServeFunctionUrl, _LAMBDA, "handle_function_url_request")
BUILD_FUNCTION_URL_EVENT = Patched(contracts.BuildFunctionUrlEvent, _LAMBDA, "_build_function_url_event")
