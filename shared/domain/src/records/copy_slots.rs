use super::{Key, Record, Table};
use crate::model::ids::DeploymentId;
use crate::model::location::Location;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A copy that runs or may start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopySlot {
    /// Execution of the promotion.
    pub execution: String,
    /// Time at which the copy got its slot.
    pub since: Timestamp,
    /// Number of callbacks that the promotion has registered. Each has its own key, because an end completes
    /// a key once.
    #[serde(default)]
    pub asked: u32,
    /// True if the promotion still waits and needs a notification.
    #[serde(default)]
    pub waits: bool,
}

/// A promotion that waits for a copy slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedPromotion {
    /// The promotion.
    pub promotion: DeploymentId,
    /// Execution of the promotion.
    pub execution: String,
    /// Time at which the wait began. The oldest promotion is first.
    pub since: Timestamp,
    /// Number of callbacks that the promotion has registered; as in [`CopySlot`].
    #[serde(default)]
    pub asked: u32,
}

/// Copy slots and call quotas of images in one account and region. They keep Lockstep below AWS's limits
/// there; see [`crate::images::copy_slots`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopySlots {
    /// Account and region of the slots.
    pub location: Location,
    /// Copies into the location that run or may start.
    #[serde(default)]
    pub slots: BTreeMap<DeploymentId, CopySlot>,
    /// Waiting promotions, oldest first.
    #[serde(default)]
    pub queue: Vec<QueuedPromotion>,
    /// End of the period for which calls that begin copies are reserved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy_calls: Option<Timestamp>,
    /// End of the period for which calls that share and unshare are reserved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_calls: Option<Timestamp>,
}

impl CopySlots {
    /// Returns an empty record of the location.
    pub fn none_at(location: &Location) -> Self {
        Self {
            location: location.clone(),
            slots: BTreeMap::new(),
            queue: Vec::new(),
            copy_calls: None,
            share_calls: None,
        }
    }

    /// Returns the key of the copy slots of `location`.
    pub fn key_of(location: &Location) -> Key {
        Key::single(Table::Operations, format!("TRAFFIC#{}#{}", location.account, location.region))
    }
}

impl Record for CopySlots {
    const KIND: &'static str = "TRAFFIC";
    const TABLES: &'static [Table] = &[Table::Operations];

    fn key(&self) -> Key {
        Self::key_of(&self.location)
    }
}
