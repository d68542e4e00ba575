//! CloudFormation's result of a drift detection.

use serde::{Deserialize, Serialize};

/// CloudFormation's drift status of one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
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
        match self {
            Self::InSync => "IN_SYNC",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
            Self::NotChecked => "NOT_CHECKED",
            Self::Unsupported => "UNSUPPORTED",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// Reads CloudFormation's word.
    pub fn parse(word: &str) -> Self {
        match word {
            "IN_SYNC" => Self::InSync,
            "MODIFIED" => Self::Modified,
            "DELETED" => Self::Deleted,
            "NOT_CHECKED" => Self::NotChecked,
            "UNSUPPORTED" => Self::Unsupported,
            _ => Self::Unknown,
        }
    }
}
