//! Webhook deliveries that were accepted and never started, or whose execution ended without finishing them.

use crate::context::SweepContext;
use crate::report;
use jiff::Timestamp;
use lockstep_aws::executions::Started;
use lockstep_aws::ledger::Versioned;
use lockstep_domain::delivery::sweep::{self, DeliveryStep};
use lockstep_domain::delivery::webhook_delivery;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::token::execution_arn;
use lockstep_domain::records::{Record as _, SweepReport, WebhookDelivery, WebhookDeliveryState};

/// The most webhook deliveries that are read: more than arrive between two sweeps.
const EVENTS: usize = 1000;

/// Returns the latest webhook deliveries, as the index has them.
pub async fn latest(context: &impl SweepContext) -> Result<Vec<WebhookDelivery>, Failure> {
    Ok(context
        .ledger()
        .list_kind::<WebhookDelivery>(EVENTS)
        .await?
        .into_iter()
        .map(|event| event.record)
        .collect())
}

/// Examines the latest webhook deliveries. The index only lists them, so each is read again before the
/// decision.
pub async fn sweep(
    context: &impl SweepContext,
    report: &mut SweepReport,
    now: Timestamp,
) -> Result<(), Failure> {
    let latest = latest(context).await?;
    for event in latest.iter().filter(|event| event.state != WebhookDeliveryState::Finished) {
        let what = format!("delivery {}", event.delivery);
        let outcome = sweep_event(context, report, &what, event, &latest, now).await;
        report::go_on(report, &what, outcome);
    }
    Ok(())
}

async fn sweep_event(
    context: &impl SweepContext,
    report: &mut SweepReport,
    what: &str,
    listed: &WebhookDelivery,
    latest: &[WebhookDelivery],
    now: Timestamp,
) -> Result<(), Failure> {
    let Some(stored) = context.ledger().get::<WebhookDelivery>(&listed.key()).await? else { return Ok(()) };
    match sweep::event(&stored.record, latest, now) {
        DeliveryStep::Leave => Ok(()),
        DeliveryStep::Look => look(context, report, what, &stored, now).await,
        DeliveryStep::Start => start(context, report, what, &stored, now).await,
        DeliveryStep::Supersede(overtaken) => {
            // A function may have started the execution and ended before it recorded the start.
            if is_running(context, &stored.record).await.is_some() {
                return look(context, report, what, &stored, now).await;
            }
            report.finished.push(what.to_owned());
            write(context, &stored, *overtaken).await
        }
    }
}

async fn start(
    context: &impl SweepContext,
    report: &mut SweepReport,
    what: &str,
    stored: &Versioned<WebhookDelivery>,
    now: Timestamp,
) -> Result<(), Failure> {
    let event = &stored.record;
    let input = serde_json::to_value(webhook_delivery::input(event))
        .map_err(|error| Failure::bug("the input of a release cannot be written").caused_by(&error))?;
    match context.executions().start(context.release_machine(), &event.execution, &input).await? {
        Started::New(_) => {
            report.released.push(what.to_owned());
            write(context, stored, WebhookDelivery { state: WebhookDeliveryState::Started, ..event.clone() })
                .await
        }
        Started::Exists => look(context, report, what, stored, now).await,
    }
}

/// Finishes a webhook delivery whose execution has ended without finishing it.
async fn look(
    context: &impl SweepContext,
    report: &mut SweepReport,
    what: &str,
    stored: &Versioned<WebhookDelivery>,
    now: Timestamp,
) -> Result<(), Failure> {
    if is_running(context, &stored.record).await != Some(false) {
        return Ok(());
    }
    // The execution may have written the record until it ended, so the record is read again.
    let Some(stored) = context.ledger().get::<WebhookDelivery>(&stored.record.key()).await? else {
        return Ok(());
    };
    match sweep::event_of_ended(&stored.record, now) {
        Some(finished) => {
            report.finished.push(what.to_owned());
            write(context, &stored, finished).await
        }
        None => Ok(()),
    }
}

async fn is_running(context: &impl SweepContext, event: &WebhookDelivery) -> Option<bool> {
    context.executions().is_running(&execution_arn(context.release_machine(), &event.execution)).await
}

/// Writes a webhook delivery. Ignores a conflict, because the other writer knows at least as much.
async fn write(
    context: &impl SweepContext,
    stored: &Versioned<WebhookDelivery>,
    event: WebhookDelivery,
) -> Result<(), Failure> {
    match context.ledger().replace(stored, event).await {
        Err(lost) if lost.kind == FailureKind::Conflict => Ok(()),
        written => written.map(drop),
    }
}
