//! Permissions that a role lacks.

use crate::model::permission::Need;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What a role lacks of the permissions that a deployment needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingPermissions {
    /// How many permissions were asked for.
    pub asked: usize,
    /// How many of them the role has.
    pub allowed: usize,
    /// The first of those that are required and that the role lacks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<MissingPermission>,
    /// How many required ones the role lacks beyond those that are listed.
    #[serde(default)]
    pub missing_more: usize,
    /// How many conditional ones the role lacks.
    #[serde(default)]
    pub conditional: usize,
    /// How many are unknown, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unknown: BTreeMap<String, usize>,
    /// What each resource needs, for a deployment that is only planned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<ResourceNeeds>,
}

/// The actions that one resource needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceNeeds {
    /// The line of the resource in the template.
    pub line: u32,
    /// Its logical id.
    pub resource: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The actions that it needs for certain.
    pub required: BTreeSet<String>,
    /// The actions that it may need.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub conditional: BTreeSet<String>,
}

/// A permission that a role lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingPermission {
    /// The permission.
    #[serde(flatten)]
    pub need: Need,
    /// What stands in the way of a statement that allows it, if something does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obstacle: Option<String>,
}
