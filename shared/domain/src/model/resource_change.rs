//! The changes of a change set, and their impact.

use crate::model::drift_status::DriftStatus;
use serde::{Deserialize, Serialize};

/// The type of a nested stack.
pub const NESTED_STACK: &str = "AWS::CloudFormation::Stack";

/// How dangerous a change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Impact {
    /// Nothing is lost and nothing stops.
    None,
    /// A resource is replaced or restarted; it holds no data.
    Interruption,
    /// A protected resource is, or may be, removed or replaced.
    DataLoss,
}

/// One change of a change set, in CloudFormation's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The logical id, with those of nested stacks before it: `Child.Queue`.
    pub logical_id: String,
    /// The resource's type.
    pub resource_type: String,
    /// `Add`, `Modify`, `Remove`, `Import`, `Dynamic` or `SyncWithActual`.
    pub action: String,
    /// `True`, `False` or `Conditional`; empty if it does not apply.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub replacement: String,
    /// The properties that change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<String>,
    /// Whether only tags change.
    #[serde(default)]
    pub tags_only: bool,
    /// What a change set that reverts drift says of the resource as it is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftStatus>,
    /// How dangerous it is.
    pub impact: Impact,
}
