//! One request, from wherever it comes.

use crate::{App, approve, begin, finish, gate, operator, release, teardown};
use jiff::Timestamp;
use lockstep_domain::messages::ledger::Request;
use lockstep_domain::model::error::Failure;
use lockstep_platform::function_url::Invocation;
use lockstep_runtime::retry::retry_on_conflict;
use serde::Serialize;
use serde_json::{Value, json};

/// Answers a state machine with the payload of its request, a person with an HTTP response.
pub async fn handle(app: &App, invocation: Invocation<Request>, now: Timestamp) -> Result<Value, Failure> {
    match invocation {
        Invocation::Direct(request) => retry_on_conflict(async || direct(app, &request, now).await).await,
        Invocation::Url(request) => json(operator::answer(app, &request, now).await?),
    }
}

async fn direct(app: &App, request: &Request, now: Timestamp) -> Result<Value, Failure> {
    match request {
        Request::Begin { execution, path, input } => {
            json(begin::begin(app, execution, *path, input, now).await?)
        }
        Request::BeginTeardown { execution, path, input } => {
            json(teardown::begin(app, execution, *path, input, now).await?)
        }
        Request::RequestApproval { deployment, task } => {
            approve::request(app, deployment, task, now).await?;
            Ok(json!({}))
        }
        Request::Retake { deployment } => json(approve::retake(app, deployment, now).await?),
        Request::Complete { deployment } => json(finish::complete(app, deployment, now).await?),
        Request::Fail { deployment, error } => json(finish::fail(app, deployment, error, now).await?),
        Request::Gate { execution, input } => json(gate::gate(app, execution, input, now).await?),
        Request::Publish { component, version } => {
            release::publish(app, component, version).await?;
            Ok(json!({}))
        }
        Request::FailRelease { component, version, error } => {
            json(release::fail(app, component, version, error).await?)
        }
        Request::FinishRelease { input, components, results, error } => {
            json(release::finish(app, input, components, results, error.as_ref(), now).await?)
        }
    }
}

fn json(answer: impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(answer)
        .map_err(|error| Failure::bug(format!("an answer cannot be written: {error}")))
}
