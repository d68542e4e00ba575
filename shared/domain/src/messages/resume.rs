//! Messages of the `resume` function, apart from the events of EventBridge.

use serde::{Deserialize, Serialize};

/// Request to look for an open callback of this operation and to complete it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wake {
    /// The operation's key, see [`crate::records::Callback`].
    pub wake: String,
}
