//! A change set of a deployment.

use super::{NamedResource, Review};
use crate::model::ids::Digest;
use crate::model::resource_change::Change;
use serde::{Deserialize, Serialize};

/// The change set of a deployment, with its changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeSet {
    /// ARN of the change set. The deployment executes it, and an approval names it.
    pub arn: String,
    /// Attempt that created it.
    pub attempt: u32,
    /// The changes, those of nested stacks included.
    pub changes: Vec<Change>,
    /// Nested stacks whose changes the change set does not show, as it reverts drift. An approval must name
    /// each of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unexamined: Vec<NamedResource>,
    /// Digest of the template that it was created from.
    pub template_digest: Digest,
    /// Digest of the parameters that it was created with.
    pub parameters_digest: Digest,
    /// Digest of the values that CloudFormation reads, as the plan read them; `None` if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_digest: Option<Digest>,
    /// The values and the access that it changes. Empty if it asks for no approval.
    #[serde(default)]
    pub review: Review,
}
