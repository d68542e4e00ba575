//! CloudFormation's result of a drift detection.

use serde::{Deserialize, Serialize};

/// What CloudFormation says of one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DriftStatus {
    /// It is as its template says.
    InSync,
    /// It was changed.
    Modified,
    /// It was deleted.
    Deleted,
    /// It was not compared.
    NotChecked,
    /// Its type cannot be compared.
    Unsupported,
    /// It could not be told; also what any word means that is not known here.
    Unknown,
}

impl DriftStatus {
    /// CloudFormation's word.
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
