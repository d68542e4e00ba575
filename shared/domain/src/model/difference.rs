//! Difference between two versions of the configuration.

use serde::{Deserialize, Serialize};

/// One difference between two versions of a part of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The difference as a sentence.
    pub sentence: String,
    /// True if the new version protects less than the old one.
    pub weakens: bool,
}

/// Returns a difference that weakens.
pub(crate) fn weaker(sentence: impl Into<String>) -> Difference {
    Difference { sentence: sentence.into(), weakens: true }
}

/// Returns a difference that weakens nothing.
pub(crate) fn stronger(sentence: impl Into<String>) -> Difference {
    Difference { sentence: sentence.into(), weakens: false }
}
