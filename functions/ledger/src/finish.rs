//! End of a deployment: closes it and releases its environment in one transaction.

use crate::context::LedgerContext;
use crate::{follow, load, readback, turn};
use jiff::Timestamp;
use lockstep_aws::ledger::Write;
use lockstep_domain::delivery::{environment, gate};
use lockstep_domain::messages::ledger::{Failed, Finished};
use lockstep_domain::model::caught_error::CaughtError;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{DeploymentId, TEST};
use lockstep_domain::model::image_lock::ImageLock;
use lockstep_domain::records::{DeployBody, Deployment, Environment, Evidence};
use lockstep_runtime::{charters, deployment_end, releases};

/// Closes a deployment that succeeded. Returns the same reply if it is closed with success already.
pub async fn complete(
    context: &impl LedgerContext,
    path: DeploymentPath,
    id: &DeploymentId,
    now: Timestamp,
) -> Result<Finished, Failure> {
    let stored = load::deployment_on(context, path, id).await?;
    if let Some(answer) = finished(&stored.record)? {
        turn::wake_after(context, &stored.record).await?;
        follow::after(context, &stored.record).await;
        return Ok(answer);
    }
    let found = load::held_environment(context, &stored.record).await?;
    let lock = deployed_images(context, &found.record, &stored.record).await?;
    let ended = environment::complete(&found.record, &stored.record, &lock, now)?;
    let released = match &ended.environment {
        Some(environment) => Write::replace(&found, environment)?,
        None => Write::remove(&found),
    };
    let mut writes = vec![released, Write::replace(&stored, &ended.deployment)?];
    if let Some(evidence) = new_evidence(context, &ended.deployment, now).await? {
        writes.push(Write::insert(&evidence)?);
    }
    context.ledger().transact(writes).await?;
    deployment_end::report(&ended.deployment, now);
    turn::wake_queue(context, &found.record, ended.environment.as_ref()).await?;
    follow::after(context, &ended.deployment).await;
    finished(&ended.deployment)?.ok_or_else(|| Failure::bug("a completed deployment is not finished"))
}

/// Compares the stack with the release of the deployment, and returns the images that the release locks. A teardown and a
/// deployment that only plans have neither.
async fn deployed_images(
    context: &impl LedgerContext,
    known: &Environment,
    deployment: &Deployment,
) -> Result<ImageLock, Failure> {
    let Some(deploy) = deployment.deploy().filter(|deploy| !deploy.plan_only) else {
        return Ok(ImageLock::default());
    };
    let (component, version) = (&deploy.stack.component, &deployment.version);
    let release = releases::same_release(context.ledger(), component, version, &deploy.digest).await?;
    readback::ensure_deployed(context, known, deployment, deploy, &release).await?;
    Ok(release.image_lock)
}

/// Returns true if the parameters of the account follow the deployment once it has succeeded.
fn follows(deployment: &Deployment) -> bool {
    deployment.path == DeploymentPath::Promotion
        && deployment.deploy().is_some_and(|deploy| !deploy.plan_only)
}

/// Returns the reply for a deployment that ended well, or `None` for one that has not ended.
fn finished(deployment: &Deployment) -> Result<Option<Finished>, Failure> {
    let Some(outcome) = deployment.state.outcome() else { return Ok(None) };
    if !outcome.is_success() {
        return Err(Failure::new(
            FailureKind::Superseded,
            format!("deployment {} is closed already, and did not succeed", deployment.id),
        ));
    }
    Ok(Some(Finished {
        deployment: deployment.id.clone(),
        component: environment::stack(deployment)?.component.clone(),
        version: deployment.version.clone(),
        stage: deployment.stage.clone(),
        outcome,
        channels: follows(deployment),
    }))
}

/// Returns the evidence that the deployment earns, or `None` if it earns none or the stage has evidence of
/// the same artifact already.
async fn new_evidence(
    context: &impl LedgerContext,
    deployment: &Deployment,
    now: Timestamp,
) -> Result<Option<Evidence>, Failure> {
    let is_test = deployment.stage.as_str() == TEST;
    let earns = |deploy: &&DeployBody| gate::earns_evidence(deploy, is_test);
    let Some(deploy) = deployment.deploy().filter(earns) else { return Ok(None) };
    let (component, digest) = (&deploy.stack.component, &deploy.digest);
    let key = Evidence::key_of(component, digest, &deployment.stage);
    if context.ledger().get::<Evidence>(&key).await?.is_some() {
        return Ok(None);
    }
    Ok(Some(Evidence {
        component: component.clone(),
        digest: digest.clone(),
        stage: deployment.stage.clone(),
        version: deployment.version.clone(),
        deployment: deployment.id.clone(),
        passed_at: now,
    }))
}

/// Closes a deployment that failed and returns the failure as a sentence. The deployment may be closed
/// already, with any outcome.
pub async fn fail(
    context: &impl LedgerContext,
    path: DeploymentPath,
    id: &DeploymentId,
    error: &CaughtError,
    now: Timestamp,
) -> Result<Failed, Failure> {
    load::ensure_on(path, id)?;
    let stored = load::reported(context, id).await?;
    let charter = charters::charter(context.ledger(), id).await?;
    let key = Environment::key_of(&charter.stage, &charter.environment);
    let found = context.ledger().get::<Environment>(&key).await?;
    let held = found.as_ref().map(|found| &found.record);
    let failed = match charter.check(&stored.record) {
        Ok(()) => environment::fail(held, &stored.record, error, now),
        Err(changed) => environment::distrust(held, &charter, &stored.record, &changed, now),
    };
    let mut writes = Vec::new();
    if let (Some(found), Some(released)) = (&found, &failed.environment) {
        writes.push(Write::replace(found, released)?);
    }
    if let Some(closed) = &failed.deployment {
        writes.push(Write::replace(&stored, closed)?);
    }
    if !writes.is_empty() {
        context.ledger().transact(writes).await?;
    }
    if let Some(closed) = &failed.deployment {
        deployment_end::report(closed, now);
    }
    turn::wake_after(context, &stored.record).await?;
    follow::after(context, &stored.record).await;
    Ok(Failed { error: failed.failure.error, cause: failed.failure.message })
}
