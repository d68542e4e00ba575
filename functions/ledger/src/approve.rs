//! Approvals: the question of a deployment, and the step after its answer.

use crate::context::LedgerContext;
use crate::{begin, load};
use jiff::Timestamp;
use lockstep_aws::ledger::{Versioned, Write};
use lockstep_domain::delivery::answers::Jury;
use lockstep_domain::delivery::approval::{self, ApprovalAnswer, Decided};
use lockstep_domain::delivery::{environment, gate};
use lockstep_domain::messages::{Task, ledger::Started, operator::Applied};
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::records::{Deployment, DeploymentState};
use lockstep_runtime::stages::{people, stages};

/// Stores the question, releases the environment, and registers the callback for the answer.
pub async fn request(
    context: &impl LedgerContext,
    id: &DeploymentId,
    task: &Task,
    now: Timestamp,
) -> Result<(), Failure> {
    let stored = load::deployment(context, id).await?;
    let asking = match stored.record.state {
        DeploymentState::AwaitingApproval => stored.record,
        _ => ask(context, &stored, now).await?,
    };
    let Some(question) = asking.approvals.last() else {
        return Err(Failure::bug(format!("deployment {id} awaits an approval but has no question")));
    };
    let operation = approval::operation(id, question.number);
    context.callbacks().register(&operation, task).await?;
    // On a retry the answer may have arrived already and have woken an outdated token.
    if question.decision.is_some() { context.callbacks().wake(&operation).await } else { Ok(()) }
}

async fn ask(
    context: &impl LedgerContext,
    stored: &Versioned<Deployment>,
    now: Timestamp,
) -> Result<Deployment, Failure> {
    let deployment = &stored.record;
    let held = load::environment(context, deployment).await?;
    environment::still_holds(held.as_ref().map(|held| &held.record), deployment)?;
    let stages = stages(context.ledger()).await?;
    let wants_approval = gate::stage(&stages, &deployment.stage)?.approval.is_some();
    let asking = approval::ask(deployment, wants_approval, now)?;
    let mut writes = vec![Write::replace(stored, &asking)?];
    if let Some(held) = &held {
        writes.push(Write::replace(held, &environment::release_lease(&held.record, deployment))?);
    }
    context.ledger().transact(writes).await?;
    Ok(asking)
}

/// Acquires the environment again for a deployment that may continue. Fails with `ApprovalRefused` for any
/// other.
pub async fn reacquire(
    context: &impl LedgerContext,
    id: &DeploymentId,
    now: Timestamp,
) -> Result<Started, Failure> {
    let stored = load::deployment(context, id).await?;
    let deployment = &stored.record;
    approval::verdict(deployment)?;
    match deployment.state {
        DeploymentState::AwaitingApproval => {
            begin::take(context, deployment, Some(&stored), Vec::new(), now).await?
        }
        _ => {
            let held = load::environment(context, deployment).await?;
            environment::still_holds(held.as_ref().map(|held| &held.record), deployment)?;
        }
    }
    Ok(Started::new(id.clone(), needs_images(context, deployment).await?))
}

async fn needs_images(context: &impl LedgerContext, deployment: &Deployment) -> Result<bool, Failure> {
    let Some(deploy) = deployment.deploy() else { return Ok(false) };
    let release = load::release(context, &deploy.stack.component, &deployment.version).await?.record;
    Ok(!release.image_lock.0.is_empty())
}

/// Records the answer of an approver. Wakes the execution that waits if the answers decide.
pub async fn decide(
    context: &impl LedgerContext,
    id: &DeploymentId,
    answer: &ApprovalAnswer<'_>,
    now: Timestamp,
) -> Result<Applied, Failure> {
    let stored = load::deployment(context, id).await?;
    let (stages, people) = (stages(context.ledger()).await?, people(context.ledger()).await?);
    let rule = gate::stage(&stages, &stored.record.stage)?.approval_rule();
    let jury = Jury::new(&rule, &people, &stored.record);
    let (number, decided) = approval::decide(&stored.record, answer, &jury, now)?;
    let changed = match decided {
        Decided::Now(decided) => {
            context.ledger().replace(&stored, *decided).await?;
            true
        }
        Decided::Waits(answered, waits) => {
            context.ledger().replace(&stored, *answered).await?;
            tracing::info!(deployment = %id, question = number, "{waits}");
            return Ok(Applied { version: number, changed: true });
        }
        Decided::Before => false,
    };
    context.callbacks().wake(&approval::operation(id, number)).await?;
    Ok(Applied { version: number, changed })
}
