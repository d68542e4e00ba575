//! `promote-image` in the sweep.

pub mod invariants;
pub mod scenarios;
