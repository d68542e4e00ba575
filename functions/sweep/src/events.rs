//! Webhook deliveries that were accepted and never started, or whose execution ended without finishing them.

use crate::context::SweepContext;
use crate::{owners, report};
use jiff::Timestamp;
use lockstep_domain::delivery::sweep::{self, DeliveryStep};
use lockstep_domain::messages::webhook::{Request, Settled};
use lockstep_domain::model::error::Failure;
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
/// proposal.
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
    let WebhookDelivery { provider, delivery, execution, .. } = &stored.record;
    match sweep::event(&stored.record, latest, now) {
        DeliveryStep::Leave => return Ok(()),
        DeliveryStep::Look => {
            let execution = execution_arn(context.release_machine(), execution);
            if context.executions().is_running(&execution).await != Some(false) {
                return Ok(());
            }
        }
        DeliveryStep::Start | DeliveryStep::Supersede(_) => {}
    }
    let request = Request::Settle { provider: provider.clone(), delivery: delivery.clone() };
    match owners::ask::<Settled>(context, owners::INTAKE, &request).await? {
        Some(Settled::Released) => report.released.push(what.to_owned()),
        Some(Settled::Finished) => report.finished.push(what.to_owned()),
        Some(Settled::Left) | None => {}
    }
    Ok(())
}
