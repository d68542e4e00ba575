//! An operation that a deployment started.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What an AWS operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// Executes the change set.
    Execute,
    /// Deletes a stack that was never stable, so that it can be created again.
    Clear,
    /// Rolls a failed update back to the last stable state.
    Rollback,
    /// Goes on with a rollback that had failed.
    ContinueRollback,
    /// Deletes a stack that is torn down.
    Delete,
    /// Deletes a throw-away stack.
    Destroy,
    /// Copies an image.
    Copy,
    /// Builds an image.
    Build,
}

/// An AWS operation that this deployment started, or is about to: written before the call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// What it does.
    pub operation: OperationKind,
    /// Its deterministic client token.
    pub token: String,
    /// What it acts on: a stack's ARN, a change set's ARN, an image's ARN once known.
    pub target: String,
    /// The attempt: it rises only after the previous outcome was observed to have failed.
    pub attempt: u32,
    /// The resources that a person allowed to retain or to skip, as CloudFormation takes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
    /// When it was about to be started.
    pub at: Timestamp,
}
