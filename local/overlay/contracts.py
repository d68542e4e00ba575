"""The signature of each function of ministack that the overlay replaces.

ministack calls a function by its parameters' names or by their order, so that what replaces it must take both. A type
checker compares each patch with its Protocol, and the start compares each Protocol with the function itself
(``patched.check``). A parameter before a ``/`` is given by its place alone, and its name is not compared.
"""

from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol, TypedDict

from hypercorn.protocol.http_stream import HTTPStream
from ministack.core.iam_evaluator import (
    AuthError,
    CredentialResolutionError,
    EvalContext,
    EvalResult,
    ResolvedCredential,
)

from overlay.shapes import Headers, Params, Properties, Provisioned, Query, Receive, Record, Reply, Scope, Send


class QueryAction(Protocol):
    """An action of a service that takes a form: EC2, IAM, CloudFormation."""

    def __call__(self, params: Params, /) -> Reply: ...


class JsonAction(Protocol):
    """An action of a service that takes a JSON body: Step Functions, KMS, CodeBuild."""

    def __call__(self, data: Record) -> Reply: ...


class ServiceHandler(Protocol):
    """Everything that a service answers."""

    async def __call__(
        self, method: str, path: str, headers: Headers, body: bytes, query_params: Query, /
    ) -> Reply: ...


# --- The server -------------------------------------------------------------------------------------------------------


class AsgiApp(Protocol):
    """The entry of the server."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class Dispatch(Protocol):
    """One call to a service."""

    async def __call__(
        self, method: str, path: str, headers: Headers, body: bytes, query_params: Query, request_id: str
    ) -> Reply: ...


class DispatchFunctionUrl(Protocol):
    """A request to a function URL; ``None`` if it is to none."""

    async def __call__(
        self,
        host: str,
        path: str,
        method: str,
        headers: Headers,
        body: bytes,
        query_params: Query,
        source_ip: str | None = None,
    ) -> Reply | None: ...


class SendErrorResponse(Protocol):
    """The server's own error answer, a method of a stream."""

    async def __call__(self, stream: HTTPStream, /, status_code: int) -> None: ...


class ParseRequest(Protocol):
    """The reading of a request's first line and headers, a method of its handler; false if it was answered already."""

    def __call__(self, handler: BaseHTTPRequestHandler, /) -> bool: ...


# --- Authentication ---------------------------------------------------------------------------------------------------


class ResolveCredential(Protocol):
    """The secret and the principal of an access key."""

    def __call__(
        self, access_key_id: str, account_id: str | None = None, session_token: Any = ...
    ) -> ResolvedCredential | CredentialResolutionError: ...


class ExecutionCredentials(Protocol):
    """The keys with which a function calls AWS, as variables of its environment."""

    def __call__(self, config: Record) -> dict[str, str]: ...


# --- Authorization ----------------------------------------------------------------------------------------------------


class Enforce(Protocol):
    """The check of one action on one resource; ``None`` if it is allowed."""

    def __call__(
        self,
        access_key_id: str,
        iam_action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: Record | None = None,
    ) -> EvalResult | AuthError | None: ...


class ResolveConditionKey(Protocol):
    """The value of a condition key in a request."""

    def __call__(self, key: str, ctx: EvalContext) -> Any: ...


class ExtractResourceArn(Protocol):
    """The resource that a call is authorized on."""

    def __call__(
        self,
        service: str,
        method: str,
        path: str,
        headers: Headers,
        body: bytes,
        query_params: Query,
        region: str,
        account_id: str,
    ) -> str: ...


class RequestTagContext(Protocol):
    """The condition keys that a request's parameters give."""

    def __call__(self, service: str, iam_action: str, body: bytes, params: Params) -> Record: ...


# --- CloudFormation ---------------------------------------------------------------------------------------------------


class AddEvent(Protocol):
    """Records one event of a stack."""

    def __call__(
        self,
        stack_id: str,
        stack_name: str,
        logical_id: str,
        resource_type: str,
        status: str,
        reason: str = "",
        physical_id: str = "",
        detailed_status: str = "",
    ) -> None: ...


class ResolveDocument(Protocol):
    """A template or a policy of a request, given as text or by its address; or the refusal of it."""

    def __call__(self, params: Params, body_key: str, url_key: str, label: str) -> tuple[str | None, Reply | None]: ...


class DeployStack(Protocol):
    """The creation or the update of a stack."""

    async def __call__(
        self,
        stack_name: str,
        stack_id: str,
        template: Record,
        param_values: Record,
        disable_rollback: bool,
        tags: list[Record],
        is_update: bool = False,
        previous_stack: Record | None = None,
        retain_except_on_create: bool = False,
        imports: Record | None = None,
    ) -> None: ...


class ResolveForDiff(Protocol):
    """Resolves the properties of a template before a change set compares it."""

    def __call__(self, template: Record, params: Record, stack_name: str, stack_id: str) -> Record: ...


class ValidationErrors(Protocol):
    """What a deployment finds wrong with the resources before it makes one."""

    def __call__(
        self,
        resources_defs: Record,
        ordered: list[str],
        param_values: Record,
        conditions: Record,
        mappings: Record,
        stack_name: str,
        stack_id: str,
        owned_buckets: frozenset[str] = frozenset(),
    ) -> list[tuple[Any, ...]]: ...


