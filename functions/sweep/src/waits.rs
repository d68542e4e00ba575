//! Open waits: those of executions that have ended, and those that are open for long.

use crate::{App, report};
use jiff::Timestamp;
use lockstep_domain::delivery::approval;
use lockstep_domain::delivery::sweep::{self, CallbackStep};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::records::{Callback, CallbackState, Deployment, Record as _, SweepReport};
use lockstep_platform::ledger::{Versioned, Write};

/// How many open waits are looked at; each belongs to an execution that waits.
const WAITS: usize = 1000;

/// Looks at every open wait. The index only says which there are: each is read again before it is decided about.
pub async fn sweep(app: &App, report: &mut SweepReport, now: Timestamp) -> Result<(), Failure> {
    for listed in app.ledger.list_kind::<Callback>(WAITS).await? {
        let what = format!("the wait for {}", listed.record.operation);
        match one(app, report, &listed.record, now).await {
            // It was answered or registered anew.
            Err(lost) if lost.kind == FailureKind::Conflict => {}
            outcome => report::go_on(report, &what, outcome),
        }
    }
    Ok(())
}

async fn one(app: &App, report: &mut SweepReport, listed: &Callback, now: Timestamp) -> Result<(), Failure> {
    let Some(stored) = app.ledger.get::<Callback>(&listed.key()).await? else { return Ok(()) };
    let CallbackState::Open { execution, .. } = &stored.record.state else { return Ok(()) };
    let is_running = app.executions.is_running(execution).await;
    let asking = asking(app, &stored.record).await?;
    let record = asking.as_ref().map(|asking| &asking.record);
    match sweep::wait(&stored.record, is_running, record, now) {
        CallbackStep::Leave => {}
        CallbackStep::Remove(closed) => {
            let mut writes = vec![Write::remove(&stored)];
            if let (Some(asking), Some(closed)) = (&asking, &closed) {
                writes.push(Write::replace(asking, closed)?);
            }
            app.ledger.transact(writes).await?;
            report.waits_removed += 1;
        }
        CallbackStep::Wake => {
            app.waits.wake(&stored.record.operation).await?;
            report.waits_woken += 1;
        }
    }
    Ok(())
}

/// The deployment whose question is waited for, if it is such a wait.
async fn asking(app: &App, wait: &Callback) -> Result<Option<Versioned<Deployment>>, Failure> {
    match approval::of_operation(&wait.operation) {
        Some((deployment, _)) => app.ledger.get(&Deployment::key_of(&deployment)).await,
        None => Ok(None),
    }
}
