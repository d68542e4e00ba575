//! An action that an operator must approve by name.

use crate::model::policies::Policies;
use serde::{Deserialize, Serialize};

/// What is proposed to do with a stack that no rule may touch by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProposedAction {
    /// Delete the stack, and with it the protected resources that are named.
    Delete,
    /// Delete what is left of the stack, and leave the named resources behind as orphans: each refused to be deleted.
    Retain,
    /// Finish the stack's rollback without the named resources: each refused to be rolled back.
    Skip,
}

impl ProposedAction {
    /// The word for it in [`Proposal::key`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Retain => "retain",
            Self::Skip => "skip",
        }
    }
}

/// A resource that a [`Proposal`] names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NamedResource {
    /// The name a person answers with: its logical id, with those of nested stacks before it; for
    /// [`ProposedAction::Skip`] as ContinueUpdateRollback takes it (`NestedStackName.LogicalId`).
    pub name: String,
    /// Its type.
    pub resource_type: String,
    /// Its physical id; empty if it never got one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub physical_id: String,
}

/// What only a person may allow: an action on the stack of this ARN, and every resource it costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// The stack's ARN.
    pub stack: String,
    /// What would be done.
    pub action: ProposedAction,
    /// The resources it is about, in the order of their names.
    pub resources: Vec<NamedResource>,
    /// For [`ProposedAction::Delete`]: what the stack's deletion policies keep, protected or not; nothing if that could
    /// not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policies: Option<Policies>,
}

impl Proposal {
    /// The names of the resources.
    pub fn names(&self) -> Vec<String> {
        self.resources.iter().map(|resource| resource.name.clone()).collect()
    }

    /// What an answer names: the action, the stack and every resource, so that another proposal has another key.
    pub fn key(&self) -> String {
        format!("{} {}: {}", self.action.as_str(), self.stack, self.names().join(", "))
    }

    /// Whether allowing this allows `other`: the same action on the same stack, with no further resource, and none that
    /// another policy awaits.
    pub fn covers(&self, other: &Proposal) -> bool {
        (&self.stack, self.action) == (&other.stack, other.action)
            && other.resources.iter().all(|resource| {
                self.resources.contains(resource)
                    && self.policy(&resource.name) == other.policy(&resource.name)
            })
    }

    /// The deletion policy that keeps something of the resource called `name`: `Retain`, `RetainExceptOnCreate` or
    /// `Snapshot`; nothing if none does, or if policies are not known.
    pub fn policy(&self, name: &str) -> Option<&str> {
        self.policies.as_ref()?.get(name).map(String::as_str)
    }

    /// The resources that would be left behind as they are, because their deletion policies say so.
    pub fn left_behind(&self) -> Vec<&str> {
        let policies = self.policies.iter().flatten();
        policies.filter(|(_, policy)| policy.starts_with("Retain")).map(|(name, _)| name.as_str()).collect()
    }
}
