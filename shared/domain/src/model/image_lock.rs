//! The pinned images of a release.

use crate::model::canonical::canonical_json;
use crate::model::ids::{AmiId, CommitSha, Digest, ImageName, LogicalId};
use crate::model::version::Version;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One template parameter pinned to one version of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedImage {
    /// The template parameter that receives the AMI id.
    pub parameter: LogicalId,
    /// The image.
    pub name: ImageName,
    /// Version that the parameter is pinned to.
    pub version: Version,
    /// Commit that the version was built from, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitSha>,
    /// AMI of the version in the account that built it.
    pub source_ami: AmiId,
}

/// Every image of a release, by template parameter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageLock(pub BTreeMap<LogicalId, LockedImage>);

impl ImageLock {
    /// Returns the lock as the release carries it: JSON with sorted keys and no spaces, so that equal locks
    /// have equal bytes.
    pub fn to_json(&self) -> String {
        serde_json::to_value(self).map(canonical_json).unwrap_or_default()
    }

    /// Returns the digest of [`ImageLock::to_json`]. With the commit, it is the key of a build number.
    pub fn digest(&self) -> Digest {
        Digest::of(self.to_json().as_bytes())
    }
}
