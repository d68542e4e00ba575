//! `bake-image` and `build-image` in the sweep.

pub mod invariants;
pub mod recipes;
pub mod scenarios;

/// The image that AWS publishes as its newest.
pub const NEWEST: &str = "ami-0aaaaaaaaaaaaaaaa";
