use super::{Key, Partition, Record, Table};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

/// Part of the organisation's configuration that a [`Config`] holds.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ConfigKind {
    /// `stages.toml`.
    Stages,
    /// The organisation's parameter layers.
    Parameters,
    /// `people.toml`.
    People,
    /// The number of administrators, `one` or `many`.
    Administrators,
}

impl ConfigKind {
    /// Every part.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// Returns the word of the part.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Returns the partition of all versions.
    pub fn versions(self) -> Partition {
        let prefix = match self {
            Self::Stages => "STAGES#",
            Self::Parameters => "PARAMETERS#",
            Self::People => "PEOPLE#",
            Self::Administrators => "ADMINISTRATORS#",
        };
        Partition::new(Table::Authority, "CONFIG", prefix)
    }
}

/// One version of a part of the organisation's configuration. Versions are only added, and the newest
/// applies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Part of the configuration.
    pub config: ConfigKind,
    /// Number of the version, counted from 1.
    pub version: u32,
    /// Text of the file as it was applied. It parsed at that time, and readers parse it again.
    pub text: String,
    /// ARN of the administrator who applied it.
    pub applied_by: String,
    /// Time of the change.
    pub applied_at: Timestamp,
}

impl Record for Config {
    const KIND: &'static str = "CONFIG";
    const TABLES: &'static [Table] = &[Table::Authority];

    fn key(&self) -> Key {
        let Partition { table, pk, prefix } = self.config.versions();
        Key::new(table, pk, format!("{prefix}{:010}", self.version))
    }
}
