//! `release` under faults: pushes of a producer and its consumer.

pub mod invariants;
pub mod repository;
pub mod scenarios;
