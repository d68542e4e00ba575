//! Records the copy as usable, or closes the promotion as failed.

use crate::context::ImageContext;
use crate::copy::{self, look_again};
use crate::load::{Promotion, unusable};
use crate::{room, share};
use lockstep_aws::ledger::Versioned;
use lockstep_domain::delivery::environment;
use lockstep_domain::images::promotion;
use lockstep_domain::installation::target_roles::TargetRole;
use lockstep_domain::messages::image::Promoted;
use lockstep_domain::messages::ledger::Failed;
use lockstep_domain::model::caught_error::CaughtError;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::records::{Deployment, DeploymentState, FailureRecord, Image, ImageState};
use lockstep_runtime::{deployment_end, deployment_log, lease};

/// Handles `record`: records the copy as usable and closes the promotion as succeeded.
pub async fn record<C: ImageContext>(context: &C, id: &DeploymentId) -> Result<Promoted, Failure> {
    let promotion = Promotion::load(context, id).await?;
    let found = promotion.at_target(context).await?;
    let found = found.ok_or_else(|| unusable(format!("the promotion {id} has no copy to record")))?;
    let ami = found.record.ami.clone().ok_or_else(|| unusable("the copy has no id"))?;
    if found.record.state == ImageState::Promoting {
        if !promotion.brings(&found.record) {
            return Err(promotion.superseded());
        }
        // Releases use a recorded copy, so this is the last check.
        let usable =
            Image { state: ImageState::Available, recorded_at: context.now(), ..found.record.clone() };
        let images =
            context.images(TargetRole::ImageTarget, promotion.target(), &promotion.session()).await?;
        let copy = look_again(&images, &ami).await?;
        if let Some(why) = promotion::unusable(&usable, Some(&copy)) {
            return Err(unusable(why));
        }
        context.ledger().replace(&found, usable).await?;
        deployment_log::append(
            context.ledger(),
            id,
            &format!("{ami} is usable in account {}", promotion.target().account),
            context.now(),
        )
        .await?;
    }
    close(context, &promotion, DeploymentState::Succeeded, None).await?;
    Ok(Promoted { image: promotion.image.clone(), version: promotion.deployment.record.version.clone(), ami })
}

/// Handles `fail`: releases the copy slot and closes the promotion as failed.
pub async fn fail<C: ImageContext>(
    context: &C,
    id: &DeploymentId,
    error: &CaughtError,
) -> Result<Failed, Failure> {
    let promotion = Promotion::load(context, id).await?;
    room::leave(context, id, promotion.target()).await?;
    let failure = FailureRecord { error: error.error.clone(), message: error.sentence() };
    close(context, &promotion, DeploymentState::Failed, Some(failure.clone())).await?;
    Ok(Failed { error: failure.error, cause: failure.message })
}

/// Handles `abandon`: undoes and closes a promotion whose execution ended without its failure steps.
///
/// # Errors
/// `EnvironmentBusy` if the execution runs or may run.
pub async fn abandon<C: ImageContext>(context: &C, id: &DeploymentId) -> Result<(), Failure> {
    let promotion = Promotion::load(context, id).await?;
    let execution = promotion.execution();
    lease::ensure_ended(context.executions(), execution, || {
        format!("{execution} may still run: {id} is not abandoned")
    })
    .await?;
    copy::discard(context, id).await?;
    share::unshare(context, id).await?;
    room::leave(context, id, promotion.target()).await?;
    let old = &promotion.deployment;
    let Some(closed) = environment::abandon(&old.record, "what it had shared is withdrawn", context.now())
    else {
        return Ok(());
    };
    write_closed(context, old, closed).await
}

/// Handles `close`: closes a failed inspection. It may have created the promotion, or taken over one that had shared
/// the image.
pub async fn close_inspection<C: ImageContext>(
    context: &C,
    execution: &str,
    error: &CaughtError,
) -> Result<Failed, Failure> {
    let id = DeploymentId::of_execution(execution);
    if context.ledger().get::<Deployment>(&Deployment::key_of(&id)).await?.is_none() {
        return Ok(Failed { error: error.error.clone(), cause: error.sentence() });
    }
    share::unshare(context, &id).await?;
    fail(context, &id, error).await
}

/// Closes the promotion. A promotion that has ended keeps its state.
async fn close<C: ImageContext>(
    context: &C,
    promotion: &Promotion,
    state: DeploymentState,
    failure: Option<FailureRecord>,
) -> Result<(), Failure> {
    let old = &promotion.deployment;
    if old.record.state.is_final() {
        return Ok(());
    }
    let closed = Deployment { state, failure, finished_at: Some(context.now()), ..old.record.clone() };
    write_closed(context, old, closed).await
}

/// Writes the record that closes a promotion, and reports the end.
pub async fn write_closed<C: ImageContext>(
    context: &C,
    old: &Versioned<Deployment>,
    closed: Deployment,
) -> Result<(), Failure> {
    let written = context.ledger().replace(old, closed).await?;
    deployment_end::report(&written.record, context.now());
    Ok(())
}
