//! Two promotions of the same version to the same place would make two copies: one waits for the other, or takes over
//! from it once it certainly is dead.

use crate::context::ImageContext;
use crate::load::Promotion;
use crate::room;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::records::{Deployment, DeploymentState, Image, ImageState};
use lockstep_platform::ledger::Versioned;
use lockstep_runtime::lease;

/// The promotion whose work `execution` goes on with, if one left some: it is over, or closed here as abandoned.
///
/// # Errors
/// `EnvironmentBusy` while it runs, or may.
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
    let dead = Promotion::load(context, &id).await?;
    if !dead.deployment.record.state.is_final() {
        bury(context, &dead, other).await?;
    }
    room::leave(context, &id, dead.target()).await?;
    Ok(dead.has_a_plan().then_some(dead))
}

async fn bury<C: ImageContext>(context: &C, dead: &Promotion, other: &Image) -> Result<(), Failure> {
    let holder = &other.recorded_by;
    lease::ensure_ended(context.executions(), holder, || {
        format!("{holder} brings {}@{} there already; try again when it is done", other.name, other.version)
    })
    .await?;
    let old = &dead.deployment;
    let closed = Deployment {
        state: DeploymentState::Abandoned,
        finished_at: Some(context.now()),
        ..old.record.clone()
    };
    context.ledger().replace(old, closed).await.map(drop)
}
