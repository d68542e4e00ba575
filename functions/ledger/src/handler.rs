//! Dispatch of one request, from a state machine, the sweep or over the function's URL.
//!
//! Each function takes the actions of its kind of callers only: see [`lockstep_domain::messages::callers`].

use crate::context::LedgerContext;
use crate::{
    approve, begin, changes, finish, gate, load, operator, operator_actions, ownership, release, teardown,
    turn,
};
use jiff::Timestamp;
use lockstep_aws::function_url::Invocation;
use lockstep_domain::delivery::{environment, order};
use lockstep_domain::messages::callers::Callers;
use lockstep_domain::messages::ledger::Request;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::{Failure, Policy};
use lockstep_domain::model::ids::{DeploymentId, StageName};
use lockstep_runtime::retry::retry_on_conflict;
use serde::Serialize;
use serde_json::{Value, json};

/// Handles one request. Returns the payload for a state machine, or an HTTP response for a request over the
/// URL. `callers` is the kind of callers of this function.
pub async fn handle(
    context: &impl LedgerContext,
    callers: Callers,
    invocation: Invocation<Request>,
    now: Timestamp,
) -> Result<Value, Failure> {
    match invocation {
        Invocation::Direct(request) => {
            retry_on_conflict(async || direct(context, callers, &request, now).await).await
        }
        Invocation::Url(request) => json(operator::answer(context, callers, &request, now).await?),
    }
}

async fn direct(
    context: &impl LedgerContext,
    callers: Callers,
    request: &Request,
    now: Timestamp,
) -> Result<Value, Failure> {
    callers.ensure_may(request.into(), request.callers())?;
    match request {
        Request::Begin { execution, input } => {
            let name = environment::name(&input.component, input.environment.as_deref())?;
            let begun = begin::begin(context, execution, callers.path()?, input, now).await;
            json(leaving(context, (callers.path()?, execution), (&input.stage, &name), begun).await?)
        }
        Request::BeginTeardown { execution, input } => {
            let name = environment::name(&input.component, input.environment.as_deref())?;
            let begun = teardown::begin(context, execution, callers.path()?, input, now).await;
            json(leaving(context, (callers.path()?, execution), (&input.stage, &name), begun).await?)
        }
        Request::AwaitTurn { deployment, stage, environment, task } => {
            turn::wait(context, callers.path()?, deployment, (stage, environment), task).await?;
            Ok(json!({}))
        }
        Request::RequestApproval { deployment, task } => {
            approve::request(context, callers.path()?, deployment, task, now).await?;
            Ok(json!({}))
        }
        Request::Proceed { deployment } => {
            json(approve::proceed(context, callers.path()?, deployment).await?)
        }
        Request::Complete { deployment } => {
            json(finish::complete(context, callers.path()?, deployment, now).await?)
        }
        Request::Fail { deployment, error } => {
            json(finish::fail(context, callers.path()?, deployment, error, now).await?)
        }
        Request::Gate { execution, input } => json(gate::gate(context, execution, input, now).await?),
        Request::ClaimImage { execution, input } => {
            ownership::claim_image(context, execution, input, now).await?;
            Ok(json!({}))
        }
        Request::ForgetTest { environment } => {
            release::forget_test(context, environment).await?;
            Ok(json!({}))
        }
        Request::Publish { component, version } => {
            release::publish(context, component, version, now).await?;
            Ok(json!({}))
        }
        Request::FailRelease { component, version, error } => {
            json(release::fail(context, component, version, error).await?)
        }
        Request::FreeEnvironment { stage, environment } => {
            json(operator_actions::free(context, stage, environment, now).await?)
        }
        Request::CloseUnanswered { deployment } => {
            json(operator_actions::close_unanswered(context, deployment, now).await?)
        }
        Request::SettleConfiguration {} => json(changes::settle(context, now).await?),
        Request::OrderRelease { components, results } => json(order::next(components, results)),
        Request::FinishRelease { input, components, results, error } => {
            json(release::finish(context, input, components, results, error.as_ref(), now).await?)
        }
    }
}

/// Takes a deployment that cannot begin out of the queue, so that no other waits for it.
async fn leaving<T>(
    context: &impl LedgerContext,
    (path, execution): (DeploymentPath, &str),
    (stage, name): (&StageName, &str),
    begun: Result<T, Failure>,
) -> Result<T, Failure> {
    let id = DeploymentId::of_execution(execution);
    if let Err(failure) = &begun
        && failure.kind.policy() != Policy::Retryable
        && load::ensure_on(path, &id).is_ok()
    {
        turn::leave(context, &id, stage, name).await?;
    }
    begun
}

pub(crate) fn json(answer: impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(answer)
        .map_err(|error| Failure::bug("an answer cannot be written").caused_by(&error))
}
