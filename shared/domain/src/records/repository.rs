//! A registered repository.

use super::{Key, Record, Table};
use crate::model::branch_pattern::BranchPattern;
use crate::model::error::Failure;
use crate::model::ids::RepositoryId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A registered repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// Provider, owner and name.
    pub id: RepositoryId,
    /// Base URL of the provider's API, such as `https://api.github.com`. Lockstep takes it from this record
    /// and never from a payload.
    pub base_url: String,
    /// Default branch, from which releases are built.
    pub branch: String,
    /// Other branches whose pushes are built and tested; none unless an administrator names them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub branches: Vec<BranchPattern>,
    /// ARN of the operator who registered it.
    pub added_by: String,
    /// Time of the registration.
    pub added_at: Timestamp,
}

impl Repository {
    /// Returns the key of the repository `id`.
    pub fn key_of(id: &RepositoryId) -> Key {
        Key::single(Table::Authority, format!("REPOSITORY#{id}"))
    }

    /// Returns the failure for a repository that no administrator registered.
    pub fn not_registered(id: &RepositoryId) -> Failure {
        let name = id.full_name();
        Failure::not_found(format!("{id} is not registered; run `lockstep repositories add github:{name}`"))
    }

    /// Returns true if `reference` names the default branch: `refs/heads/main`, or `main` as a person writes it.
    pub fn is_default_branch(&self, reference: &str) -> bool {
        reference.strip_prefix("refs/heads/").unwrap_or(reference) == self.branch
    }

    /// Returns true if pushes to `branch` are released, as releases or as pre-releases.
    pub fn releases(&self, branch: &str) -> bool {
        branch == self.branch || self.branches.iter().any(|pattern| pattern.matches(branch))
    }
}

impl Record for Repository {
    const KIND: &'static str = "REPOSITORY";
    const TABLES: &'static [Table] = &[Table::Authority];

    fn key(&self) -> Key {
        Self::key_of(&self.id)
    }

    fn listed_at(&self) -> Option<String> {
        Some(self.id.to_string())
    }
}
