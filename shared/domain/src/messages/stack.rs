//! The `stack` function: CloudFormation.

use super::Task;
use crate::model::ids::{DeploymentId, StageName};
use serde::{Deserialize, Serialize};

/// What the state machines ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Request {
    /// Resolve the parameters, look at the stack, say what is to be done. Answers [`Next`].
    Plan {
        /// The deployment.
        deployment: DeploymentId,
    },
    /// Bring the stack to where it can be planned for: wait for what runs, delete what was never stable, finish a
    /// rollback. The token waits for the end.
    Recover {
        /// The deployment.
        deployment: DeploymentId,
        /// The waiting state.
        task: Task,
    },
    /// Make the change set and read it. Answers [`Next`].
    ChangeSet {
        /// The deployment.
        deployment: DeploymentId,
    },
    /// Execute the change set, or find it running or finished; the token waits for the end.
    Execute {
        /// The deployment.
        deployment: DeploymentId,
        /// The waiting state.
        task: Task,
    },
    /// Look at the stack after the operation. Answers [`Next`]; a failed operation is the error `StackFailed`.
    Observe {
        /// The deployment.
        deployment: DeploymentId,
    },
    /// Look at a stack that is to go, and say what is to be done. Answers [`Next`].
    PlanTeardown {
        /// The deployment.
        deployment: DeploymentId,
    },
    /// Delete it, or find it being deleted; the token waits for the end.
    Delete {
        /// The deployment.
        deployment: DeploymentId,
        /// The waiting state.
        task: Task,
    },
    /// Delete a throw-away stack; the token waits for the end.
    Destroy {
        /// The stage; only the throw-away one is accepted.
        stage: StageName,
        /// The environment.
        environment: String,
        /// The waiting state.
        task: Task,
    },
    /// Look whether the throw-away stack is gone. Answers [`Next`] (`wait` or `done`).
    Destroyed {
        /// The stage.
        stage: StageName,
        /// The environment.
        environment: String,
    },
}

/// Where the state machine goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NextStep {
    /// Recover the stack, then plan again.
    Recover,
    /// Make a change set.
    ChangeSet,
    /// Ask a person.
    Approve,
    /// Execute the change set.
    Execute,
    /// The change set was only to be shown.
    Planned,
    /// The rollback of what was executed failed: finish it, then observe again.
    FinishRollback,
    /// Nothing to change, or changed: run the checks.
    Check,
    /// Delete the stack.
    Delete,
    /// The operation still runs: wait again.
    Wait,
    /// The stack is gone.
    Done,
}

/// Where the state machine goes next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// There.
    pub next: NextStep,
}
