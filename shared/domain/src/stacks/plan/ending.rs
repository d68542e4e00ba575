//! Result of one of Lockstep's own stack operations.

use super::status::{Phase, StackStatus};

/// State of one of Lockstep's own stack operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperationState {
    /// The stack shows no trace of the operation: the call did not reach CloudFormation.
    NotStarted,
    /// The operation runs.
    Running,
    /// The operation succeeded.
    Succeeded,
    /// The operation failed. A completed rollback is a failure too.
    Failed {
        /// The status in which the operation ended.
        status: StackStatus,
    },
}

/// The stack's own events about one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Newest status that the operation gave the root stack; `None` if it gave none.
    pub of_operation: Option<StackStatus>,
    /// True if no other operation followed.
    pub is_newest: bool,
    /// Current status of the stack; `None` if the stack does not exist any more.
    pub now: Option<StackStatus>,
}

/// Returns the state of the operation that executes a change set of Lockstep.
///
/// The stack's status alone is not enough: a previous UPDATE_COMPLETE would count as the success of an operation that
/// never started. Therefore the function reads the operation's own events, and reports an end only once the stack's
/// status agrees with them.
pub fn operation_state(progress: &Progress) -> OperationState {
    let Some(status) = &progress.of_operation else { return OperationState::NotStarted };
    if status.phase() == Phase::Running || (progress.is_newest && progress.now.as_ref() != Some(status)) {
        return OperationState::Running;
    }
    match status {
        StackStatus::CreateComplete | StackStatus::UpdateComplete => OperationState::Succeeded,
        other => OperationState::Failed { status: other.clone() },
    }
}
