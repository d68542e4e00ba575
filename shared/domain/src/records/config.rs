use super::{Key, Record};
use crate::model::ids::{CommitSha, ComponentName, RepositoryId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which part of the organisation's configuration a [`Config`] holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfigKind {
    /// `stages.toml`.
    Stages,
    /// The organisation's parameter layers.
    Parameters,
}

impl ConfigKind {
    /// The partition and the prefix of the sort keys of all versions.
    pub fn prefix(self) -> (&'static str, &'static str) {
        match self {
            Self::Stages => ("CONFIG", "STAGES#"),
            Self::Parameters => ("CONFIG", "PARAMETERS#"),
        }
    }
}

/// One version of a part of the organisation's configuration. Versions are only ever added; the newest counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Which part.
    pub config: ConfigKind,
    /// Counted from 1.
    pub version: u32,
    /// The file's text as it was applied: it parsed then, and readers parse it again.
    pub text: String,
    /// The ARN of who applied it.
    pub applied_by: String,
    /// When.
    pub applied_at: Timestamp,
}

impl Record for Config {
    const KIND: &'static str = "CONFIG";

    fn key(&self) -> Key {
        let (pk, prefix) = self.config.prefix();
        Key::new(pk.into(), format!("{prefix}{:010}", self.version))
    }
}

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

    fn key(&self) -> Key {
        Self::key_of(&self.id)
    }

    fn listed_at(&self) -> Option<String> {
        Some(self.id.to_string())
    }
}
