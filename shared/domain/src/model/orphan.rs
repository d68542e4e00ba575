//! AMIs and snapshots that carry our tags and that no record knows.

use crate::model::ids::{AmiId, DeploymentId, SnapshotId};
use crate::model::location::Location;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What an orphan is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrphanResource {
    /// An image.
    Image(AmiId),
    /// A snapshot that no image of ours needs.
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

/// An AMI or snapshot that carries our tags and that no record knows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Orphan {
    /// Where it is.
    pub location: Location,
    /// What it is.
    pub thing: OrphanResource,
    /// The image and version that its tags name.
    pub label: String,
    /// The deployment that made it, if its tags say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_at: Option<Timestamp>,
}

/// An orphan, and since when sweeps see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenOrphan {
    /// The orphan.
    #[serde(flatten)]
    pub orphan: Orphan,
    /// When the first of the sweeps in a row saw it.
    pub since: Timestamp,
    /// What keeps it from being removed, as a sentence.
    pub stays: String,
}
