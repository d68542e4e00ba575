//! The version of a commit.

use super::{Key, Record, Table};
use crate::model::ids::{CommitSha, ComponentName, Digest};
use crate::model::version::Version;
use serde::{Deserialize, Serialize};

/// The version of a commit with its image lock. The same pair always has the same version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitVersion {
    /// The component.
    pub component: ComponentName,
    /// The commit.
    pub commit: CommitSha,
    /// Digest of the image lock, and of the function lock if there is one (`function_code::lock_digest`).
    pub image_lock_digest: Digest,
    /// The version.
    pub version: Version,
}

impl CommitVersion {
    /// Returns the key of the version of `commit` with the image lock of this digest.
    pub fn key_of(component: &ComponentName, commit: &CommitSha, image_lock_digest: &Digest) -> Key {
        Key::new(
            Table::Authority,
            format!("COMPONENT#{component}"),
            format!("COMMIT#{commit}#{image_lock_digest}"),
        )
    }
}

impl Record for CommitVersion {
    const KIND: &'static str = "COMMIT";
    const TABLES: &'static [Table] = &[Table::Authority];

    fn key(&self) -> Key {
        Self::key_of(&self.component, &self.commit, &self.image_lock_digest)
    }
}
