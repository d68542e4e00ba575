//! The failure of a deployment.

use crate::model::denial::Denial;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One thing that really failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedEvent {
    /// The logical id, with those of nested stacks before it: `Child.Queue`.
    pub logical_id: String,
    /// The resource's type.
    pub resource_type: String,
    /// The status, such as `CREATE_FAILED`.
    pub status: String,
    /// CloudFormation's reason.
    pub reason: String,
    /// The access that AWS denied, if that is the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied: Option<Denial>,
    /// The line of the resource in the template; within a nested stack, that of the nested stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// When it failed.
    pub at: Timestamp,
}

/// How a deployment failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureRecord {
    /// The stable error name.
    pub error: String,
    /// A sentence a person can act on.
    pub message: String,
}
