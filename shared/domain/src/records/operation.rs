//! An operation that a deployment started.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

/// Kind of an AWS operation, whose name in kebab case is part of its client token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "kebab-case")]
pub enum OperationKind {
    /// Executes the change set.
    Execute,
    /// Deletes a stack that was never stable, so that it can be created again.
    Clear,
    /// Rolls a failed update back to the last stable state.
    Rollback,
    /// Updates a stack in express mode to the template and the parameters that it ran last.
    Replay,
    /// Continues a rollback that failed.
    ContinueRollback,
    /// Deletes a stack in a teardown.
    Delete,
    /// Deletes a test stack.
    Destroy,
    /// Copies an image.
    Copy,
    /// Builds an image.
    Build,
}

/// An AWS operation that this deployment started, or is about to start. The record precedes the call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Kind of the operation.
    pub operation: OperationKind,
    /// Deterministic client token of the call.
    pub token: String,
    /// Target of the operation: a stack's ARN, a change set's ARN, or an image's ARN once known.
    pub target: String,
    /// Number of the attempt. It rises only after the previous attempt was observed to have failed.
    pub attempt: u32,
    /// Resources that an approver allowed to retain or to skip, in CloudFormation's form.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
    /// Time of the record, before the call.
    pub at: Timestamp,
}
