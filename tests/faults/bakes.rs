//! `bake-image` and `build-image` under faults.

pub mod invariants;
pub mod recipes;
pub mod scenarios;

/// The newest image that AWS publishes.
pub const NEWEST: &str = "ami-0aaaaaaaaaaaaaaaa";
