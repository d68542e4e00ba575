//! What a deployment that did not succeed left behind, for every sentence about its end.
//!
//! A failure after the update of the stack is not the same as one before it: the release runs. The record of the
//! deployment decides, and the same record decides what the ledger says of its environment
//! ([`super::environment::after`]), so both agree.

use crate::model::error::FailureKind;
use crate::records::{Deployment, DeploymentBody, OperationKind};

/// Result of a deployment in its environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// The release runs, and its checks passed. For a teardown, the stack is gone.
    Done,
    /// The release runs, and its checks gave no result.
    Unchecked,
    /// The release runs, and its checks failed.
    Failing,
    /// The deployment changed no release.
    NotDone,
    /// An operation was started, and its result was not read.
    RunsOn,
}

/// The errors that follow a reading of the stack: no operation of the deployment runs any more.
const READ: [FailureKind; 5] = [
    FailureKind::StackFailed,
    FailureKind::StackNeedsHuman,
    FailureKind::Cancelled,
    FailureKind::ApprovalRefused,
    FailureKind::CheckFailed,
];

/// Returns the result of a deployment that ended with the error type `error`, or with success without one.
pub fn fate(deployment: &Deployment, error: Option<&str>) -> Fate {
    let Some(error) = error else { return Fate::Done };
    let is = |kind: FailureKind| kind.error_type() == error;
    match &deployment.body {
        DeploymentBody::Deploy(deploy) if deploy.plan_only => Fate::NotDone,
        DeploymentBody::Deploy(_) if is(FailureKind::CheckFailed) => Fate::Failing,
        DeploymentBody::Deploy(deploy) if deploy.stack_changed => Fate::Unchecked,
        DeploymentBody::Deploy(_) | DeploymentBody::Teardown(_) => {
            let was_read = READ.iter().any(|kind| is(*kind));
            if changes_stack(deployment) && !was_read { Fate::RunsOn } else { Fate::NotDone }
        }
        DeploymentBody::PromoteImage(_) | DeploymentBody::BuildImage(_) | DeploymentBody::PublishImage(_) => {
            Fate::NotDone
        }
    }
}

/// Returns the result of a closed deployment, and `None` for one that has not ended.
pub fn fate_of(deployment: &Deployment) -> Option<Fate> {
    let outcome = deployment.state.outcome()?;
    let error = deployment.failure.as_ref().map(|failure| failure.error.as_str());
    Some(if outcome.is_success() { Fate::Done } else { fate(deployment, Some(error.unwrap_or_default())) })
}

/// Returns true if the last operation of the deployment changes a stack.
fn changes_stack(deployment: &Deployment) -> bool {
    deployment.operation().is_some_and(|operation| match operation.operation {
        OperationKind::Execute
        | OperationKind::Clear
        | OperationKind::Rollback
        | OperationKind::Replay
        | OperationKind::ContinueRollback
        | OperationKind::Delete
        | OperationKind::Destroy => true,
        OperationKind::Copy | OperationKind::Build => false,
    })
}

#[cfg(test)]
mod tests;
