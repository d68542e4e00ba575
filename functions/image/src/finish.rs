//! Record the copy as usable, or close the promotion as failed.

use crate::copy::{self, look_again};
use crate::load::{Promotion, unusable};
use crate::world::World;
use crate::{room, share};
use lockstep_domain::delivery::environment;
use lockstep_domain::images::promotion;
use lockstep_domain::messages::image::Promoted;
use lockstep_domain::messages::ledger::Failed;
use lockstep_domain::model::caught::Caught;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::records::{Deployment, DeploymentState, FailureRecord, Image, ImageState};
use lockstep_platform::ports::Records;
use lockstep_runtime::{deployment_log, lease};

/// Serves `record`.
pub async fn record<W: World>(world: &W, id: &DeploymentId) -> Result<Promoted, Failure> {
    let promotion = Promotion::load(world, id).await?;
    let found = promotion.image_at(world, promotion.target()).await?;
    let found = found.ok_or_else(|| unusable(format!("the promotion {id} has no copy to record")))?;
    let ami = found.record.ami.clone().ok_or_else(|| unusable("the copy has no id"))?;
    if found.record.state == ImageState::Promoting {
        if !promotion.brings(&found.record) {
            return Err(promotion.superseded());
        }
        // Once it is recorded, releases use it: the last look is here.
        let usable = Image { state: ImageState::Available, recorded_at: world.now(), ..found.record.clone() };
        let images = world.target(promotion.target(), &promotion.session()).await?;
        let copy = look_again(&images, &ami).await?;
        if let Some(why) = promotion::unusable(&usable, Some(&copy)) {
            return Err(unusable(why));
        }
        world.records().replace(&found, usable).await?;
        deployment_log::append(
            world.records(),
            id,
            &format!("{ami} is usable in account {}", promotion.target().account),
            world.now(),
        )
        .await?;
    }
    close(world, &promotion, DeploymentState::Succeeded, None).await?;
    Ok(Promoted { image: promotion.image.clone(), version: promotion.deployment.record.version.clone(), ami })
}

/// Serves `fail`.
pub async fn fail<W: World>(world: &W, id: &DeploymentId, error: &Caught) -> Result<Failed, Failure> {
    let promotion = Promotion::load(world, id).await?;
    room::leave(world, id, promotion.target()).await?;
    let failure = FailureRecord { error: error.error.clone(), message: error.sentence() };
    close(world, &promotion, DeploymentState::Failed, Some(failure.clone())).await?;
    Ok(Failed { error: failure.error, cause: failure.message })
}

/// Serves `abandon`: what the failing end of the state machine does, for an execution that has no end of its own.
///
/// # Errors
/// `EnvironmentBusy` if the execution runs or may run.
pub async fn abandon<W: World>(world: &W, id: &DeploymentId) -> Result<(), Failure> {
    let promotion = Promotion::load(world, id).await?;
    let execution = promotion.execution();
    lease::ensure_ended(world.is_running(execution).await, || {
        format!("{execution} may still run: {id} is not abandoned")
    })?;
    copy::discard(world, id).await?;
    share::unshare(world, id).await?;
    room::leave(world, id, promotion.target()).await?;
    let old = &promotion.deployment;
    let Some(closed) = environment::abandon(&old.record, "what it had shared is withdrawn", world.now())
    else {
        return Ok(());
    };
    world.records().replace(old, closed).await.map(drop)
}

/// Serves `close`: the inspection failed, and may have begun the promotion, or taken over another that had shared.
pub async fn close_inspection<W: World>(
    world: &W,
    execution: &str,
    error: &Caught,
) -> Result<Failed, Failure> {
    let id = DeploymentId::of_execution(execution);
    if world.records().get::<Deployment>(&Deployment::key_of(&id)).await?.is_none() {
        return Ok(Failed { error: error.error.clone(), cause: error.sentence() });
    }
    share::unshare(world, &id).await?;
    fail(world, &id, error).await
}

/// Closes the promotion; one that is over stays as it ended.
async fn close<W: World>(
    world: &W,
    promotion: &Promotion,
    state: DeploymentState,
    failure: Option<FailureRecord>,
) -> Result<(), Failure> {
    let old = &promotion.deployment;
    if old.record.state.is_final() {
        return Ok(());
    }
    let closed = Deployment { state, failure, finished_at: Some(world.now()), ..old.record.clone() };
    world.records().replace(old, closed).await.map(drop)
}
