//! The items of the ledger: DynamoDB tables with one Rust type for each kind of item.
//!
//! Every item carries a revision that the store raises on each write. A write names the revision that it
//! read, so a stale write fails with a conflict. Only this module makes keys.

mod approval;
mod break_glass;
mod build_counter;
mod callback;
mod change_set;
mod commit_version;
mod config;
mod copy_plan;
mod copy_slots;
mod deployment;
mod deployment_body;
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
#[cfg(test)]
pub(crate) mod testing;
mod webhook_delivery;

pub use approval::{AnswerKind, Approval, Decision, GivenAnswer, Subject};
pub use break_glass::BreakGlass;
pub use build_counter::BuildCounter;
pub use callback::{Callback, CallbackState};
pub use change_set::ChangeSet;
pub use commit_version::CommitVersion;
pub use config::{Config, ConfigKind};
pub use copy_plan::CopyPlan;
pub use copy_slots::{CopySlot, CopySlots, QueuedPromotion};
pub use deployment::{Cancellation, Deployment, DeploymentStart, DeploymentState};
pub use deployment_body::{
    BuildImageBody, DeployBody, DeploymentBody, PromoteImageBody, StackRun, TeardownBody,
};
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
pub use webhook_delivery::{DeliveryEnd, WebhookDelivery, WebhookDeliveryState};

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
    /// Kind of the item. The store writes it beside the item, so that an operator can read the table.
    const KIND: &'static str;

    /// Table that holds the item, by its owner.
    const TABLE: Table;

    /// Returns the primary key of the item.
    fn key(&self) -> Key;

    /// Returns the time, in seconds since 1970, after which DynamoDB may delete the item. `None` retains it
    /// for ever.
    fn expires_at(&self) -> Option<i64> {
        None
    }

    /// Returns the sort key in the `listing` index, which [`Record::KIND`] partitions. `None` leaves the item
    /// out of the index.
    fn listed_at(&self) -> Option<String> {
        None
    }
}
