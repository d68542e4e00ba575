//! Permissions that a role lacks.

use crate::model::permission::Need;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Permissions that a deployment needs and the role lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingPermissions {
    /// Number of permissions examined.
    pub asked: usize,
    /// Number of permissions that the role has.
    pub allowed: usize,
    /// Required permissions that the role lacks, the first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<MissingPermission>,
    /// Number of required permissions that the role lacks beyond the list.
    #[serde(default)]
    pub missing_more: usize,
    /// Number of conditional permissions that the role lacks.
    #[serde(default)]
    pub conditional: usize,
    /// Number of permissions with an unknown result, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unknown: BTreeMap<String, usize>,
    /// Needs of each resource, for a deployment that only plans.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<ResourceNeeds>,
}

/// Actions that one resource needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceNeeds {
    /// Line of the resource in the template.
    pub line: u32,
    /// Logical id of the resource.
    pub resource: String,
    /// Type of the resource.
    #[serde(rename = "type")]
    pub kind: String,
    /// Actions that the resource needs for certain.
    pub required: BTreeSet<String>,
    /// Actions that the resource may need.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub conditional: BTreeSet<String>,
}

/// A permission that a role lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingPermission {
    /// The permission.
    #[serde(flatten)]
    pub need: Need,
    /// Obstacle to a statement that allows the permission, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obstacle: Option<String>,
}
