//! `bake-image` and `build-image` in the sweep.

pub mod invariants;
pub mod recipes;
pub mod scenarios;

/// The newest image that AWS publishes.
pub const NEWEST: &str = "ami-0aaaaaaaaaaaaaaaa";
