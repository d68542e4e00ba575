//! The changes of a change set, and their impact.

use crate::model::drift_status::DriftStatus;
use serde::{Deserialize, Serialize};

/// The type of a nested stack.
pub const NESTED_STACK: &str = "AWS::CloudFormation::Stack";

/// Action with which CloudFormation only updates its own record: the resource already matches the template.
pub const SYNC: &str = "SyncWithActual";

/// Impact of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Impact {
    /// The change loses no data and interrupts no service.
    None,
    /// The change replaces or restarts a resource that holds no data.
    Interruption,
    /// The change removes or replaces a protected resource, or may do so.
    DataLoss,
}

/// One change of a change set, in CloudFormation's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Logical id, with those of the enclosing nested stacks before it: `Child.Queue`.
    pub logical_id: String,
    /// Type of the resource.
    pub resource_type: String,
    /// `Add`, `Modify`, `Remove`, `Import`, `Dynamic` or `SyncWithActual`.
    pub action: String,
    /// `True`, `False` or `Conditional`; empty if it does not apply.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub replacement: String,
    /// Names of the properties that change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<String>,
    /// True if only tags change.
    #[serde(default)]
    pub tags_only: bool,
    /// Current state of the resource, from a change set that reverts drift.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftStatus>,
    /// Impact of the change.
    pub impact: Impact,
}
