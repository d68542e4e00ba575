//! The items of the ledger: DynamoDB tables, one for each owner, with one Rust type for each kind of item.
//!
//! Every item carries a revision that the store raises on each write. A write names the revision that it
//! read, so a stale write fails with a conflict. Only this module makes keys.

mod approval;
mod approval_decision;
mod break_glass;
mod build_counter;
mod callback;
mod change_set;
mod charter;
mod commit_version;
mod config;
mod copy_plan;
mod copy_slots;
mod cursor;
mod delivered_body;
mod deployment;
mod deployment_body;
mod drift_report;
mod environment;
mod evidence;
mod failure;
mod image;
mod image_share;
mod image_version;
mod log_entry;
mod operation;
mod ownership;
mod pending_config;
mod proposal;
mod publication;
mod rejection;
mod release;
mod repository;
mod review;
mod revocation;
mod start;
mod sweep_report;
mod table;
mod test_turn;
#[cfg(test)]
pub(crate) mod testing;
mod webhook_delivery;

pub use approval::{AnswerKind, Approval, BuildSubject, Decision, GivenAnswer, PublishSubject, Subject};
pub use approval_decision::ApprovalDecision;
pub use break_glass::BreakGlass;
pub use build_counter::BuildCounter;
pub use callback::{Callback, CallbackState};
pub use change_set::ChangeSet;
pub use charter::{Charter, CharteredRelease};
pub use commit_version::CommitVersion;
pub use config::{Config, ConfigKind};
pub use copy_plan::CopyPlan;
pub use copy_slots::{CopySlot, CopySlots, QueuedPromotion};
pub use cursor::Cursor;
pub use delivered_body::DeliveredBody;
pub use deployment::{Cancellation, Deployment, DeploymentStart, DeploymentState};
pub use deployment_body::{
    BuildImageBody, BuiltRecipe, DeployBody, DeploymentBody, Follows, Input, PromoteImageBody,
    PublishImageBody, StackClaim, StackRun, TeardownBody,
};
pub use drift_report::{
    DriftChange, DriftReport, DriftState, DriftedProperty, DriftedResource, FailedLook, Findings,
    Inconclusive, LookTurn, OpenDrift, ReportedValue, UnknownCause, UnknownResource,
};
pub use environment::{
    Deployed, Environment, Hold, LeaseHolder, ProvenImage, ProvenImages, PushedRelease, QueuedDeployment,
};
pub use evidence::Evidence;
pub use failure::{FailedEvent, FailureRecord};
pub use image::{Image, ImageState};
pub use image_share::ImageShare;
pub use image_version::{ImageOrigin, ImageVersion};
pub use log_entry::LogEntry;
pub use operation::{Operation, OperationKind};
pub use ownership::{ClaimOrigin, OwnedName, Ownership};
pub use pending_config::{PendingChange, PendingConfig, PendingState};
pub use proposal::{NamedResource, Proposal, ProposedAction};
pub use publication::{Publication, PublicationState};
pub use rejection::Rejection;
pub use release::{ListedCommit, Release, ReleaseCommits, ReleaseState};
pub use repository::Repository;
pub use review::{AccessChange, ParameterChange, Review, ShownValue};
pub use revocation::Revocation;
pub use start::Start;
pub use sweep_report::{Leftover, SweepReport};
pub use table::Table;
pub use test_turn::TestTurn;
pub use webhook_delivery::{DeliveryEnd, WebhookDelivery, WebhookDeliveryState};

use serde::{Serialize, de::DeserializeOwned};
use std::fmt;

/// The table and the primary key of an item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Table of the item. The kind of the item, or a field of its key, decides it.
    pub table: Table,
    /// Partition key.
    pub pk: String,
    /// Sort key; `-` where the partition holds one item.
    pub sk: String,
}

impl Key {
    fn new(table: Table, pk: String, sk: impl Into<String>) -> Self {
        Self { table, pk, sk: sk.into() }
    }

    pub(crate) fn single(table: Table, pk: String) -> Self {
        Self::new(table, pk, "-")
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.pk, self.sk)
    }
}

/// Items of one table whose partition key is equal and whose sort keys begin with the same text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Table of the items.
    pub table: Table,
    /// Partition key.
    pub pk: String,
    /// Beginning of the sort keys.
    pub prefix: String,
}

impl Partition {
    fn new(table: Table, pk: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self { table, pk: pk.into(), prefix: prefix.into() }
    }
}

/// One kind of item of the ledger.
pub trait Record: Serialize + DeserializeOwned + Clone {
    /// Kind of the item. The store writes it beside the item, so that an operator can read the table.
    const KIND: &'static str;

    /// Tables that hold items of this kind. [`Record::key`] names the one of an item.
    const TABLES: &'static [Table];

    /// Returns the table and the primary key of the item.
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
