//! The journal of a deployment, for people.

use crate::App;
use jiff::Timestamp;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::records::LogEntry;
use lockstep_platform::ledger::Order;

/// The next line of the journal of `deployment`, to be written together with what it tells of.
pub async fn next(
    app: &App,
    deployment: &DeploymentId,
    note: String,
    now: Timestamp,
) -> Result<LogEntry, Failure> {
    let (pk, prefix) = LogEntry::all_of(deployment);
    let last = app.ledger.list::<LogEntry>(&pk, prefix, Order::Newest, 1).await?.pop();
    let number = last.map_or(1, |last| last.record.number + 1);
    Ok(LogEntry { deployment: deployment.clone(), number, note, at: now })
}
