//! A change of the configuration that waits for its effect.

use super::{ConfigKind, Key, Partition, Record, Table};
use crate::delivery::pending_change::PendingChange;
use serde::{Deserialize, Serialize};

/// A proposed version of a part of the configuration that weakens a protection. Proposals are counted, and at most the newest
/// one waits.
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
