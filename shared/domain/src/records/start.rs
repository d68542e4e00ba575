//! The start of a run by an operator.

use super::{Key, Record, Table};
use crate::messages::run::Run;
use crate::model::ids::DeploymentId;
use crate::model::person::Caller;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The start of a run over the operators' function, with the caller that IAM established.
///
/// Only that function writes the record, before it starts the execution. A deployment of another execution has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The deployment that the run begins.
    pub deployment: DeploymentId,
    /// Name of the execution that was started.
    pub name: String,
    /// State machine with its input.
    pub run: Run,
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
