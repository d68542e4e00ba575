//! The states of a version of an image.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How far a version of an image has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageVersionState {
    /// Its build runs; there is no image yet, or none that was looked at.
    Building,
    /// Built, but a place that needs it lacks it: nothing resolves to it.
    Withheld,
    /// Every place that must have it has it.
    Usable,
    /// It could not be brought everywhere and is being removed everywhere.
    Discarding,
    /// Removed everywhere; the record says why.
    Discarded,
    /// Nothing uses it and nothing resolves to it any more; its images are deprecated, and go after a while.
    Retiring,
    /// Closed: its images and their snapshots are gone, or go now.
    Retired,
}

impl ImageVersionState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Building,
        Self::Withheld,
        Self::Usable,
        Self::Discarding,
        Self::Discarded,
        Self::Retiring,
        Self::Retired,
    ];
}

impl fmt::Display for ImageVersionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Building => "building",
            Self::Withheld => "withheld",
            Self::Usable => "usable",
            Self::Discarding => "discarding",
            Self::Discarded => "discarded",
            Self::Retiring => "retiring",
            Self::Retired => "retired",
        })
    }
}
