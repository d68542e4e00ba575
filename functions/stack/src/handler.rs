//! One request, one action.

use crate::world::World;
use crate::{change_set, destroy, execute, plan, recover, teardown};
use lockstep_domain::messages::stack::{Next, Request};
use lockstep_domain::model::error::Failure;
use serde::Serialize;

/// What is answered: where the state machine goes, or nothing where it waits for its token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// There.
    Next(Next),
    /// The answer comes by task token.
    Waiting,
}

/// Serves one request.
pub async fn handle<W: World>(world: &W, request: Request) -> Result<Answer, Failure> {
    match request {
        Request::Plan { deployment } => plan::plan(world, &deployment).await.map(next),
        Request::Recover { deployment, task } => {
            recover::recover(world, &deployment, &task).await.map(waiting)
        }
        Request::ChangeSet { deployment } => change_set::change_set(world, &deployment).await.map(next),
        Request::Execute { deployment, task } => {
            execute::execute(world, &deployment, &task).await.map(waiting)
        }
        Request::Observe { deployment } => execute::observe(world, &deployment).await.map(next),
        Request::PlanTeardown { deployment } => teardown::plan(world, &deployment).await.map(next),
        Request::Delete { deployment, task } => {
            recover::recover(world, &deployment, &task).await.map(waiting)
        }
        Request::Destroy { stage, environment, task } => {
            destroy::destroy(world, &stage, &environment, &task).await.map(waiting)
        }
        Request::Destroyed { stage, environment } => {
            destroy::destroyed(world, &stage, &environment).await.map(next)
        }
    }
}

fn next(go: lockstep_domain::messages::stack::NextStep) -> Answer {
    Answer::Next(Next { next: go })
}

fn waiting((): ()) -> Answer {
    Answer::Waiting
}

#[cfg(test)]
mod tests;
