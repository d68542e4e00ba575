//! `deploy` and `teardown` under faults.

pub mod checks;
pub mod invariants;
pub mod scenarios;
mod statuses;
