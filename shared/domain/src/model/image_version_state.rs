//! The states of a version of an image.

use serde::{Deserialize, Serialize};
use std::fmt;

/// State of a version of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageVersionState {
    /// The build runs. No image exists yet, or none that was examined.
    Building,
    /// Built, but missing in a required location. No constraint resolves to it.
    Withheld,
    /// Every required location has it.
    Usable,
    /// The distribution failed. Lockstep removes the version from every location.
    Discarding,
    /// Removed from every location. The record holds the reason.
    Discarded,
    /// No release uses it and no constraint resolves to it. Its images are deprecated, and deleted later.
    Retiring,
    /// Closed: its images and snapshots are deleted, or their deletion runs.
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
