use super::{Key, Record, Table};
use crate::model::ids::DeploymentId;
use crate::model::location::Location;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A copy that may run, or runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopySlot {
    /// The execution of its promotion.
    pub execution: String,
    /// Since when it has its slot.
    pub since: Timestamp,
    /// How often its promotion has registered a wait; each has a key of its own, since an end answers a key once.
    #[serde(default)]
    pub asked: u32,
    /// Whether it waits still, and is to be woken.
    #[serde(default)]
    pub waits: bool,
}

/// A promotion that waits for a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedPromotion {
    /// The promotion.
    pub promotion: DeploymentId,
    /// Its execution.
    pub execution: String,
    /// Since when it waits: who waits longest comes first.
    pub since: Timestamp,
    /// How often it has registered a wait; as in [`CopySlot`].
    #[serde(default)]
    pub asked: u32,
}

/// What goes on with images in one account and region, so that Lockstep stays below AWS's limits there; see
/// [`crate::images::copy_slots`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopySlots {
    /// The place.
    pub location: Location,
    /// The copies that run into it, or may begin to.
    #[serde(default)]
    pub slots: BTreeMap<DeploymentId, CopySlot>,
    /// Those that wait, the first one first.
    #[serde(default)]
    pub queue: Vec<QueuedPromotion>,
    /// Until when the calls that begin copies are spoken for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy_calls: Option<Timestamp>,
    /// Until when the calls that share and unshare are spoken for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_calls: Option<Timestamp>,
}

impl CopySlots {
    /// A place in which nothing goes on.
    pub fn none_at(location: &Location) -> Self {
        Self {
            location: location.clone(),
            slots: BTreeMap::new(),
            queue: Vec::new(),
            copy_calls: None,
            share_calls: None,
        }
    }

    /// The key of what goes on at `location`.
    pub fn key_of(location: &Location) -> Key {
        Key::single(format!("TRAFFIC#{}#{}", location.account, location.region))
    }
}

impl Record for CopySlots {
    const KIND: &'static str = "TRAFFIC";
    const TABLE: Table = Table::Operations;

    fn key(&self) -> Key {
        Self::key_of(&self.location)
    }
}
