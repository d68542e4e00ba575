//! AMIs and snapshots with our tags and without a record.

use crate::model::ids::{AmiId, DeploymentId, SnapshotId};
use crate::model::location::Location;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Resource of an orphan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrphanResource {
    /// An image.
    Image(AmiId),
    /// A snapshot that no Lockstep image needs.
    Snapshot(SnapshotId),
}

impl std::fmt::Display for OrphanResource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Image(ami) => ami.fmt(f),
            Self::Snapshot(snapshot) => snapshot.fmt(f),
        }
    }
}

/// An AMI or snapshot with our tags and without a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Orphan {
    /// Account and region of the orphan.
    pub location: Location,
    /// The AMI or snapshot.
    pub thing: OrphanResource,
    /// Image and version that its tags name.
    pub label: String,
    /// Deployment that created it, if its tags name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    /// Time of its creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_at: Option<Timestamp>,
}

/// An orphan with the time of its first sighting by a sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenOrphan {
    /// The orphan.
    #[serde(flatten)]
    pub orphan: Orphan,
    /// Time of the first sweep of the current unbroken series that saw it.
    pub since: Timestamp,
    /// Sentence with the reason that prevents its removal.
    pub stays: String,
}
