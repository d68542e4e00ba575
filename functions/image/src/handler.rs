//! One request, one action.

use crate::world::World;
use crate::{copy, finish, import, inspect, share, verify, wait};
use lockstep_domain::messages::image::{Inspected, Next, NextStep, Promoted, Request};
use lockstep_domain::messages::ledger::Failed;
use lockstep_domain::model::error::Failure;
use serde::Serialize;

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// A promotion has begun.
    Inspected(Inspected),
    /// Where the state machine goes.
    Next(Next),
    /// The image is usable.
    Promoted(Promoted),
    /// The promotion is closed as failed.
    Failed(Failed),
    /// It is done, or the answer comes by task token.
    Nothing,
}

/// Serves one request.
pub async fn handle<W: World>(world: &W, request: Request) -> Result<Answer, Failure> {
    match request {
        Request::Verify { deployment } => verify::verify(world, &deployment).await.map(nothing),
        Request::Inspect { execution, input } => {
            inspect::inspect(world, &execution, &input).await.map(Answer::Inspected)
        }
        Request::Wait { promotion, task } => wait::wait(world, &promotion, &task).await.map(nothing),
        Request::Close { execution, error } => {
            finish::close_inspection(world, &execution, &error).await.map(Answer::Failed)
        }
        Request::Share { promotion } => share::share(world, &promotion).await.map(nothing),
        Request::Copy { promotion, task } => copy::copy(world, &promotion, &task).await.map(nothing),
        Request::Observe { promotion } => copy::observe(world, &promotion).await.map(next),
        Request::Retry { promotion } => copy::retry(world, &promotion).await.map(nothing),
        Request::Compare { promotion } => copy::compare(world, &promotion).await.map(nothing),
        Request::Unshare { promotion } => share::unshare(world, &promotion).await.map(nothing),
        Request::Record { promotion } => finish::record(world, &promotion).await.map(Answer::Promoted),
        Request::Discard { promotion } => copy::discard(world, &promotion).await.map(nothing),
        Request::Fail { promotion, error } => {
            finish::fail(world, &promotion, &error).await.map(Answer::Failed)
        }
        Request::Abandon { promotion } => finish::abandon(world, &promotion).await.map(nothing),
        Request::Import { ami, name, version, stage } => {
            import::import(world, &ami, &name, &version, &stage).await.map(Answer::Promoted)
        }
    }
}

fn next(go: NextStep) -> Answer {
    Answer::Next(Next { next: go })
}

fn nothing((): ()) -> Answer {
    Answer::Nothing
}

#[cfg(test)]
mod tests;
