//! Proposals of the sweep: heads that no webhook delivery reported, and webhook deliveries that no execution finishes.
//!
//! This function owns webhook deliveries. It decides from its own records, and asks Step Functions itself.

use crate::context::WebhookContext;
use jiff::Timestamp;
use lockstep_aws::executions::Started;
use lockstep_aws::ledger::{Inserted, Versioned};
use lockstep_domain::delivery::sweep::{self, DeliveryStep};
use lockstep_domain::delivery::webhook_delivery;
use lockstep_domain::messages::webhook::{AcceptedHead, Request, Settled};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{CommitSha, RepositoryId};
use lockstep_domain::model::token::execution_arn;
use lockstep_domain::records::{Cursor, Key, Record as _, Repository, WebhookDelivery, WebhookDeliveryState};
use serde_json::Value;

/// The most webhook deliveries that are read: more than arrive between two sweeps.
const DELIVERIES: usize = 1000;

/// Handles a proposal and returns the reply.
pub async fn handle(
    context: &impl WebhookContext,
    request: &Request,
    now: Timestamp,
) -> Result<Value, Failure> {
    let reply = match request {
        Request::AcceptHead { repository, commit } => {
            serde_json::to_value(accept_head(context, repository, commit, now).await?)
        }
        Request::Settle { provider, delivery } => {
            let key = WebhookDelivery::key_of(provider, delivery);
            serde_json::to_value(settle(context, &key, now).await?)
        }
    };
    reply.map_err(|error| Failure::bug("a reply cannot be written").caused_by(&error))
}

/// Accepts a head that no webhook delivery reported. `package` compares the commit with the branch before it releases
/// anything.
async fn accept_head(
    context: &impl WebhookContext,
    id: &RepositoryId,
    commit: &CommitSha,
    now: Timestamp,
) -> Result<AcceptedHead, Failure> {
    let Some(repository) = context.ledger().get::<Repository>(&Repository::key_of(id)).await? else {
        return Ok(AcceptedHead { delivery: None });
    };
    let cursor = context.ledger().get::<Cursor>(&Cursor::key_of(id)).await?.map(|found| found.record);
    let latest = latest(context).await?;
    let unheard = sweep::unheard_of(&repository.record, cursor.as_ref(), commit, &latest, now);
    let Some(delivery) = unheard else { return Ok(AcceptedHead { delivery: None }) };
    let inserted = context.ledger().insert(&delivery).await?;
    Ok(AcceptedHead { delivery: matches!(inserted, Inserted::New(_)).then_some(delivery.delivery) })
}

async fn latest(context: &impl WebhookContext) -> Result<Vec<WebhookDelivery>, Failure> {
    let found = context.ledger().list_kind::<WebhookDelivery>(DELIVERIES).await?;
    Ok(found.into_iter().map(|found| found.record).collect())
}

async fn settle(context: &impl WebhookContext, key: &Key, now: Timestamp) -> Result<Settled, Failure> {
    let Some(stored) = context.ledger().get::<WebhookDelivery>(key).await? else { return Ok(Settled::Left) };
    match sweep::event(&stored.record, &latest(context).await?, now) {
        DeliveryStep::Leave => Ok(Settled::Left),
        DeliveryStep::Look => look(context, key, now).await,
        DeliveryStep::Start => start(context, &stored, now).await,
        DeliveryStep::Supersede(overtaken) => {
            // A function may have started the execution and ended before it recorded the start.
            if is_running(context, &stored.record).await.is_some() {
                return look(context, key, now).await;
            }
            write(context, &stored, *overtaken, Settled::Finished).await
        }
    }
}

async fn start(
    context: &impl WebhookContext,
    stored: &Versioned<WebhookDelivery>,
    now: Timestamp,
) -> Result<Settled, Failure> {
    let delivery = &stored.record;
    let input = serde_json::to_value(webhook_delivery::input(delivery))
        .map_err(|error| Failure::bug("the input of a release cannot be written").caused_by(&error))?;
    match context.executions().start(context.release_machine(), &delivery.execution, &input).await? {
        Started::New(_) => {
            let started = WebhookDelivery { state: WebhookDeliveryState::Started, ..delivery.clone() };
            write(context, stored, started, Settled::Released).await
        }
        Started::Exists => look(context, &delivery.key(), now).await,
    }
}

/// Quarantines a webhook delivery whose execution has ended without finishing it.
async fn look(context: &impl WebhookContext, key: &Key, now: Timestamp) -> Result<Settled, Failure> {
    let Some(before) = context.ledger().get::<WebhookDelivery>(key).await? else { return Ok(Settled::Left) };
    if is_running(context, &before.record).await != Some(false) {
        return Ok(Settled::Left);
    }
    // The execution may have written the record until it ended, so the record is read again.
    let Some(stored) = context.ledger().get::<WebhookDelivery>(key).await? else { return Ok(Settled::Left) };
    match sweep::event_of_ended(&stored.record, now) {
        Some(finished) => write(context, &stored, finished, Settled::Finished).await,
        None => Ok(Settled::Left),
    }
}

async fn is_running(context: &impl WebhookContext, delivery: &WebhookDelivery) -> Option<bool> {
    context.executions().is_running(&execution_arn(context.release_machine(), &delivery.execution)).await
}

/// Writes a webhook delivery. Ignores a conflict, because the other writer knows at least as much.
async fn write(
    context: &impl WebhookContext,
    stored: &Versioned<WebhookDelivery>,
    delivery: WebhookDelivery,
    settled: Settled,
) -> Result<Settled, Failure> {
    match context.ledger().replace(stored, delivery).await {
        Err(lost) if lost.kind == FailureKind::Conflict => Ok(settled),
        written => written.map(|_| settled),
    }
}
