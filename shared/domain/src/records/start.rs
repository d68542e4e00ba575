//! The start of a run by an operator.

use super::{Key, Record, Table};
use crate::model::ids::DeploymentId;
use crate::model::person::Caller;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The start of a run over the operators' function, with the caller that IAM established.
///
/// Only that function writes the record, before it starts the execution. A deployment of another execution has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The deployment that the run begins.
    pub deployment: DeploymentId,
    /// Name of the execution that was started.
    pub name: String,
    /// Name of the state machine, without `lockstep-`.
    pub machine: String,
    /// Input of the state machine.
    pub input: Value,
    /// The caller.
    pub by: Caller,
    /// Time of the request.
    pub at: Timestamp,
}

impl Start {
    /// Returns the key of the start of the deployment `id`.
    pub fn key_of(id: &DeploymentId) -> Key {
        Key::single(Table::Authority, format!("START#{id}"))
    }
}

impl Record for Start {
    const KIND: &'static str = "START";
    const TABLES: &'static [Table] = &[Table::Authority];

    fn key(&self) -> Key {
        Self::key_of(&self.deployment)
    }
}
