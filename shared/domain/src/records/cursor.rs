//! The progress of packaging in a repository.

use super::{Key, Record, Table};
use crate::model::ids::{CommitSha, RepositoryId};
use serde::{Deserialize, Serialize};

/// The progress of packaging in a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The repository.
    pub repository: RepositoryId,
    /// Commit of the default branch that was packaged last.
    pub commit: CommitSha,
}

impl Cursor {
    /// Returns the key of the cursor of the repository `id`.
    pub fn key_of(id: &RepositoryId) -> Key {
        Key::single(Table::Intake, format!("REPOSITORY#{id}"))
    }
}

impl Record for Cursor {
    const KIND: &'static str = "CURSOR";
    const TABLES: &'static [Table] = &[Table::Intake];

    fn key(&self) -> Key {
        Self::key_of(&self.repository)
    }
}
