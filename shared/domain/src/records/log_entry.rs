//! A line of the log of a deployment.

use super::{Key, Record, Table};
use crate::model::ids::DeploymentId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One line of a deployment's journal: an intent before an effect, or what was observed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// The deployment.
    pub deployment: DeploymentId,
    /// Counted from 1 in the order things happened.
    pub number: u32,
    /// What was about to be done or was seen, as a short sentence for people.
    pub note: String,
    /// When.
    pub at: Timestamp,
}

impl LogEntry {
    /// Partition and sort-key prefix of the journal of `id`, oldest first.
    pub fn all_of(id: &DeploymentId) -> (String, &'static str) {
        (format!("DEPLOYMENT#{id}"), "STEP#")
    }
}

impl Record for LogEntry {
    const KIND: &'static str = "STEP";
    const TABLE: Table = Table::Operations;

    fn key(&self) -> Key {
        Key::new(format!("DEPLOYMENT#{}", self.deployment), format!("STEP#{:04}", self.number))
    }
}
