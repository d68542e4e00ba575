//! Open callbacks whose execution has ended, and callbacks that are open for long.

use crate::context::SweepContext;
use crate::{owners, report};
use jiff::Timestamp;
use lockstep_aws::metrics;
use lockstep_domain::delivery::approval;
use lockstep_domain::delivery::sweep::{self, CallbackStep};
use lockstep_domain::messages::ledger::{Freed, Request};
use lockstep_domain::messages::resume::{Done, Forget};
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::metric::{Dimension, Metric};
use lockstep_domain::records::{
    ApprovalDecision, Callback, CallbackState, Deployment, Record as _, SweepReport,
};

/// Examines every open callback. The index only lists them, so each is read again before the decision.
pub async fn sweep(
    context: &impl SweepContext,
    report: &mut SweepReport,
    now: Timestamp,
) -> Result<(), Failure> {
    let open = context.ledger().every_of_kind::<Callback>().await?;
    for kind in sweep::open_callbacks(open.iter().map(|listed| &listed.record), now) {
        metrics::emit(
            &[(Dimension::Kind, kind.kind)],
            &[(Metric::CallbacksOpen, kind.open), (Metric::OldestCallbackSeconds, kind.oldest_seconds)],
            now,
        );
    }
    for listed in open {
        let what = format!("the wait for {}", listed.record.operation);
        let outcome = sweep_callback(context, report, &listed.record, now).await;
        report::go_on(report, &what, outcome);
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
    match sweep::wait(&stored.record, is_running, asking.as_ref(), is_answered, now) {
        CallbackStep::Leave => {}
        CallbackStep::Remove(closes) => {
            // The callback remains until the authority has closed the deployment, so that the next sweep finds both.
            if let Some(deployment) = closes
                && owners::ask_authority::<Freed>(context, &Request::CloseUnanswered { deployment })
                    .await?
                    .is_none()
            {
                return Ok(());
            }
            let forget = Forget { forget: stored.record.operation.clone() };
            let done = owners::ask::<Done>(context, owners::CALLBACKS, &forget).await?;
            report.waits_removed += u32::from(done.unwrap_or_default().is_forgotten);
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
async fn asking(context: &impl SweepContext, wait: &Callback) -> Result<Option<Deployment>, Failure> {
    let Some((deployment, _)) = approval::of_operation(&wait.operation) else { return Ok(None) };
    Ok(context.ledger().get(&Deployment::key_of(&deployment)).await?.map(|found| found.record))
}
