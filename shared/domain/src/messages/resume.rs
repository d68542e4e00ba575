//! Messages of the `resume` function, apart from the events of EventBridge.

use super::Task;
use serde::{Deserialize, Serialize};

/// Requests of other functions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Request {
    /// An operation may have ended.
    Wake(Wake),
    /// A state waits for an operation.
    Register(Register),
    /// A callback may have lost its execution.
    Forget(Forget),
}

/// Request to store the token of a state that waits for an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// The state and its operation.
    pub register: Waiting,
}

/// A state that waits for an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The operation's key, see [`crate::records::Callback`].
    pub operation: String,
    /// The state.
    pub task: Task,
}

/// Request to delete the open callback of this operation if its execution has ended. The sweep proposes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forget {
    /// The operation's key.
    pub forget: String,
}

/// Response to a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// True if a callback was deleted.
    pub is_forgotten: bool,
}

/// Request to look for an open callback of this operation and to complete it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wake {
    /// The operation's key, see [`crate::records::Callback`].
    pub wake: String,
}
