//! A release that enters a stage without evidence.

use super::{Key, Record, Table};
use crate::model::ids::{ComponentName, DeploymentId, Digest, StageName};
use crate::model::version::Version;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A person let a release into a stage without the evidence of the stage before: once, and for an hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakGlass {
    /// The component.
    pub component: ComponentName,
    /// The artifact's digest.
    pub digest: Digest,
    /// The stage it may enter.
    pub stage: StageName,
    /// The version, for display.
    pub version: Version,
    /// The ARN of who did it, as IAM says.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// The deployment that made use of it; no other may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_by: Option<DeploymentId>,
}

impl BreakGlass {
    /// How long it may be used.
    pub const VALID_HOURS: i64 = 1;

    /// Its key: beside the evidence it stands in for, out of reach of what builds.
    pub fn key_of(component: &ComponentName, digest: &Digest, stage: &StageName) -> Key {
        Key::new(format!("EVIDENCE#{component}"), format!("BREAKGLASS#{digest}#{stage}"))
    }
}

impl Record for BreakGlass {
    const KIND: &'static str = "BREAKGLASS";
    const TABLE: Table = Table::Authority;

    fn key(&self) -> Key {
        Self::key_of(&self.component, &self.digest, &self.stage)
    }

    fn listed_at(&self) -> Option<String> {
        Some(self.at.to_string())
    }
}
