use super::{Key, Record, Table};
use crate::model::ids::{AccountId, AmiId, CommitSha, DeploymentId, ImageName, Region, SnapshotId};
use crate::model::location::Location;
use crate::model::version::Version;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of an image in one account and region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageState {
    /// A copy was started; its id may not be known yet.
    Promoting,
    /// All there.
    Available,
}

/// A version of an image in one account and region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The image's name.
    pub name: ImageName,
    /// Its version, the same in every account.
    pub version: Version,
    /// Where this one is.
    pub location: Location,
    /// What is known of it.
    pub state: ImageState,
    /// Its id there; absent while a copy has not been answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ami: Option<AmiId>,
    /// Its snapshots there.
    #[serde(default)]
    pub snapshots: BTreeSet<SnapshotId>,
    /// The id of the image that all copies descend from, which the lock pins.
    pub source_ami: AmiId,
    /// The commit of the recipe it was built from, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitSha>,
    /// The accounts that the image, its snapshots and the use of their keys are shared with now, each with the promotions
    /// that need it: recorded before it is done and until it is undone. Empty outside a promotion.
    #[serde(default)]
    pub shared_with: BTreeMap<AccountId, BTreeSet<DeploymentId>>,
    /// The execution or person that brought it here.
    pub recorded_by: String,
    /// When.
    pub recorded_at: Timestamp,
}

impl Image {
    /// The key of `version` of `name` at `location`.
    pub fn key_of(name: &ImageName, version: &Version, location: &Location) -> Key {
        Key::new(
            format!("IMAGE#{name}"),
            format!("VERSION#{}#{}#{}", version.sortable(), location.account, location.region),
        )
    }

    /// Partition and sort-key prefix of every version everywhere of `name`.
    pub fn all_of(name: &ImageName) -> (String, &'static str) {
        (format!("IMAGE#{name}"), "VERSION#")
    }

    /// Partition and sort-key prefix of one version of `name`, wherever it is.
    pub fn version_of(name: &ImageName, version: &Version) -> (String, String) {
        (format!("IMAGE#{name}"), format!("VERSION#{}#", version.sortable()))
    }

    /// Whether it is in this account and region.
    pub fn is_at(&self, location: &Location) -> bool {
        self.location == *location
    }

    /// Whether it is all there; whether it may be used is the version's to say, see
    /// [`crate::images::lifecycle::obstacle`].
    pub fn is_usable(&self) -> bool {
        self.state == ImageState::Available && self.ami.is_some()
    }

    /// The image's ARN, which EC2's events name: `arn:aws:ec2:<region>::image/<id>`.
    pub fn arn(partition: &str, region: &Region, ami: &AmiId) -> String {
        format!("arn:{partition}:ec2:{region}::image/{ami}")
    }
}

impl Record for Image {
    const KIND: &'static str = "IMAGE";
    const TABLE: Table = Table::Operations;

    fn key(&self) -> Key {
        Self::key_of(&self.name, &self.version, &self.location)
    }

    fn listed_at(&self) -> Option<String> {
        Some(format!("{}#{}", self.name, self.version.sortable()))
    }
}
