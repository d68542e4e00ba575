//! A subscribed repository.

use super::{Key, Record, Table};
use crate::model::ids::{CommitSha, ComponentName, RepositoryId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A subscribed repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// Provider, owner and name.
    pub id: RepositoryId,
    /// The base URL of the provider's API, from this record and never from a payload: `https://api.github.com`.
    pub base_url: String,
    /// The default branch: releases come from it.
    pub branch: String,
    /// The components found at the last push, and their folders.
    #[serde(default)]
    pub components: BTreeMap<ComponentName, String>,
    /// The commit of the default branch that was packaged last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitSha>,
    /// The ARN of who subscribed it.
    pub added_by: String,
    /// When.
    pub added_at: Timestamp,
}

impl Repository {
    /// The key of the repository `id`.
    pub fn key_of(id: &RepositoryId) -> Key {
        Key::single(format!("REPOSITORY#{id}"))
    }
}

impl Record for Repository {
    const KIND: &'static str = "REPOSITORY";
    const TABLE: Table = Table::Authority;

    fn key(&self) -> Key {
        Self::key_of(&self.id)
    }

    fn listed_at(&self) -> Option<String> {
        Some(self.id.to_string())
    }
}
