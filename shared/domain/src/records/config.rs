use super::{Key, Record, Table};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
    const TABLE: Table = Table::Authority;

    fn key(&self) -> Key {
        let (pk, prefix) = self.config.prefix();
        Key::new(pk.into(), format!("{prefix}{:010}", self.version))
    }
}
