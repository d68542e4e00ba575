//! End of a release's test, and end of a push.

use crate::context::LedgerContext;
use crate::{follow, ownership};
use jiff::Timestamp;
use lockstep_aws::ledger::Write;
use lockstep_domain::delivery::webhook_delivery;
use lockstep_domain::messages::ledger::{ComponentResult, Failed, Summary};
use lockstep_domain::messages::{inputs, package};
use lockstep_domain::model::caught_error::CaughtError;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::ComponentName;
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{DeliveryEnd, Environment, Evidence, Release, ReleaseState, WebhookDelivery};
use lockstep_runtime::releases;
use lockstep_runtime::stages::stages;

/// Deletes the record of the environment of a test stack that is gone. A deployment that still holds the environment
/// closes it itself.
pub async fn forget_test(context: &impl LedgerContext, environment: &str) -> Result<(), Failure> {
    let stages = stages(context.ledger()).await?;
    let key = Environment::key_of(&stages.test().name, environment);
    match context.ledger().get::<Environment>(&key).await? {
        Some(found) if found.record.holder.is_none() => context.ledger().remove(&found).await,
        Some(_) | None => Ok(()),
    }
}

/// Publishes a release that passed its test stack. Requires the evidence of the test, and that the repository of the release
/// still owns the name of the component.
pub async fn publish(
    context: &impl LedgerContext,
    component: &ComponentName,
    version: &Version,
    now: Timestamp,
) -> Result<(), Failure> {
    let stored = releases::release(context.ledger(), component, version).await?;
    match stored.record.state {
        ReleaseState::Published => return Ok(()),
        ReleaseState::Packaged => {}
        ReleaseState::TestFailed => return Err(gate_closed(component, version, "failed its test")),
    }
    let test = stages(context.ledger()).await?.test().name.clone();
    let key = Evidence::key_of(component, &stored.record.digest, &test);
    if context.ledger().get::<Evidence>(&key).await?.is_none() {
        return Err(gate_closed(component, version, "has no evidence of its test"));
    }
    let owner = ownership::of_draft(context, &stored.record, &stored.record.execution, now).await?;
    // The draft is a record of `package`. The ledger keeps a copy of its own, which never changes again.
    let published = Release { state: ReleaseState::Published, failure: None, ..stored.record.clone() };
    context.ledger().transact(vec![owner, Write::insert(&published)?, Write::remove(&stored)]).await
}

fn gate_closed(component: &ComponentName, version: &Version, why: &str) -> Failure {
    Failure::new(FailureKind::GateClosed, format!("{component} {version} {why} and cannot be published"))
}

/// Records that a release failed its test. A published release remains published.
pub async fn fail(
    context: &impl LedgerContext,
    component: &ComponentName,
    version: &Version,
    error: &CaughtError,
) -> Result<Failed, Failure> {
    let stored = releases::release(context.ledger(), component, version).await?;
    let sentence = error.sentence();
    let failed = Failed {
        error: error.error.clone(),
        cause: format!("{component} {version} is not released: {sentence}"),
    };
    if stored.record.state == ReleaseState::Packaged {
        let record =
            Release { state: ReleaseState::TestFailed, failure: Some(sentence), ..stored.record.clone() };
        context.ledger().replace(&stored, record).await?;
    }
    Ok(failed)
}

/// Summarises a push and finishes its webhook delivery.
pub async fn finish(
    context: &impl LedgerContext,
    input: &inputs::Release,
    components: &[package::PackagedComponent],
    results: &[ComponentResult],
    error: Option<&CaughtError>,
    now: Timestamp,
) -> Result<Summary, Failure> {
    let (summary, end) = webhook_delivery::conclude(components, results, error);
    if let Some(delivery) = &input.delivery {
        finish_delivery(context, input, delivery, end, now).await?;
    }
    follow::after_push(context, &summary.results).await?;
    Ok(summary)
}

async fn finish_delivery(
    context: &impl LedgerContext,
    input: &inputs::Release,
    delivery: &str,
    end: DeliveryEnd,
    now: Timestamp,
) -> Result<(), Failure> {
    let key = WebhookDelivery::key_of(input.repository.provider(), delivery);
    let Some(stored) = context.ledger().get::<WebhookDelivery>(&key).await? else {
        // An operator started the execution, with the name of a delivery that does not exist.
        tracing::warn!(delivery, "there is no such webhook delivery to finish");
        return Ok(());
    };
    match webhook_delivery::finish(&stored.record, end, now) {
        Some(finished) => context.ledger().replace(&stored, finished).await.map(drop),
        None => Ok(()),
    }
}
