//! Open callbacks whose execution has ended, and callbacks that are open for long.

use crate::context::SweepContext;
use crate::report;
use jiff::Timestamp;
use lockstep_aws::ledger::{Versioned, Write};
use lockstep_aws::metrics;
use lockstep_domain::delivery::approval;
use lockstep_domain::delivery::sweep::{self, CallbackStep};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::metric::{Dimension, Metric};
use lockstep_domain::records::{
    ApprovalDecision, Callback, CallbackState, Deployment, Record as _, SweepReport,
};
use lockstep_runtime::deployment_end;

/// The most open callbacks that are read. Each belongs to a waiting execution.
const WAITS: usize = 1000;

/// Examines every open callback. The index only lists them, so each is read again before the decision.
pub async fn sweep(
    context: &impl SweepContext,
    report: &mut SweepReport,
    now: Timestamp,
) -> Result<(), Failure> {
    let open = context.ledger().list_kind::<Callback>(WAITS).await?;
    for kind in sweep::open_callbacks(open.iter().map(|listed| &listed.record), now) {
        metrics::emit(
            &[(Dimension::Kind, kind.kind)],
            &[(Metric::CallbacksOpen, kind.open), (Metric::OldestCallbackSeconds, kind.oldest_seconds)],
            now,
        );
    }
    for listed in open {
        let what = format!("the wait for {}", listed.record.operation);
        match sweep_callback(context, report, &listed.record, now).await {
            // The callback was completed or registered again meanwhile.
            Err(lost) if lost.kind == FailureKind::Conflict => {}
            outcome => report::go_on(report, &what, outcome),
        }
    }
    Ok(())
}

async fn sweep_callback(
    context: &impl SweepContext,
    report: &mut SweepReport,
    listed: &Callback,
    now: Timestamp,
) -> Result<(), Failure> {
    let Some(stored) = context.ledger().get::<Callback>(&listed.key()).await? else { return Ok(()) };
    let CallbackState::Open { execution, .. } = &stored.record.state else { return Ok(()) };
    let is_running = context.executions().is_running(execution).await;
    let asking = asking(context, &stored.record).await?;
    let is_answered = is_answered(context, &stored.record).await?;
    let record = asking.as_ref().map(|asking| &asking.record);
    match sweep::wait(&stored.record, is_running, record, is_answered, now) {
        CallbackStep::Leave => {}
        CallbackStep::Remove(closed) => {
            let mut writes = vec![Write::remove(&stored)];
            if let (Some(asking), Some(closed)) = (&asking, &closed) {
                writes.push(Write::replace(asking, closed)?);
            }
            context.ledger().transact(writes).await?;
            if let Some(closed) = &closed {
                deployment_end::report(closed, now);
            }
            report.waits_removed += 1;
        }
        CallbackStep::Wake => {
            context.callbacks().wake(&stored.record.operation).await?;
            report.waits_woken += 1;
        }
    }
    Ok(())
}

/// Returns true if the callback belongs to a question that an approver has answered.
async fn is_answered(context: &impl SweepContext, wait: &Callback) -> Result<bool, Failure> {
    let Some((deployment, number)) = approval::of_operation(&wait.operation) else { return Ok(false) };
    let key = ApprovalDecision::key_of(&deployment, number);
    let found = context.ledger().get::<ApprovalDecision>(&key).await?;
    Ok(found.is_some_and(|found| found.record.is_decided()))
}

/// Returns the deployment whose question the callback belongs to, or `None` if it belongs to another
/// operation.
async fn asking(
    context: &impl SweepContext,
    wait: &Callback,
) -> Result<Option<Versioned<Deployment>>, Failure> {
    match approval::of_operation(&wait.operation) {
        Some((deployment, _)) => context.ledger().get(&Deployment::key_of(&deployment)).await,
        None => Ok(None),
    }
}
