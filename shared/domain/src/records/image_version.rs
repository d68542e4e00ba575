use super::{Image, Key, Record, Table};
use crate::model::base_image::Base;
use crate::model::ids::{AmiId, CommitSha, Digest, ImageName, RepositoryId};
use crate::model::image_version_state::ImageVersionState;
use crate::model::location::Location;
use crate::model::version::Version;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Where a version of an image came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ImageOrigin {
    /// `bake-image` built it from a recipe.
    Baked {
        /// The repository of the recipe.
        repository: RepositoryId,
        /// The git ref that was pushed, such as `refs/heads/main`.
        #[serde(rename = "ref")]
        reference: String,
        /// The commit it was built from.
        commit: CommitSha,
        /// The folder of the recipe in the repository.
        folder: String,
        /// SHA-256 of what people wrote of the recipe: equal means nothing was changed.
        recipe: Digest,
        /// The S3 key of the recipe in the control plane's bucket, from which every build of this version is made.
        artifact: String,
        /// The image that it starts from.
        base: Base,
    },
    /// A person took it over: it was made elsewhere.
    Imported {
        /// The commit that its tags named, if they did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        commit: Option<CommitSha>,
    },
}

/// Why no release may use a version any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// What is wrong with it.
    pub reason: String,
    /// The ARN of who revoked it, as IAM says.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// One version of an image, wherever it is: whether anything may use it, and why not. Its id in each account and
/// region is an [`Image`] of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageVersion {
    /// The image's name.
    pub name: ImageName,
    /// The version.
    pub version: Version,
    /// How far it has come; changed by [`crate::images::lifecycle::apply`] alone.
    pub state: ImageVersionState,
    /// Why it is withheld or was discarded, as a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Why no release may use it any more, whatever its state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revocation>,
    /// Where it came from.
    pub origin: ImageOrigin,
    /// The AMI that all copies descend from, which locks pin; none before it is built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ami: Option<AmiId>,
    /// Where it must be before anything may use it. Empty for an imported one, which a promotion brings where it is
    /// needed, and for a pre-release, which goes nowhere.
    #[serde(default)]
    pub required: BTreeSet<Location>,
    /// When the sweep retires it whatever uses it not: only a pre-release expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Since when it is on its way out; see [`ImageVersionState::Retiring`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retiring_since: Option<Timestamp>,
    /// The execution or person that recorded it.
    pub recorded_by: String,
    /// When.
    pub recorded_at: Timestamp,
}

impl ImageVersion {
    /// The key of `version` of `name`.
    pub fn key_of(name: &ImageName, version: &Version) -> Key {
        Key::new(format!("IMAGE#{name}"), format!("STATE#{}", version.sortable()))
    }

    /// Partition and sort-key prefix of every version of `name`.
    pub fn all_of(name: &ImageName) -> (String, &'static str) {
        (format!("IMAGE#{name}"), "STATE#")
    }

    /// The commit it was built from, if that is known.
    pub fn commit(&self) -> Option<&CommitSha> {
        match &self.origin {
            ImageOrigin::Baked { commit, .. } => Some(commit),
            ImageOrigin::Imported { commit } => commit.as_ref(),
        }
    }

    /// The required places that lack it; `places` holds the records of this version, from wherever.
    pub fn missing<'a>(&'a self, places: &[Image]) -> Vec<&'a Location> {
        let has = |location: &Location| places.iter().any(|image| image.is_at(location) && image.is_usable());
        self.required.iter().filter(|location| !has(location)).collect()
    }
}

impl Record for ImageVersion {
    const KIND: &'static str = "IMAGEVERSION";
    const TABLE: Table = Table::Operations;

    fn key(&self) -> Key {
        Self::key_of(&self.name, &self.version)
    }

    fn listed_at(&self) -> Option<String> {
        Some(format!("{}#{}", self.name, self.version.sortable()))
    }
}
