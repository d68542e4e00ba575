//! The log of a deployment: numbered lines in the ledger, for operators.
//!
//! - A line that equals the last one is left out, so that a retried step does not fill the log.
//! - A line whose number another process took gets the next number, a few times.
//! - A line that still finds no number **does not fail the operation**: the event that it reports has happened, and a
//!   repeated operation would not help. The function logs it at `error` with its text, and counts it by the metric
//!   `DeploymentLogLinesLost`.
//! - A ledger that cannot be read or written fails the operation, as it does for every other record: the state machine
//!   retries the step, which finds its effect done and appends the line then.

use crate::retry::retry_on_conflict;
use jiff::Timestamp;
use lockstep_aws::ledger::{Inserted, Ledger, Order};
use lockstep_aws::metrics;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::model::metric::Metric;
use lockstep_domain::records::LogEntry;

/// Appends `line` to the log of `deployment`.
///
/// # Errors
/// The failures of the ledger, other than a conflict.
pub async fn append(
    ledger: &Ledger,
    deployment: &DeploymentId,
    line: &str,
    now: Timestamp,
) -> Result<(), Failure> {
    match retry_on_conflict(async || try_append(ledger, deployment, line, now).await).await {
        Err(lost) if lost.kind == FailureKind::Conflict => {
            tracing::error!(%deployment, line, "a line of the deployment log is lost: {}", lost.chain());
            metrics::emit(&[], &[(Metric::DeploymentLogLinesLost, 1)], now);
            Ok(())
        }
        appended => appended,
    }
}

/// Returns the next entry of the log of `deployment`, to be written in one transaction with the change it reports. That
/// transaction fails with `Conflict` if its number was taken meanwhile.
pub async fn next(
    ledger: &Ledger,
    deployment: &DeploymentId,
    line: String,
    now: Timestamp,
) -> Result<LogEntry, Failure> {
    Ok(entry(deployment, last(ledger, deployment).await?.as_ref(), line, now))
}

async fn try_append(
    ledger: &Ledger,
    deployment: &DeploymentId,
    line: &str,
    now: Timestamp,
) -> Result<(), Failure> {
    let last = last(ledger, deployment).await?;
    if last.as_ref().is_some_and(|last| last.note == line) {
        return Ok(());
    }
    let entry = entry(deployment, last.as_ref(), line.to_owned(), now);
    match ledger.insert(&entry).await? {
        Inserted::New(_) => Ok(()),
        // The reply to an earlier try was lost.
        Inserted::Exists(other) if other.record == entry => Ok(()),
        Inserted::Exists(_) => Err(Failure::new(
            FailureKind::Conflict,
            format!("line {} of the log of {deployment} was written by another", entry.number),
        )),
    }
}

async fn last(ledger: &Ledger, deployment: &DeploymentId) -> Result<Option<LogEntry>, Failure> {
    let partition = LogEntry::all_of(deployment);
    let newest = ledger.list::<LogEntry>(&partition, Order::Newest, 1).await?.pop();
    Ok(newest.map(|newest| newest.record))
}

fn entry(deployment: &DeploymentId, last: Option<&LogEntry>, note: String, at: Timestamp) -> LogEntry {
    let number = last.map_or(1, |last| last.number + 1);
    LogEntry { deployment: deployment.clone(), number, note, at }
}
