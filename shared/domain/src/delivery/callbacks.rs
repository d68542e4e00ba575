//! Callbacks for the end of an operation: which registration is current, and the effect of an end.
//!
//! Two sides meet at one record, in any order and any number of times: states that register their task token, and ends
//! of operations, reported by events or found by a check. An end without a registration leaves a completed record. A
//! registration that finds a completed record is completed at once, unless its state looked since. The completion carries
//! no result, and the state then checks its operation itself. A superfluous completion therefore costs one check, and a
//! lost one costs a timeout.

use crate::messages::Task;
use crate::records::{Callback, CallbackState};
use jiff::{Timestamp, ToSpan};

/// Seconds by which the clock of Step Functions may be ahead of that of `resume`.
const SKEW_SECONDS: i64 = 300;

/// Decision about a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registration {
    /// Write no callback: a newer one is registered.
    Stale,
    /// Write no callback, because the registration cannot be true, or takes the callback from an execution that may run. The
    /// waiting state looks at its operation once it times out.
    Refused {
        /// Reason as a sentence.
        why: String,
    },
    /// Write this callback, which may equal the stored one.
    Open {
        /// The callback to write.
        wait: Callback,
        /// True if the operation is known to have ended: the token must then be answered at once.
        is_over: bool,
    },
}

/// Decides about the registration of `task` for `operation`.
///
/// The state that was entered later has precedence, within one execution and across executions. Within one entry, the
/// later retry has precedence. Between equals, the later registration has precedence, because Step Functions gives a
/// state one valid token at a time.
///
/// The functions that wait only claim an execution and a time. So no registration takes the callback of another
/// execution that may still run (`holder_has_ended` is false), and none claims the future, which would keep later
/// ones out.
pub fn register(
    existing: Option<&Callback>,
    operation: &str,
    task: &Task,
    holder_has_ended: bool,
    now: Timestamp,
) -> Registration {
    let refused = |why: String| Registration::Refused { why };
    if now.checked_add(SKEW_SECONDS.seconds()).is_ok_and(|latest| task.entered_at > latest) {
        return refused(format!(
            "{} claims to wait since {}, in the future",
            task.execution, task.entered_at
        ));
    }
    if let Some(holder) = holder(existing, task).filter(|_| !holder_has_ended) {
        return refused(format!("{holder} may still wait for it, so {} cannot", task.execution));
    }
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
            // The same registration again: no change.
            CallbackState::Open { token, .. } if *token == task.token => {
                Registration::Open { wait: wait.clone(), is_over: false }
            }
            CallbackState::Open { .. } => Registration::Open { wait: open(now), is_over: false },
            CallbackState::Completed => Registration::Open { wait: open(now), is_over: true },
            // The state has looked since an answer that came before it was entered, and waits again. The operation may run
            // for long: an answer that repeats itself would turn the wait into a loop.
            CallbackState::Answered { .. } => {
                Registration::Open { wait: open(now), is_over: wait.at >= task.entered_at }
            }
        },
    }
}

/// Returns the other execution that waits for the operation; `None` if none does.
pub fn holder<'a>(existing: Option<&'a Callback>, task: &Task) -> Option<&'a str> {
    match existing.map(|wait| &wait.state) {
        Some(CallbackState::Open { execution, .. }) if *execution != task.execution => Some(execution),
        _ => None,
    }
}

/// Action at the end of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completion {
    /// Complete this token, then write the callback.
    Answer {
        /// The task token.
        token: String,
        /// The callback to write once the token is completed, or found to be completed or timed out.
        then: Callback,
    },
    /// Write this record, because no state has registered yet.
    RecordEnd(Callback),
    /// Write no callback: the end is recorded already.
    Known,
}

/// Decides about the end of `operation`.
pub fn complete(existing: Option<&Callback>, operation: &str, now: Timestamp) -> Completion {
    let wait = |state| Callback { operation: operation.to_owned(), state, at: now };
    match existing.map(|wait| &wait.state) {
        None => Completion::RecordEnd(wait(CallbackState::Completed)),
        Some(CallbackState::Open { token, execution, .. }) => Completion::Answer {
            token: token.clone(),
            then: wait(CallbackState::Answered { execution: execution.clone() }),
        },
        Some(CallbackState::Completed | CallbackState::Answered { .. }) => Completion::Known,
    }
}

#[cfg(test)]
mod tests;
