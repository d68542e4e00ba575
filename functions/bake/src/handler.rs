//! Dispatches each request to its action.

use crate::context::BakeContext;
use crate::{build, discard, register, version};
use lockstep_domain::messages::bake::{
    BuildStarted, Built, Claimed, Completed, Distribution, Next, NextStep, Request, VersionFailed,
};
use lockstep_domain::messages::ledger::Failed;
use lockstep_domain::model::error::Failure;
use serde::Serialize;

/// Reply to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// The claimed version of a recipe.
    Claimed(Claimed),
    /// A build that was created.
    BuildStarted(BuildStarted),
    /// The next step of the state machine.
    Next(Next),
    /// An image that was built.
    Built(Built),
    /// The locations that a version must reach.
    Distribution(Distribution),
    /// The version is usable at each required location.
    Completed(Completed),
    /// The version failed and must be discarded.
    VersionFailed(VersionFailed),
    /// The build or the version is closed as failed.
    Failed(Failed),
    /// The action is done, or its result comes by task token.
    Nothing,
}

/// Handles one request.
pub async fn handle<C: BakeContext>(context: &C, request: Request) -> Result<Reply, Failure> {
    let next = |next: NextStep| Reply::Next(Next { next });
    match request {
        Request::Claim { execution, input, recipe } => {
            version::claim(context, &execution, &input, &recipe).await.map(Reply::Claimed)
        }
        Request::BeginBuild { execution, input } => {
            build::begin(context, &execution, &input).await.map(Reply::BuildStarted)
        }
        Request::Build { build, task } => build::start(context, &build, &task).await.map(|()| Reply::Nothing),
        Request::ObserveBuild { build } => build::observe(context, &build).await.map(next),
        Request::Register { build } => register::register(context, &build).await.map(Reply::Built),
        Request::FailBuild { build, error } => {
            discard::fail_build(context, &build, &error).await.map(Reply::Failed)
        }
        Request::Distribute { execution, image, version } => {
            version::distribute(context, &execution, &image, &version).await.map(Reply::Distribution)
        }
        Request::CopyFailed { error } => version::copy_failed(&error).map(next),
        Request::Complete { image, version, places } => {
            version::complete(context, &image, &version, &places).await.map(Reply::Completed)
        }
        Request::FailVersion { image, version, error } => {
            discard::fail_version(context, &image, &version, &error).await.map(Reply::VersionFailed)
        }
        Request::DiscardVersion { image, version, stage } => {
            discard::discard(context, &image, &version, &stage).await.map(|()| Reply::Nothing)
        }
        Request::RecordDiscarded { image, version, error } => {
            discard::record_discarded(context, &image, &version, &error).await.map(Reply::Failed)
        }
    }
}

#[cfg(test)]
mod tests;
