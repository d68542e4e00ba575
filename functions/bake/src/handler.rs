//! One request, one action.

use crate::world::World;
use crate::{build, discard, register, version};
use lockstep_domain::messages::bake::{
    BuildStarted, Built, Claimed, Completed, Distribution, Next, NextStep, Request, VersionFailed,
};
use lockstep_domain::messages::ledger::Failed;
use lockstep_domain::model::error::Failure;
use serde::Serialize;

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// A recipe has its version.
    Claimed(Claimed),
    /// A build has begun.
    BuildStarted(BuildStarted),
    /// Where the state machine goes.
    Next(Next),
    /// An image was built.
    Built(Built),
    /// Where a version must go.
    Distribution(Distribution),
    /// It is everywhere.
    Completed(Completed),
    /// It is given up.
    VersionFailed(VersionFailed),
    /// It is closed as failed.
    Failed(Failed),
    /// It is done, or the answer comes by task token.
    Nothing,
}

/// Serves one request.
pub async fn handle<W: World>(world: &W, request: Request) -> Result<Answer, Failure> {
    let next = |go: NextStep| Answer::Next(Next { next: go });
    match request {
        Request::Claim { execution, input, recipe } => {
            version::claim(world, &execution, &input, &recipe).await.map(Answer::Claimed)
        }
        Request::BeginBuild { execution, input } => {
            build::begin(world, &execution, &input).await.map(Answer::BuildStarted)
        }
        Request::Build { build, task } => build::start(world, &build, &task).await.map(|()| Answer::Nothing),
        Request::ObserveBuild { build } => build::observe(world, &build).await.map(next),
        Request::Register { build } => register::register(world, &build).await.map(Answer::Built),
        Request::FailBuild { build, error } => {
            discard::fail_build(world, &build, &error).await.map(Answer::Failed)
        }
        Request::Spread { execution, image, version } => {
            version::spread(world, &execution, &image, &version).await.map(Answer::Distribution)
        }
        Request::NotCopied { error } => version::not_copied(&error).map(next),
        Request::Complete { image, version, places } => {
            version::complete(world, &image, &version, &places).await.map(Answer::Completed)
        }
        Request::GiveUp { image, version, error } => {
            discard::give_up(world, &image, &version, &error).await.map(Answer::VersionFailed)
        }
        Request::DiscardVersion { image, version, stage } => {
            discard::discard(world, &image, &version, &stage).await.map(|()| Answer::Nothing)
        }
        Request::Bury { image, version, error } => {
            discard::bury(world, &image, &version, &error).await.map(Answer::Failed)
        }
    }
}

#[cfg(test)]
mod tests;
