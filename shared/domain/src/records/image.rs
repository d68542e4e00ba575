use super::{Key, Partition, Record, Table};
use crate::model::deployment_path::DeploymentPath;
use crate::model::ids::{AmiId, CommitSha, ImageName, Region, SnapshotId};
use crate::model::location::Location;
use crate::model::version::Version;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// State of an image in one account and region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageState {
    /// A copy was started; its id may be unknown yet.
    Promoting,
    /// The image and its snapshots are complete.
    Available,
}

/// A version of an image in one account and region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The image's name.
    pub name: ImageName,
    /// Version, the same in every account.
    pub version: Version,
    /// Account and region of the image.
    pub location: Location,
    /// Path of the account. The record is in the table of its images.
    pub path: DeploymentPath,
    /// State of the image.
    pub state: ImageState,
    /// AMI id in this location. `None` until EC2 has answered the copy request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ami: Option<AmiId>,
    /// Snapshots of the image in this location.
    #[serde(default)]
    pub snapshots: BTreeSet<SnapshotId>,
    /// Id of the image that all copies descend from. The image lock pins it.
    pub source_ami: AmiId,
    /// Commit of the recipe that it was built from, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitSha>,
    /// The execution or operator that recorded the image here.
    pub recorded_by: String,
    /// Time of the record.
    pub recorded_at: Timestamp,
}

impl Image {
    /// Returns the key of `version` of `name` at `location`, in an account of `path`.
    pub fn key_of(name: &ImageName, version: &Version, location: &Location, path: DeploymentPath) -> Key {
        Key::new(
            Table::images_of(path),
            format!("IMAGE#{name}"),
            format!("VERSION#{}#{}#{}", version.sortable(), location.account, location.region),
        )
    }

    /// Returns the partition and sort-key prefix of every version of `name` in the accounts of `path`.
    pub fn all_of(name: &ImageName, path: DeploymentPath) -> Partition {
        Partition::new(Table::images_of(path), format!("IMAGE#{name}"), "VERSION#")
    }

    /// Returns the partition and sort-key prefix of one version of `name` in the accounts of `path`.
    pub fn version_of(name: &ImageName, version: &Version, path: DeploymentPath) -> Partition {
        let prefix = format!("VERSION#{}#", version.sortable());
        Partition::new(Table::images_of(path), format!("IMAGE#{name}"), prefix)
    }

    /// Returns true if the image is in this account and region.
    pub fn is_at(&self, location: &Location) -> bool {
        self.location == *location
    }

    /// Returns true if the image is complete. The version decides if it may be used, see
    /// [`crate::images::lifecycle::obstacle`].
    pub fn is_usable(&self) -> bool {
        self.state == ImageState::Available && self.ami.is_some()
    }

    /// Returns the image's ARN, which EC2's events name: `arn:aws:ec2:<region>::image/<id>`.
    pub fn arn(partition: &str, region: &Region, ami: &AmiId) -> String {
        format!("arn:{partition}:ec2:{region}::image/{ami}")
    }
}

impl Record for Image {
    const KIND: &'static str = "IMAGE";
    const TABLES: &'static [Table] = &[Table::DeliveryImages, Table::PromotionImages];

    fn key(&self) -> Key {
        Self::key_of(&self.name, &self.version, &self.location, self.path)
    }

    fn listed_at(&self) -> Option<String> {
        Some(format!("{}#{}", self.name, self.version.sortable()))
    }
}
