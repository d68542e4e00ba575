//! Several deployments at once, into one component's environments.

pub mod acts;
mod durations;
pub mod invariants;
pub mod scenarios;
pub mod stage;
mod sweep;
