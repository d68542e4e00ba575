//! A line of a deployment log.

use super::{Key, Partition, Record, Table};
use crate::model::ids::DeploymentId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One line of a deployment log: an intent before its effect, or an observation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// The deployment.
    pub deployment: DeploymentId,
    /// Number of the line, counted from 1 in the order of events.
    pub number: u32,
    /// Short sentence for operators about the intent or the observation.
    pub note: String,
    /// Time of the line.
    pub at: Timestamp,
}

impl LogEntry {
    /// Returns the partition and sort-key prefix of the deployment log of `id`, oldest line first.
    pub fn all_of(id: &DeploymentId) -> Partition {
        Partition::new(Table::Operations, format!("DEPLOYMENT#{id}"), "STEP#")
    }
}

impl Record for LogEntry {
    const KIND: &'static str = "STEP";
    const TABLES: &'static [Table] = &[Table::Operations];

    fn key(&self) -> Key {
        Key::new(
            Table::Operations,
            format!("DEPLOYMENT#{}", self.deployment),
            format!("STEP#{:04}", self.number),
        )
    }
}
