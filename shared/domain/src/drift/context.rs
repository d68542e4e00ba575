//! What a comparison knows beside the resource itself.

use super::path::Pattern;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Context of a stack, which gives its values their meaning.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Account of the resource.
    pub account: String,
    /// Region of the resource.
    pub region: String,
    /// Tags of the stack, which CloudFormation adds to each resource.
    pub stack_tags: BTreeMap<String, String>,
    /// Ids of the keys of KMS by alias: `alias/aws/sns`.
    pub key_aliases: BTreeMap<String, String>,
    /// Canonical users of CloudFront's origin access identities, by the id of the identity.
    pub canonical_users: BTreeMap<String, String>,
    /// Target groups between which a deployment controller moves the traffic of the resource.
    pub shifting_target_groups: BTreeSet<String>,
    /// Names of the members that other resources of the template add to lists of this one, such as policies of a role.
    pub attached: BTreeSet<String>,
    /// Names of security groups by id.
    pub group_names: BTreeMap<String, String>,
    /// Paths whose values no report may show.
    pub secrets: Vec<Pattern>,
}

/// Outcome of reading the live model.
#[derive(Clone, Copy, Debug)]
pub enum Live<'a> {
    /// Properties as Cloud Control returns them.
    Model(&'a Value),
    /// The resource does not exist.
    Gone,
    /// The reader's role may not read the resource.
    Denied,
    /// AWS cannot read resources of the type.
    Unsupported,
}
