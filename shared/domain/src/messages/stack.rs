//! Messages of the `stack` function, which calls CloudFormation.

use super::Task;
use crate::model::ids::{DeploymentId, StageName};
use serde::{Deserialize, Serialize};

/// Requests of the state machines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Request {
    /// Resolves the parameters, inspects the stack and plans the next step. Returns [`Next`].
    Plan {
        /// The deployment.
        deployment: DeploymentId,
    },
    /// Brings the stack into a state that a plan can start from: waits for a running operation, deletes a stack that
    /// was never stable, or finishes a rollback. Stores the token until the operation ends.
    Recover {
        /// The deployment.
        deployment: DeploymentId,
        /// The waiting state.
        task: Task,
    },
    /// Creates the change set and reads it. Returns [`Next`].
    ChangeSet {
        /// The deployment.
        deployment: DeploymentId,
    },
    /// Executes the change set, or finds it running or finished. Stores the token until the operation ends.
    Execute {
        /// The deployment.
        deployment: DeploymentId,
        /// The waiting state.
        task: Task,
    },
    /// Inspects the stack after the operation. Returns [`Next`]; a failed operation is the error `StackFailed`.
    Observe {
        /// The deployment.
        deployment: DeploymentId,
    },
    /// Inspects a stack that will be deleted, and plans the next step. Returns [`Next`].
    PlanTeardown {
        /// The deployment.
        deployment: DeploymentId,
    },
    /// Deletes the stack, or finds the deletion running. Stores the token until the operation ends.
    Delete {
        /// The deployment.
        deployment: DeploymentId,
        /// The waiting state.
        task: Task,
    },
    /// Deletes a test stack. Stores the token until the operation ends.
    Destroy {
        /// The stage; only the stage of test stacks is accepted.
        stage: StageName,
        /// The environment.
        environment: String,
        /// The waiting state.
        task: Task,
    },
    /// Checks if the test stack is deleted. Returns [`Next`] (`wait` or `done`).
    Destroyed {
        /// The stage.
        stage: StageName,
        /// The environment.
        environment: String,
    },
}

/// The next step of the state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NextStep {
    /// Recover the stack, then plan again.
    Recover,
    /// Make a change set.
    ChangeSet,
    /// Ask for an approval.
    Approve,
    /// Execute the change set.
    Execute,
    /// End: the deployment only shows its change set.
    Planned,
    /// Finish the failed rollback of the executed change set, then observe again.
    FinishRollback,
    /// Run the checks: the stack has its changes, or needs none.
    Check,
    /// Delete the stack.
    Delete,
    /// Wait again: the operation still runs.
    Wait,
    /// End: the stack is deleted.
    Done,
}

/// Response with the next step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// The next step.
    pub next: NextStep,
}
