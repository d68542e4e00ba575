//! A commit that could not be packaged.

use super::{Key, Record, Table};
use crate::model::error::Problem;
use crate::model::ids::{CommitSha, RepositoryId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A commit that could not be packaged, with its problems.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// The component, or the folder if its manifest has no readable name.
    pub component: String,
    /// The repository.
    pub repository: RepositoryId,
    /// The commit.
    pub commit: CommitSha,
    /// Author of the commit, for display.
    pub author: String,
    /// Every problem of the commit.
    pub problems: Vec<Problem>,
    /// Time of the rejection.
    pub rejected_at: Timestamp,
}

impl Record for Rejection {
    const KIND: &'static str = "REJECTION";
    const TABLES: &'static [Table] = &[Table::Authority];

    fn key(&self) -> Key {
        Key::new(
            Table::Authority,
            format!("COMPONENT#{}", self.component),
            format!("REJECTION#{}", self.commit),
        )
    }

    fn listed_at(&self) -> Option<String> {
        Some(self.rejected_at.to_string())
    }
}
