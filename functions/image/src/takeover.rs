//! Takes over from a promotion whose execution has certainly ended.
//!
//! Two promotions of one version to one location would make two copies, so the second one waits or takes over.

use crate::context::ImageContext;
use crate::finish::write_closed;
use crate::load::Promotion;
use crate::room;
use lockstep_aws::ledger::Versioned;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::records::{Deployment, DeploymentState, Image, ImageState};
use lockstep_runtime::lease;

/// Returns the promotion whose work `execution` continues, if there is one. A promotion without an end is closed as
/// abandoned.
///
/// # Errors
/// `EnvironmentBusy` while that promotion runs or may run.
pub async fn predecessor<C: ImageContext>(
    context: &C,
    target_record: Option<&Versioned<Image>>,
    execution: &str,
) -> Result<Option<Promotion>, Failure> {
    let Some(other) = target_record.map(|image| &image.record) else { return Ok(None) };
    if other.state != ImageState::Promoting || other.recorded_by == execution {
        return Ok(None);
    }
    let id = DeploymentId::of_execution(&other.recorded_by);
    if context.ledger().get::<Deployment>(&Deployment::key_of(&id)).await?.is_none() {
        return Ok(None);
    }
    let dead = Promotion::read(context, &id).await?;
    if !dead.deployment.record.state.is_final() {
        close_abandoned(context, &dead, other).await?;
    }
    room::leave(context, &id, dead.target()).await?;
    Ok(dead.plan.is_some().then_some(dead))
}

async fn close_abandoned<C: ImageContext>(
    context: &C,
    dead: &Promotion,
    other: &Image,
) -> Result<(), Failure> {
    let holder = &other.recorded_by;
    lease::ensure_ended(context.executions(), holder, || {
        format!("{holder} copies {}@{} there already; try again when it is done", other.name, other.version)
    })
    .await?;
    let old = &dead.deployment;
    let closed = Deployment {
        state: DeploymentState::Abandoned,
        finished_at: Some(context.now()),
        ..old.record.clone()
    };
    write_closed(context, old, closed).await
}
