use super::{Key, Record, Table};
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

/// State of a callback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum CallbackState {
    /// A state machine waits with this token.
    Open {
        /// The task token. It is a secret of the execution: no code logs or shows it.
        token: String,
        /// The execution that waits.
        execution: String,
        /// Time at which Step Functions entered the waiting state.
        entered_at: Timestamp,
        /// Number of times that Step Functions retried the state.
        retry: u32,
    },
    /// The operation ended before a state machine waited for it.
    Completed,
    /// The token received its answer.
    Answered {
        /// The execution that waited.
        execution: String,
    },
}

/// The callback of one operation, or the note that the operation ended before a state machine waited for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    /// Key of the operation: `<stack arn>#<client request token>`, an image's ARN,
    /// `approval#<deployment>#<n>`, `turn#<deployment>#<n>` of a queued deployment, or
    /// `room#<account>#<region>#<promotion>#<n>` for a copy slot.
    pub operation: String,
    /// State of the callback.
    #[serde(flatten)]
    pub state: CallbackState,
    /// Time of the last write.
    pub at: Timestamp,
}

impl Callback {
    /// Returns the key of the callback for `operation`.
    pub fn key_of(operation: &str) -> Key {
        Key::single(Table::Callbacks, format!("WAIT#{operation}"))
    }
}

impl Record for Callback {
    const KIND: &'static str = "WAIT";
    const TABLES: &'static [Table] = &[Table::Callbacks];

    fn key(&self) -> Key {
        Self::key_of(&self.operation)
    }

    /// Lists open callbacks only: the index holds the callbacks that the sweep examines.
    fn listed_at(&self) -> Option<String> {
        matches!(self.state, CallbackState::Open { .. }).then(|| self.at.to_string())
    }

    /// Returns the expiry of a completed callback, a week after its last write. An open one never expires.
    fn expires_at(&self) -> Option<i64> {
        match self.state {
            CallbackState::Open { .. } => None,
            CallbackState::Completed | CallbackState::Answered { .. } => {
                self.at.checked_add((7 * 24).hours()).ok().map(Timestamp::as_second)
            }
        }
    }
}
