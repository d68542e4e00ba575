//! The images of a release, pinned.

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
    /// The version it is pinned to.
    pub version: Version,
    /// The commit it was built from, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitSha>,
    /// Its AMI in the account that built it.
    pub source_ami: AmiId,
}

/// Every image of a release, by template parameter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageLock(pub BTreeMap<LogicalId, LockedImage>);

impl ImageLock {
    /// The lock as the release carries it: JSON with sorted keys and no spaces, so that equal locks are equal bytes.
    pub fn to_json(&self) -> String {
        serde_json::to_value(self).map(canonical_json).unwrap_or_default()
    }

    /// The digest of [`ImageLock::to_json`]; with the commit, the key under which a build number is given out.
    pub fn digest(&self) -> Digest {
        Digest::of(self.to_json().as_bytes())
    }
}
