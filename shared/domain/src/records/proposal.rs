//! An action that an operator must approve by name.

use crate::model::policies::Policies;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

/// Action on a stack that no rule may take without an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ProposedAction {
    /// Deletes the stack, with the protected resources that the proposal names.
    Delete,
    /// Deletes the rest of the stack and leaves the named resources behind as orphans. AWS refused to delete
    /// each of them.
    Retain,
    /// Finishes the stack's rollback without the named resources. AWS refused to roll back each of them.
    Skip,
}

impl ProposedAction {
    /// Returns the word for the action in [`Proposal::key`].
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A resource that a [`Proposal`] names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NamedResource {
    /// Name of the resource in an answer: its logical id, with those of the enclosing nested stacks before
    /// it. For [`ProposedAction::Skip`] the form of ContinueUpdateRollback (`NestedStackName.LogicalId`).
    pub name: String,
    /// Type of the resource.
    pub resource_type: String,
    /// Physical id of the resource; empty if it never got one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub physical_id: String,
}

/// An action on a stack that needs an approval, with every resource that it costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// ARN of the stack.
    pub stack: String,
    /// The proposed action.
    pub action: ProposedAction,
    /// Resources of the proposal, in the order of their names.
    pub resources: Vec<NamedResource>,
    /// For [`ProposedAction::Delete`], the resources that the stack's deletion policies retain, protected or
    /// not. `None` if the policies could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policies: Option<Policies>,
}

impl Proposal {
    /// Returns the names of the resources.
    pub fn names(&self) -> Vec<String> {
        self.resources.iter().map(|resource| resource.name.clone()).collect()
    }

    /// Returns the key that an answer names: the action, the stack and every resource. Two different
    /// proposals have different keys.
    pub fn key(&self) -> String {
        format!("{} {}: {}", self.action.as_str(), self.stack, self.names().join(", "))
    }

    /// Returns true if an approval of this proposal also covers `other`: the same action on the same stack,
    /// without a further resource and without another policy for a resource.
    pub fn covers(&self, other: &Proposal) -> bool {
        (&self.stack, self.action) == (&other.stack, other.action)
            && other.resources.iter().all(|resource| {
                self.resources.contains(resource)
                    && self.policy(&resource.name) == other.policy(&resource.name)
            })
    }

    /// Returns the deletion policy of the resource `name`: `Retain`, `RetainExceptOnCreate` or `Snapshot`.
    /// `None` if it has no such policy, or if the policies are unknown.
    pub fn policy(&self, name: &str) -> Option<&str> {
        self.policies.as_ref()?.get(name).map(String::as_str)
    }

    /// Returns the names of the resources that remain as they are because of their deletion policies.
    pub fn left_behind(&self) -> Vec<&str> {
        let policies = self.policies.iter().flatten();
        policies.filter(|(_, policy)| policy.starts_with("Retain")).map(|(name, _)| name.as_str()).collect()
    }
}
