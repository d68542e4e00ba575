//! A change of the configuration that waits for its effect.

use super::{ConfigKind, Key, Partition, Record, Table};
use crate::model::difference::Difference;
use crate::model::person::{Caller, Person};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// State of a pending change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PendingState {
    /// The change waits.
    Open,
    /// The change is in effect.
    Applied,
    /// An administrator cancelled it.
    Cancelled,
    /// It ended after a week.
    Expired,
    /// Another version of the configuration was applied in the meantime.
    Superseded,
}

/// A weakening that waits for its effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingChange {
    /// Text of the file.
    pub text: String,
    /// Version of the configuration that the differences compare with.
    pub base: u32,
    /// The differences, as they were shown.
    pub differences: Vec<Difference>,
    /// The administrator who proposed it.
    pub proposed_by: Caller,
    /// Person of that administrator at that time.
    pub proposer: Person,
    /// Time of the proposal.
    pub proposed_at: Timestamp,
    /// State of the change.
    pub state: PendingState,
    /// The administrator who confirmed or cancelled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<Caller>,
    /// Time of the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

/// A proposed version of a part of the configuration that weakens a protection. Proposals are counted, and at most the
/// newest one waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingConfig {
    /// Part of the configuration.
    pub config: ConfigKind,
    /// Number of the proposal, counted from 1.
    pub number: u32,
    /// The change.
    pub change: PendingChange,
}

impl PendingConfig {
    /// Returns the partition of all proposals for a part of the configuration.
    pub fn all_of(kind: ConfigKind) -> Partition {
        let Partition { table, pk, prefix } = kind.versions();
        Partition::new(table, pk, format!("PENDING#{prefix}"))
    }
}

impl Record for PendingConfig {
    const KIND: &'static str = "PENDING";
    const TABLES: &'static [Table] = &[Table::Authority];

    fn key(&self) -> Key {
        let Partition { table, pk, prefix } = Self::all_of(self.config);
        Key::new(table, pk, format!("{prefix}{:010}", self.number))
    }
}
