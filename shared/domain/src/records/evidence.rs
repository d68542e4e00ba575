//! The evidence that opens the next stage.

use super::{Key, Record, Table};
use crate::model::ids::{ComponentName, DeploymentId, Digest, StageName};
use crate::model::version::Version;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Proof that a digest was deployed to a stage and passed its checks there. It opens the next stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The component.
    pub component: ComponentName,
    /// The artifact's digest.
    pub digest: Digest,
    /// The stage that it passed.
    pub stage: StageName,
    /// Version, for display.
    pub version: Version,
    /// The deployment that earned the evidence.
    pub deployment: DeploymentId,
    /// Time at which the checks passed.
    pub passed_at: Timestamp,
}

impl Evidence {
    /// Returns the key of the evidence for `digest` in `stage`. Evidence has a partition apart from the
    /// releases. The functions that build a release may write releases, and must not be able to forge the
    /// evidence that opens production.
    pub fn key_of(component: &ComponentName, digest: &Digest, stage: &StageName) -> Key {
        Key::new(Table::Authority, format!("EVIDENCE#{component}"), format!("{digest}#{stage}"))
    }
}

impl Record for Evidence {
    const KIND: &'static str = "EVIDENCE";
    const TABLES: &'static [Table] = &[Table::Authority];

    fn key(&self) -> Key {
        Self::key_of(&self.component, &self.digest, &self.stage)
    }
}
