//! Entries in the report of one sweep.

use lockstep_domain::model::error::Failure;
use lockstep_domain::records::{Leftover, SweepReport};

/// Reports what the sweep could not repair, and why.
pub fn left(report: &mut SweepReport, what: &str, why: &str) {
    tracing::warn!(what, "left for a person: {why}");
    report.left.push(Leftover { what: what.to_owned(), why: why.to_owned() });
}

/// Reports the failure of one part, if it failed, so that the sweep can continue with the next.
pub fn go_on(report: &mut SweepReport, what: &str, outcome: Result<(), Failure>) {
    if let Err(failure) = outcome {
        left(report, what, &failure.chain());
    }
}
