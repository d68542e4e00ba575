//! Waiting for the end of an operation: which registration counts, and what an end does.
//!
//! Two sides meet at one record, in any order and any number of times: states that register their task token, and
//! ends of operations, told by events or by whoever found the operation finished. An end that finds nobody leaves a
//! tombstone; a registration that finds one is answered at once. An answer carries nothing and the state that gets it
//! looks for itself, so that one answer too many costs a look and one too few costs a time-out.

use crate::messages::Task;
use crate::records::{Callback, CallbackState};
use jiff::Timestamp;

/// What to do with a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registration {
    /// A newer one is registered; do nothing.
    Stale,
    /// Write this; it may equal what is there.
    Open {
        /// The wait to write.
        wait: Callback,
        /// Whether the operation is known to have ended: then `resume` must be asked to look.
        is_over: bool,
    },
}

/// Decides about the registration of `task` for `operation`.
///
/// Within and across executions the state that was entered later counts; within one entry the later retry; between
/// equals the one that comes later, since Step Functions gives a state one valid token at a time.
pub fn register(existing: Option<&Callback>, operation: &str, task: &Task, now: Timestamp) -> Registration {
    let open = |at| Callback {
        operation: operation.to_owned(),
        state: CallbackState::Open {
            token: task.token.clone(),
            execution: task.execution.clone(),
            entered_at: task.entered_at,
            retry: task.retry,
        },
        at,
    };
    match existing {
        None => Registration::Open { wait: open(now), is_over: false },
        Some(wait) => match &wait.state {
            CallbackState::Open { entered_at, retry, .. }
                if (task.entered_at, task.retry) < (*entered_at, *retry) =>
            {
                Registration::Stale
            }
            // The same registration again: nothing to write.
            CallbackState::Open { token, .. } if *token == task.token => {
                Registration::Open { wait: wait.clone(), is_over: false }
            }
            CallbackState::Open { .. } => Registration::Open { wait: open(now), is_over: false },
            CallbackState::Tombstone | CallbackState::Answered { .. } => {
                Registration::Open { wait: open(now), is_over: true }
            }
        },
    }
}

/// What to do when an operation has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completion {
    /// Answer this token, then write the wait.
    Answer {
        /// The token.
        token: String,
        /// What to write once it is answered, or found to be answered or timed out.
        then: Callback,
    },
    /// Nobody waits yet: write this note.
    Bury(Callback),
    /// It is known already.
    Known,
}

/// Decides what the end of `operation` does.
pub fn complete(existing: Option<&Callback>, operation: &str, now: Timestamp) -> Completion {
    let wait = |state| Callback { operation: operation.to_owned(), state, at: now };
    match existing.map(|wait| &wait.state) {
        None => Completion::Bury(wait(CallbackState::Tombstone)),
        Some(CallbackState::Open { token, execution, .. }) => Completion::Answer {
            token: token.clone(),
            then: wait(CallbackState::Answered { execution: execution.clone() }),
        },
        Some(CallbackState::Tombstone | CallbackState::Answered { .. }) => Completion::Known,
    }
}

#[cfg(test)]
mod tests;
