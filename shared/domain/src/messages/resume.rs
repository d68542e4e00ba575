//! The `resume` function, besides the events of EventBridge.

use serde::{Deserialize, Serialize};

/// Look whether somebody waits for this operation, and answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wake {
    /// The operation's key, see [`crate::records::Callback`].
    pub wake: String,
}
