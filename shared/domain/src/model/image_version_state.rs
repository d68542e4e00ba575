//! The states of a version of an image.

use serde::{Deserialize, Serialize};
use strum::{Display, VariantArray};

/// State of a version of an image.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Display, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
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
    pub const ALL: &[Self] = Self::VARIANTS;
}
