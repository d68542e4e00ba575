//! Dispatch of one request to its action.

use crate::context::StackContext;
use crate::{change_set, destroy, execute, plan, recover, teardown};
use lockstep_domain::messages::stack::{Next, Request};
use lockstep_domain::model::error::Failure;
use serde::Serialize;

/// The reply to the state machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// The next state.
    Next(Next),
    /// No reply yet: the state machine waits for its task token.
    Waiting,
}

/// Handles one request.
pub async fn handle<C: StackContext>(context: &C, request: Request) -> Result<Reply, Failure> {
    match request {
        Request::Plan { deployment } => plan::plan(context, &deployment).await.map(next),
        Request::Recover { deployment, task } => {
            recover::recover(context, &deployment, &task).await.map(waiting)
        }
        Request::ChangeSet { deployment } => change_set::change_set(context, &deployment).await.map(next),
        Request::Execute { deployment, task } => {
            execute::execute(context, &deployment, &task).await.map(waiting)
        }
        Request::Observe { deployment } => execute::observe(context, &deployment).await.map(next),
        Request::PlanTeardown { deployment } => teardown::plan(context, &deployment).await.map(next),
        Request::Delete { deployment, task } => {
            recover::recover(context, &deployment, &task).await.map(waiting)
        }
        Request::Destroy { stage, environment, task } => {
            destroy::destroy(context, &stage, &environment, &task).await.map(waiting)
        }
        Request::Destroyed { stage, environment } => {
            destroy::destroyed(context, &stage, &environment).await.map(next)
        }
    }
}

fn next(go: lockstep_domain::messages::stack::NextStep) -> Reply {
    Reply::Next(Next { next: go })
}

fn waiting((): ()) -> Reply {
    Reply::Waiting
}

#[cfg(test)]
mod tests;
