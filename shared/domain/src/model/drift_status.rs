//! CloudFormation's result of a drift detection.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

/// CloudFormation's drift status of one resource.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    EnumString,
    IntoStaticStr,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum DriftStatus {
    /// The resource matches its template.
    InSync,
    /// The resource was changed.
    Modified,
    /// The resource was deleted.
    Deleted,
    /// The resource was not compared.
    NotChecked,
    /// The type of the resource cannot be compared.
    Unsupported,
    /// CloudFormation could not determine it. Also stands for any unknown status.
    Unknown,
}

impl DriftStatus {
    /// Returns CloudFormation's word.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Reads CloudFormation's word.
    pub fn parse(word: &str) -> Self {
        word.parse().unwrap_or(Self::Unknown)
    }
}
