//! How an operation of ours ended.

use super::status::{Phase, StackStatus};

/// How an operation of ours stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The stack shows no trace of it: the call did not reach CloudFormation.
    NotStarted,
    /// It runs.
    Running,
    /// It did what it should.
    Succeeded,
    /// It did not; a completed rollback is a failure too.
    Failed {
        /// The status it ended in.
        status: StackStatus,
    },
}

/// What the stack's own events say of one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The newest status that the operation gave the root stack; none if it gave it none.
    pub of_operation: Option<StackStatus>,
    /// Whether no other operation came after it.
    pub is_newest: bool,
    /// The status that the stack is in now; none if the stack is gone.
    pub now: Option<StackStatus>,
}

/// How the operation stands that executes our change set.
///
/// The stack's status alone would call yesterday's UPDATE_COMPLETE the success of an operation that never began; so
/// it is judged by its own events, and only once the stack agrees with them.
pub fn outcome(progress: &Progress) -> Outcome {
    let Some(status) = &progress.of_operation else { return Outcome::NotStarted };
    if status.phase() == Phase::Running || (progress.is_newest && progress.now.as_ref() != Some(status)) {
        return Outcome::Running;
    }
    match status {
        StackStatus::CreateComplete | StackStatus::UpdateComplete => Outcome::Succeeded,
        other => Outcome::Failed { status: other.clone() },
    }
}
