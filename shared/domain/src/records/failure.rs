//! The failure of a deployment.

use crate::model::denial::Denial;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One resource event that caused a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedEvent {
    /// Logical id, with those of the enclosing nested stacks before it: `Child.Queue`.
    pub logical_id: String,
    /// Type of the resource.
    pub resource_type: String,
    /// The status, such as `CREATE_FAILED`.
    pub status: String,
    /// CloudFormation's reason.
    pub reason: String,
    /// The access that AWS denied, if that is the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied: Option<Denial>,
    /// Line of the resource in the template. For a resource of a nested stack, the line of the nested stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Time of the event.
    pub at: Timestamp,
}

/// Failure of a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureRecord {
    /// The stable error name.
    pub error: String,
    /// Sentence with what happened and what to do next.
    pub message: String,
}
