//! A deployment ends, well or badly; its environment is given back in the same transaction.

use crate::context::LedgerContext;
use crate::load;
use jiff::Timestamp;
use lockstep_domain::delivery::{environment, gate};
use lockstep_domain::messages::ledger::{Failed, Finished};
use lockstep_domain::model::caught_error::CaughtError;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{DeploymentId, TEST};
use lockstep_domain::records::{Deployment, DeploymentState, Evidence};
use lockstep_platform::ledger::Write;

/// Closes a deployment that did what it was to do; it may be closed so already.
pub async fn complete(
    context: &impl LedgerContext,
    id: &DeploymentId,
    now: Timestamp,
) -> Result<Finished, Failure> {
    let stored = load::deployment(context, id).await?;
    if let Some(answer) = finished(&stored.record)? {
        return Ok(answer);
    }
    let found = load::environment(context, &stored.record).await?;
    environment::still_holds(found.as_ref().map(|found| &found.record), &stored.record)?;
    let Some(found) = found else { return Err(Failure::bug("a held environment does not exist")) };
    let ended = environment::complete(&found.record, &stored.record, now)?;
    let given_back = match &ended.environment {
        Some(environment) => Write::replace(&found, environment)?,
        None => Write::remove(&found),
    };
    let mut writes = vec![given_back, Write::replace(&stored, &ended.deployment)?];
    if let Some(evidence) = new_evidence(context, &ended.deployment, now).await? {
        writes.push(Write::insert(&evidence)?);
    }
    context.ledger().transact(writes).await?;
    finished(&ended.deployment)?.ok_or_else(|| Failure::bug("a completed deployment is not finished"))
}

/// The answer for a deployment that ended well; nothing for one that has not ended.
fn finished(deployment: &Deployment) -> Result<Option<Finished>, Failure> {
    let outcome = match deployment.state {
        DeploymentState::Running | DeploymentState::AwaitingApproval => return Ok(None),
        DeploymentState::Succeeded => "succeeded",
        DeploymentState::NoChanges => "no_changes",
        DeploymentState::Planned => "planned",
        DeploymentState::Failed | DeploymentState::Refused | DeploymentState::Abandoned => {
            return Err(Failure::new(
                FailureKind::Superseded,
                format!("deployment {} is closed already, and did not succeed", deployment.id),
            ));
        }
    };
    let (_, component) = environment::parts(deployment)?;
    Ok(Some(Finished {
        deployment: deployment.id.clone(),
        component: component.clone(),
        version: deployment.version.clone(),
        stage: deployment.stage.clone(),
        outcome: outcome.to_owned(),
    }))
}

/// The evidence this deployment earns, unless there is some of the same artifact in the same stage.
async fn new_evidence(
    context: &impl LedgerContext,
    deployment: &Deployment,
    now: Timestamp,
) -> Result<Option<Evidence>, Failure> {
    let is_test = deployment.stage.as_str() == TEST;
    if !gate::earns_evidence(deployment, is_test) {
        return Ok(None);
    }
    let (_, component) = environment::parts(deployment)?;
    let digest = deployment.digest.clone().ok_or_else(|| Failure::bug("a deployment without a digest"))?;
    let key = Evidence::key_of(component, &digest, &deployment.stage);
    if context.ledger().get::<Evidence>(&key).await?.is_some() {
        return Ok(None);
    }
    Ok(Some(Evidence {
        component: component.clone(),
        digest,
        stage: deployment.stage.clone(),
        version: deployment.version.clone(),
        deployment: deployment.id.clone(),
        passed_at: now,
    }))
}

/// Closes a deployment that failed, and says so in a sentence; it may be closed already, however it ended.
pub async fn fail(
    context: &impl LedgerContext,
    id: &DeploymentId,
    error: &CaughtError,
    now: Timestamp,
) -> Result<Failed, Failure> {
    let stored = load::deployment(context, id).await?;
    let found = load::environment(context, &stored.record).await?;
    let failed = environment::fail(found.as_ref().map(|found| &found.record), &stored.record, error, now);
    let mut writes = Vec::new();
    if let (Some(found), Some(given_back)) = (&found, &failed.environment) {
        writes.push(Write::replace(found, given_back)?);
    }
    if let Some(closed) = &failed.deployment {
        writes.push(Write::replace(&stored, closed)?);
    }
    if !writes.is_empty() {
        context.ledger().transact(writes).await?;
    }
    Ok(Failed { error: failed.failure.error, cause: failed.failure.message })
}
