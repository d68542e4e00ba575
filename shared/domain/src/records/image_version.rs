use super::{Image, Key, Partition, Record, Revocation, Table};
use crate::model::base_image::Base;
use crate::model::ids::{AmiId, CommitSha, Digest, ImageName, RepositoryId};
use crate::model::image_version_state::ImageVersionState;
use crate::model::location::Location;
use crate::model::version::Version;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Origin of a version of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ImageOrigin {
    /// `bake-image` built it from a recipe.
    Baked {
        /// Repository of the recipe.
        repository: RepositoryId,
        /// Git ref that was pushed, such as `refs/heads/main`.
        #[serde(rename = "ref")]
        reference: String,
        /// Commit that it was built from.
        commit: CommitSha,
        /// Folder of the recipe in the repository.
        folder: String,
        /// SHA-256 of the recipe's files that authors wrote. An equal digest means no change.
        recipe: Digest,
        /// S3 key of the recipe in the control plane's bucket. Every build of this version uses it.
        artifact: String,
        /// Base image of the build.
        base: Base,
    },
    /// An administrator imported it: it was built elsewhere.
    Imported {
        /// Commit that its tags named, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        commit: Option<CommitSha>,
    },
}

/// One version of an image in all locations, with its state. The delivery path owns it. Each account and region has an
/// [`Image`] with the AMI id there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageVersion {
    /// Name of the image.
    pub name: ImageName,
    /// The version.
    pub version: Version,
    /// State of the version. Only [`crate::images::lifecycle::apply`] changes it.
    pub state: ImageVersionState,
    /// Sentence with the reason why it is withheld or was discarded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Revocation, which is a record of the authority that the reader adds. A release may not use a revoked version,
    /// whatever its state.
    #[serde(skip)]
    pub revoked: Option<Revocation>,
    /// Origin of the version.
    pub origin: ImageOrigin,
    /// AMI that all copies descend from and that image locks pin. `None` before the build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ami: Option<AmiId>,
    /// Locations that must have it before a release may use it. Empty for an imported version, which a
    /// promotion copies on demand, and for a pre-release, which is never distributed.
    #[serde(default)]
    pub required: BTreeSet<Location>,
    /// Time at which the sweep retires the version, used or not. Only a pre-release expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Start of the retirement; see [`ImageVersionState::Retiring`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retiring_since: Option<Timestamp>,
    /// The execution or operator that recorded it.
    pub recorded_by: String,
    /// Time of the record.
    pub recorded_at: Timestamp,
}

impl ImageVersion {
    /// Returns the key of `version` of `name`.
    pub fn key_of(name: &ImageName, version: &Version) -> Key {
        Key::new(Table::DeliveryImages, format!("IMAGE#{name}"), format!("STATE#{}", version.sortable()))
    }

    /// Returns the partition and sort-key prefix of every version of `name`.
    pub fn all_of(name: &ImageName) -> Partition {
        Partition::new(Table::DeliveryImages, format!("IMAGE#{name}"), "STATE#")
    }

    /// Returns the commit that it was built from, if known.
    pub fn commit(&self) -> Option<&CommitSha> {
        match &self.origin {
            ImageOrigin::Baked { commit, .. } => Some(commit),
            ImageOrigin::Imported { commit } => commit.as_ref(),
        }
    }

    /// Returns the required locations that lack the version. `places` holds the images of this version in any
    /// location.
    pub fn missing<'a>(&'a self, places: &[Image]) -> Vec<&'a Location> {
        let has = |location: &Location| places.iter().any(|image| image.is_at(location) && image.is_usable());
        self.required.iter().filter(|location| !has(location)).collect()
    }
}

impl Record for ImageVersion {
    const KIND: &'static str = "IMAGEVERSION";
    const TABLES: &'static [Table] = &[Table::DeliveryImages];

    fn key(&self) -> Key {
        Self::key_of(&self.name, &self.version)
    }

    fn listed_at(&self) -> Option<String> {
        Some(format!("{}#{}", self.name, self.version.sortable()))
    }
}
