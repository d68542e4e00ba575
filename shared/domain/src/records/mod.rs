//! The items of the ledger: one DynamoDB table, one Rust type per item.
//!
//! Every item carries a revision that the store raises on each write; a write names the revision it was read at, so
//! a stale writer loses. Keys are made here and nowhere else.

mod approval;
mod break_glass;
mod build_counter;
mod callback;
mod change_set;
mod commit_version;
mod config;
mod copy_slots;
mod deployment;
mod environment;
mod evidence;
mod failure;
mod image;
mod image_version;
mod log_entry;
mod operation;
mod proposal;
mod rejection;
mod release;
mod repository;
mod sweep_report;
mod table;
mod webhook_delivery;

pub use approval::{Approval, Decision, Subject};
pub use break_glass::BreakGlass;
pub use build_counter::BuildCounter;
pub use callback::{Callback, CallbackState};
pub use change_set::ChangeSet;
pub use commit_version::CommitVersion;
pub use config::{Config, ConfigKind};
pub use copy_slots::{CopySlot, CopySlots, QueuedPromotion};
pub use deployment::{Cancellation, Deployment, DeploymentKind, DeploymentState};
pub use environment::{Deployed, Environment, LeaseHolder};
pub use evidence::Evidence;
pub use failure::{FailedEvent, FailureRecord};
pub use image::{Image, ImageState};
pub use image_version::{ImageOrigin, ImageVersion, Revocation};
pub use log_entry::LogEntry;
pub use operation::{Operation, OperationKind};
pub use proposal::{NamedResource, Proposal, ProposedAction};
pub use rejection::Rejection;
pub use release::{Release, ReleaseState};
pub use repository::Repository;
pub use sweep_report::{Leftover, SweepReport};
pub use table::Table;
pub use webhook_delivery::{DeliveryOutcome, WebhookDelivery, WebhookDeliveryState};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The primary key of an item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Partition key.
    pub pk: String,
    /// Sort key; `-` where the partition holds one item.
    pub sk: String,
}

impl Key {
    fn new(pk: String, sk: impl Into<String>) -> Self {
        Self { pk, sk: sk.into() }
    }

    pub(crate) fn single(pk: String) -> Self {
        Self::new(pk, "-")
    }
}

/// One kind of item of the ledger.
pub trait Record: Serialize + DeserializeOwned + Clone {
    /// The item's kind, stored beside it so that a person who opens the table can read it.
    const KIND: &'static str;

    /// The table that holds the item, by its owner.
    const TABLE: Table;

    /// Where the item is stored.
    fn key(&self) -> Key;

    /// Seconds since 1970 after which DynamoDB may delete the item; `None` keeps it for ever.
    fn expires_at(&self) -> Option<i64> {
        None
    }

    /// The sort key in the `listing` index, partitioned by [`Record::KIND`]; `None` leaves the item out of it.
    fn listed_at(&self) -> Option<String> {
        None
    }
}