class FailPropertyValidation(Protocol):
    """Ends a deployment whose resources are wrong; returns whether it did."""

    def __call__(
        self,
        stack: Record,
        stack_id: str,
        stack_name: str,
        resources_defs: Record,
        ordered: list[str],
        param_values: Record,
        conditions: Record,
        mappings: Record,
        disable_rollback: bool,
        previous_stack: Record | None = None,
    ) -> bool: ...


class ProvisionResource(Protocol):
    """The creation of a resource of any type."""

    def __call__(self, resource_type: str, logical_id: str, props: Properties, stack_name: str) -> Provisioned: ...


class AdoptResource(Protocol):
    """The import of a resource of any type."""

    def __call__(
        self, stack_id: str, stack_name: str, logical_id: str, resource_type: str, identifier: Record
    ) -> Any: ...


class DeployNestedStack(Protocol):
    """The creation or the update of a nested stack."""

    def __call__(
        self,
        logical_id: str,
        props: Properties,
        parent_stack_name: str,
        *,
        previous_physical_id: str | None = None,
        previous_props: Properties | None = None,
    ) -> Provisioned: ...


class CreateResource(Protocol):
    """The creation of a resource of one type."""

    def __call__(self, logical_id: str, props: Properties, stack_name: str, /) -> Provisioned: ...


class UpdateResource(Protocol):
    """The update of a resource of one type."""

    def __call__(
        self, physical_id: str, old_props: Properties, new_props: Properties, stack_name: str, /
    ) -> Provisioned: ...


class UpdateNamedResource(Protocol):
    """The update of a resource of one type that also learns the resource's logical id."""

    def __call__(
        self,
        physical_id: str,
        old_props: Properties,
        new_props: Properties,
        stack_name: str,
        logical_id: str | None = None,
        /,
    ) -> Provisioned: ...


class DeleteResource(Protocol):
    """The deletion of a resource of one type."""

    def __call__(self, physical_id: str, props: Properties, /) -> None: ...


class ResourceHandlers(TypedDict):
    """A resource type that the overlay adds."""

    create: CreateResource
    update: UpdateResource
    delete: DeleteResource


class DriftReader(Protocol):
    """The present properties of a resource, as its template writes them; ``None`` once it is gone."""

    def __call__(self, physical_id: str, props: Properties, /) -> Properties | None: ...


# --- Events -----------------------------------------------------------------------------------------------------------


class DispatchEvent(Protocol):
    """Hands an event to the rules of its bus."""

    def __call__(self, event: Record, view: Any = None) -> None: ...


class InvokeTarget(Protocol):
    """Hands an event to a target of a rule."""

    def __call__(self, target: Record, event: Record, rule: Record, view: Any = None) -> Any: ...


class DispatchToEventBus(Protocol):
    """Hands an event to a target that is a bus."""

    def __call__(
        self, spec: Any, event: Record, rule: Record, event_path: list[str], target_input_payload: Any = None
    ) -> Any: ...


# --- Keys -------------------------------------------------------------------------------------------------------------


class KeyMetadata(Protocol):
    """A key as DescribeKey shows it."""

    def __call__(self, rec: Record) -> Record: ...


# --- Step Functions ---------------------------------------------------------------------------------------------------


class ValidateDefinition(Protocol):
    """The reason why a definition is refused; ``None`` if it is not."""

    def __call__(self, definition_str: Any) -> str | None: ...


class InvokeWithCallback(Protocol):
    """Hands a token out and waits for its answer."""

    def __call__(self, resource: str, input_data: Any, token: str, state_def: Record) -> Any: ...


class ApplyArguments(Protocol):
    """The arguments of a state, evaluated."""

    def __call__(self, state_def: Record, raw_input: Any, ctx: Record | None = None) -> Any: ...


class CallLambda(Protocol):
    """The invocation of a function by a state machine."""

    def __call__(self, func_ref: Any, event: Any) -> Any: ...


class ExecuteTask(Protocol):
    """The execution of a task."""

    def __call__(self, state_def: Record, raw_input: Any, execution: Record | None, ctx: Record | None) -> Any: ...


class StartNestedExecution(Protocol):
    """The start of an execution by a task that waits for its end."""

    def __call__(self, resource: str, input_data: Any) -> Record: ...


# --- Lambda -----------------------------------------------------------------------------------------------------------


class RunFunction(Protocol):
    """The execution of a function, however it was started."""

    def __call__(self, func: Record, config: Record, event: Record, request_id: str, started: float) -> Record: ...


class CreateFunctionUrl(Protocol):
    """CreateFunctionUrlConfig."""

    def __call__(self, func_name: str, data: Record, qualifier: str | None) -> Reply: ...


class FunctionUrlId(Protocol):
    """The id in a function URL."""

    def __call__(self, function_url: str) -> str: ...


class ServeFunctionUrl(Protocol):
    """The answer to a request to a function URL."""

    async def __call__(
        self,
        url_id: str,
        method: str,
        path: str,
        headers: Headers,
        body: bytes,
        query_params: Query,
        resolved: tuple[Any, ...] | None = None,
        source_ip: str | None = None,
    ) -> Reply: ...


class BuildFunctionUrlEvent(Protocol):
    """The event that a function gets of a request to its URL."""

    def __call__(
        self,
        url_id: str,
        account_id: str,
        region: str,
        method: str,
        path: str,
        headers: Headers,
        body: bytes,
        query_params: Query,
        source_ip: str = "127.0.0.1",
        anonymous: bool = False,
        trace_root: str = "",
    ) -> Record: ...
