//! The journal of a promotion, for people.

use crate::world::World;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::records::LogEntry;
use lockstep_platform::ledger::{Inserted, Order};
use lockstep_platform::ports::Records;

/// How often a number that another took is passed over.
const ATTEMPTS: u32 = 5;

/// Appends a line to the journal of `deployment` (here a promotion); one that only repeats the last is left out, so that a retried step
/// does not fill it.
pub async fn note<W: World>(world: &W, deployment: &DeploymentId, note: &str) -> Result<(), Failure> {
    let (pk, prefix) = LogEntry::all_of(deployment);
    let last = world.records().list::<LogEntry>(&pk, prefix, Order::Newest, 1).await?.pop();
    if last.as_ref().is_some_and(|last| last.record.note == note) {
        return Ok(());
    }
    let first = last.map_or(1, |last| last.record.number + 1);
    for number in (first..).take(ATTEMPTS as usize) {
        let step =
            LogEntry { deployment: deployment.clone(), number, note: note.to_owned(), at: world.now() };
        if let Inserted::New(_) = world.records().insert(&step).await? {
            break;
        }
    }
    Ok(())
}
