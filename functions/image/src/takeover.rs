//! Two promotions of the same version to the same place would make two copies: one waits for the other, or takes over
//! from it once it certainly is dead.

use crate::load::Promotion;
use crate::room;
use crate::world::World;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::records::{Deployment, DeploymentState, Image, ImageState};
use lockstep_platform::ledger::Versioned;
use lockstep_platform::ports::Records;
use lockstep_runtime::lease;

/// The promotion whose work `execution` goes on with, if one left some: it is over, or closed here as abandoned.
///
/// # Errors
/// `EnvironmentBusy` while it runs, or may.
pub async fn predecessor<W: World>(
    world: &W,
    target_record: Option<&Versioned<Image>>,
    execution: &str,
) -> Result<Option<Promotion>, Failure> {
    let Some(other) = target_record.map(|image| &image.record) else { return Ok(None) };
    if other.state != ImageState::Promoting || other.recorded_by == execution {
        return Ok(None);
    }
    let id = DeploymentId::of_execution(&other.recorded_by);
    if world.records().get::<Deployment>(&Deployment::key_of(&id)).await?.is_none() {
        return Ok(None);
    }
    let dead = Promotion::load(world, &id).await?;
    if !dead.deployment.record.state.is_final() {
        bury(world, &dead, other).await?;
    }
    room::leave(world, &id, dead.target()).await?;
    Ok(dead.has_a_plan().then_some(dead))
}

async fn bury<W: World>(world: &W, dead: &Promotion, other: &Image) -> Result<(), Failure> {
    let holder = &other.recorded_by;
    lease::ensure_ended(world.is_running(holder).await, || {
        format!("{holder} brings {}@{} there already; try again when it is done", other.name, other.version)
    })?;
    let old = &dead.deployment;
    let closed = Deployment {
        state: DeploymentState::Abandoned,
        finished_at: Some(world.now()),
        ..old.record.clone()
    };
    world.records().replace(old, closed).await.map(drop)
}
