//! `deploy` and `teardown` in the sweep.

pub mod checks;
pub mod invariants;
pub mod scenarios;
mod statuses;
