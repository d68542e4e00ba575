//! The evidence that opens the next stage.

use super::{Key, Record, Table};
use crate::model::ids::{ComponentName, DeploymentId, Digest, StageName};
use crate::model::version::Version;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A digest was deployed to a stage and passed its checks there: the key that opens the next stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The component.
    pub component: ComponentName,
    /// The artifact's digest.
    pub digest: Digest,
    /// The stage it passed.
    pub stage: StageName,
    /// The version, for display.
    pub version: Version,
    /// The deployment that proved it.
    pub deployment: DeploymentId,
    /// When.
    pub passed_at: Timestamp,
}

impl Evidence {
    /// The key of the evidence for `digest` in `stage`. A partition of its own, apart from the releases: what builds a
    /// release may write those, and must not be able to forge what opens production.
    pub fn key_of(component: &ComponentName, digest: &Digest, stage: &StageName) -> Key {
        Key::new(format!("EVIDENCE#{component}"), format!("{digest}#{stage}"))
    }
}

impl Record for Evidence {
    const KIND: &'static str = "EVIDENCE";
    const TABLE: Table = Table::Authority;

    fn key(&self) -> Key {
        Self::key_of(&self.component, &self.digest, &self.stage)
    }
}
