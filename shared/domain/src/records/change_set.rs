//! A change set of a deployment.

use super::NamedResource;
use crate::model::ids::Digest;
use crate::model::resource_change::Change;
use serde::{Deserialize, Serialize};

/// The change set of a deployment, and what it would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeSet {
    /// Its ARN: what is executed, and what an approval names.
    pub arn: String,
    /// The attempt it was made at.
    pub attempt: u32,
    /// What it would do, nested stacks included.
    pub changes: Vec<Change>,
    /// The nested stacks of which it shows nothing, as it reverts drift: each is allowed by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unexamined: Vec<NamedResource>,
    /// The digest of the template it was made from.
    pub template_digest: Digest,
    /// The digest of the parameters it was made with.
    pub parameters_digest: Digest,
}
