use crate::model::ids::{AmiId, CommitSha, DeploymentId, SnapshotId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Plan of the copy of an image, as it was decided when the promotion began.
///
/// The parameters of a call with a token come from this record, because AWS refuses the same token with other
/// parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyPlan {
    /// AMI to copy.
    pub copied_from: AmiId,
    /// AMI that all copies descend from.
    pub source_ami: AmiId,
    /// Snapshots of the AMI to copy.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub snapshots: BTreeSet<SnapshotId>,
    /// Commit of the image's recipe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitSha>,
    /// Repository of the image's recipe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Build time, as a tag of the source names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub built_at: Option<String>,
    /// ARNs of the keys of the snapshots that the target account must be allowed to use.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub keys: BTreeSet<String>,
    /// ARN of the key that the copy is encrypted under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Promotion that first asked for the copy. Tags, name, token and grants of the copy name it, so a promotion that
    /// takes over asks for the same copy.
    pub made_by: DeploymentId,
}
