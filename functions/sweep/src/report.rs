//! The report of one sweep, as it grows.

use lockstep_domain::model::error::Failure;
use lockstep_domain::records::{Leftover, SweepReport};

/// Notes what could not be put in order, and why.
pub fn left(report: &mut SweepReport, what: &str, why: &str) {
    tracing::warn!(what, "left for a person: {why}");
    report.left.push(Leftover { what: what.to_owned(), why: why.to_owned() });
}

/// Notes the failure of one thing, if it is one, and goes on with the next.
pub fn go_on(report: &mut SweepReport, what: &str, outcome: Result<(), Failure>) {
    if let Err(failure) = outcome {
        left(report, what, &failure.message);
    }
}
