//! Open waits: those of executions that have ended, and those that are open for long.

use crate::context::SweepContext;
use crate::report;
use jiff::Timestamp;
use lockstep_domain::delivery::approval;
use lockstep_domain::delivery::sweep::{self, CallbackStep};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::records::{Callback, CallbackState, Deployment, Record as _, SweepReport};
use lockstep_platform::ledger::{Versioned, Write};

/// How many open waits are looked at; each belongs to an execution that waits.
const WAITS: usize = 1000;

/// Looks at every open wait. The index only says which there are: each is read again before it is decided about.
pub async fn sweep(
    context: &impl SweepContext,
    report: &mut SweepReport,
    now: Timestamp,
) -> Result<(), Failure> {
    for listed in context.ledger().list_kind::<Callback>(WAITS).await? {
        let what = format!("the wait for {}", listed.record.operation);
        match one(context, report, &listed.record, now).await {
            // It was answered or registered anew.
            Err(lost) if lost.kind == FailureKind::Conflict => {}
            outcome => report::go_on(report, &what, outcome),
        }
    }
    Ok(())
}

async fn one(
    context: &impl SweepContext,
    report: &mut SweepReport,
    listed: &Callback,
    now: Timestamp,
) -> Result<(), Failure> {
    let Some(stored) = context.ledger().get::<Callback>(&listed.key()).await? else { return Ok(()) };
    let CallbackState::Open { execution, .. } = &stored.record.state else { return Ok(()) };
    let is_running = context.executions().is_running(execution).await;
    let asking = asking(context, &stored.record).await?;
    let record = asking.as_ref().map(|asking| &asking.record);
    match sweep::wait(&stored.record, is_running, record, now) {
        CallbackStep::Leave => {}
        CallbackStep::Remove(closed) => {
            let mut writes = vec![Write::remove(&stored)];
            if let (Some(asking), Some(closed)) = (&asking, &closed) {
                writes.push(Write::replace(asking, closed)?);
            }
            context.ledger().transact(writes).await?;
            report.waits_removed += 1;
        }
        CallbackStep::Wake => {
            context.callbacks().wake(&stored.record.operation).await?;
            report.waits_woken += 1;
        }
    }
    Ok(())
}

/// The deployment whose question is waited for, if it is such a wait.
async fn asking(
    context: &impl SweepContext,
    wait: &Callback,
) -> Result<Option<Versioned<Deployment>>, Failure> {
    match approval::of_operation(&wait.operation) {
        Some((deployment, _)) => context.ledger().get(&Deployment::key_of(&deployment)).await,
        None => Ok(None),
    }
}
