//! A release that enters a stage without evidence.

use super::{Key, Record, Table};
use crate::model::ids::{ComponentName, DeploymentId, Digest, StageName};
use crate::model::version::Version;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Permission to enter a stage without the evidence of the stage before. It holds for one deployment and for
/// an hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakGlass {
    /// The component.
    pub component: ComponentName,
    /// The artifact's digest.
    pub digest: Digest,
    /// The stage it may enter.
    pub stage: StageName,
    /// Version, for display.
    pub version: Version,
    /// ARN of the administrator, as IAM reports it.
    pub by: String,
    /// Reason for the permission.
    pub reason: String,
    /// Time of the permission.
    pub at: Timestamp,
    /// The deployment that used the permission. No other deployment may use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_by: Option<DeploymentId>,
}

impl BreakGlass {
    /// Validity of the permission, in hours.
    pub const VALID_HOURS: i64 = 1;

    /// Returns the key. It lies in the partition of the evidence that it replaces, which the functions that
    /// build cannot write.
    pub fn key_of(component: &ComponentName, digest: &Digest, stage: &StageName) -> Key {
        Key::new(Table::Authority, format!("EVIDENCE#{component}"), format!("BREAKGLASS#{digest}#{stage}"))
    }
}

impl Record for BreakGlass {
    const KIND: &'static str = "BREAKGLASS";
    const TABLES: &'static [Table] = &[Table::Authority];

    fn key(&self) -> Key {
        Self::key_of(&self.component, &self.digest, &self.stage)
    }

    fn listed_at(&self) -> Option<String> {
        Some(self.at.to_string())
    }
}
