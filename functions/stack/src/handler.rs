//! One request, one action.

use crate::context::StackContext;
use crate::{change_set, destroy, execute, plan, recover, teardown};
use lockstep_domain::messages::stack::{Next, Request};
use lockstep_domain::model::error::Failure;
use serde::Serialize;

/// The reply: where the state machine goes, or nothing where it waits for its token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// There.
    Next(Next),
    /// The answer comes by task token.
    Waiting,
}

/// Serves one request.
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
