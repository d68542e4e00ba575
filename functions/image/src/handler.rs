//! Dispatches each request to its action.

use crate::context::ImageContext;
use crate::{channels, copy, finish, import, inspect, retain, share, verify, wait};
use lockstep_domain::messages::image::{
    Followed, Forgotten, Inspected, Next, NextStep, Promoted, Request, Retained,
};
use lockstep_domain::messages::ledger::Failed;
use lockstep_domain::model::error::Failure;
use serde::Serialize;

/// Reply to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// A promotion that was inspected.
    Inspected(Inspected),
    /// The next step of the state machine.
    Next(Next),
    /// The image that is usable now.
    Promoted(Promoted),
    /// The parameters that were changed.
    Followed(Followed),
    /// The step of a retirement.
    Retained(Retained),
    /// The record of an image that is gone.
    Forgotten(Forgotten),
    /// The promotion is closed as failed.
    Failed(Failed),
    /// The action is done, or its result comes by task token.
    Nothing,
}

/// Handles one request.
pub async fn handle<C: ImageContext>(context: &C, request: Request) -> Result<Reply, Failure> {
    match request {
        Request::Verify { deployment } => verify::verify(context, &deployment).await.map(nothing),
        Request::Inspect { execution, input } => {
            inspect::inspect(context, &execution, &input).await.map(Reply::Inspected)
        }
        Request::Wait { promotion, task } => wait::wait(context, &promotion, &task).await.map(nothing),
        Request::Close { execution, error } => {
            finish::close_inspection(context, &execution, &error).await.map(Reply::Failed)
        }
        Request::Share { promotion } => share::share(context, &promotion).await.map(nothing),
        Request::Copy { promotion, task } => copy::copy(context, &promotion, &task).await.map(nothing),
        Request::Observe { promotion } => copy::observe(context, &promotion).await.map(next),
        Request::Retry { promotion } => copy::retry(context, &promotion).await.map(nothing),
        Request::Compare { promotion } => copy::compare(context, &promotion).await.map(nothing),
        Request::Unshare { promotion } => share::unshare(context, &promotion).await.map(nothing),
        Request::Record { promotion } => finish::record(context, &promotion).await.map(Reply::Promoted),
        Request::Discard { promotion } => copy::discard(context, &promotion).await.map(nothing),
        Request::Fail { promotion, error } => {
            finish::fail(context, &promotion, &error).await.map(Reply::Failed)
        }
        Request::Abandon { promotion } => finish::abandon(context, &promotion).await.map(nothing),
        Request::Retain { image, version } => {
            retain::retain(context, &image, &version).await.map(Reply::Retained)
        }
        Request::Forget { image, version, location } => {
            retain::forget(context, &image, &version, &location).await.map(Reply::Forgotten)
        }
        Request::Channels { images, stage } => {
            channels::follow(context, &images, stage.as_ref()).await.map(Reply::Followed)
        }
        Request::Import { ami, name, version, stage } => {
            import::import(context, &ami, &name, &version, &stage).await.map(Reply::Promoted)
        }
    }
}

fn next(next: NextStep) -> Reply {
    Reply::Next(Next { next })
}

fn nothing((): ()) -> Reply {
    Reply::Nothing
}

#[cfg(test)]
mod tests;
