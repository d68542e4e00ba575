use super::{Key, Record, Table};
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

/// What is known of an operation that somebody waits for, or will.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum CallbackState {
    /// A state machine waits with this token.
    Open {
        /// The task token. A secret of the execution: it is never logged or shown.
        token: String,
        /// The execution that waits.
        execution: String,
        /// When its state was entered, as LogEntry Functions says.
        entered_at: Timestamp,
        /// How often LogEntry Functions retried the state.
        retry: u32,
    },
    /// The end came before anybody waited.
    Tombstone,
    /// The token was answered.
    Answered {
        /// The execution that waited.
        execution: String,
    },
}

/// A wait for the end of one operation, or the note that it ended before anybody waited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    /// `<stack arn>#<client request token>`, an image's ARN, `approval#<deployment>#<n>`, or
    /// `room#<account>#<region>#<promotion>#<n>` for a slot to copy in.
    pub operation: String,
    /// What is known.
    #[serde(flatten)]
    pub state: CallbackState,
    /// When this was last written.
    pub at: Timestamp,
}

impl Callback {
    /// The key of the wait for `operation`.
    pub fn key_of(operation: &str) -> Key {
        Key::single(format!("WAIT#{operation}"))
    }
}

impl Record for Callback {
    const KIND: &'static str = "WAIT";
    const TABLE: Table = Table::Callbacks;

    fn key(&self) -> Key {
        Self::key_of(&self.operation)
    }

    /// Only open waits are listed: the index holds what the sweep looks at, and not what is over.
    fn listed_at(&self) -> Option<String> {
        matches!(self.state, CallbackState::Open { .. }).then(|| self.at.to_string())
    }

    /// Open waits never expire; what is over does after a week.
    fn expires_at(&self) -> Option<i64> {
        match self.state {
            CallbackState::Open { .. } => None,
            CallbackState::Tombstone | CallbackState::Answered { .. } => {
                self.at.checked_add((7 * 24).hours()).ok().map(Timestamp::as_second)
            }
        }
    }
}
