//! `promote-image` under faults.

pub mod invariants;
pub mod scenarios;
