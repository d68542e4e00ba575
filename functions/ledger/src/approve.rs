//! Approvals: the question of a deployment, and the step after its answer.

use crate::context::LedgerContext;
use crate::{begin, load};
use jiff::Timestamp;
use lockstep_aws::ledger::{Versioned, Write};
use lockstep_domain::delivery::answers::Jury;
use lockstep_domain::delivery::approval::{self, ApprovalAnswer, Decided};
use lockstep_domain::delivery::gate;
use lockstep_domain::images::build_permission;
use lockstep_domain::messages::{Task, ledger::Started, operator::Applied};
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::records::{ApprovalDecision, Deployment, DeploymentState};
use lockstep_runtime::stages::{people, stages};
use lockstep_runtime::{answers, releases};

/// Stores the question and registers the callback for the answer. A deployment of a stack keeps its environment.
pub async fn request(
    context: &impl LedgerContext,
    path: DeploymentPath,
    id: &DeploymentId,
    task: &Task,
    now: Timestamp,
) -> Result<(), Failure> {
    let stored = load::deployment_on(context, path, id).await?;
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
    let answered = decision(context, &asking).await?.is_some();
    if answered { context.callbacks().wake(&operation).await } else { Ok(()) }
}

async fn ask(
    context: &impl LedgerContext,
    stored: &Versioned<Deployment>,
    now: Timestamp,
) -> Result<Deployment, Failure> {
    let deployment = &stored.record;
    // The build of an image holds no environment.
    if deployment.stack().is_some() {
        load::held_environment(context, deployment).await?;
    }
    let stages = stages(context.ledger()).await?;
    let wants_approval = gate::stage(&stages, &deployment.stage)?.approval.is_some();
    let asking = approval::ask(deployment, wants_approval, now)?;
    Ok(context.ledger().replace(stored, asking).await?.record)
}

/// Continues a deployment whose question was approved. Fails with `ApprovalRefused` for any other.
pub async fn proceed(
    context: &impl LedgerContext,
    path: DeploymentPath,
    id: &DeploymentId,
) -> Result<Started, Failure> {
    let stored = load::deployment_on(context, path, id).await?;
    let deployment = &stored.record;
    approval::verdict(deployment, decision(context, deployment).await?.as_ref())?;
    match deployment.stack() {
        Some(_) => drop(load::held_environment(context, deployment).await?),
        None => begin::ensure_open(deployment)?,
    }
    if deployment.state == DeploymentState::AwaitingApproval {
        let continued = Deployment { state: DeploymentState::Running, ..deployment.clone() };
        context.ledger().replace(&stored, continued).await?;
    }
    Ok(Started::new(id.clone(), needs_images(context, deployment).await?))
}

async fn needs_images(context: &impl LedgerContext, deployment: &Deployment) -> Result<bool, Failure> {
    let Some(deploy) = deployment.deploy() else { return Ok(false) };
    let release =
        releases::release(context.ledger(), &deploy.stack.component, &deployment.version).await?.record;
    Ok(!release.image_lock.0.is_empty())
}

/// Returns the recorded decision on the last question of a deployment, if the answers decided it.
async fn decision(
    context: &impl LedgerContext,
    deployment: &Deployment,
) -> Result<Option<ApprovalDecision>, Failure> {
    let found = answers::to_last_question(context.ledger(), deployment).await?.map(|found| found.record);
    Ok(found.filter(ApprovalDecision::is_decided))
}

/// Records the answer of an approver, while the deployment still is as the answer was judged. Wakes the execution that waits
/// if the answers decide.
pub async fn decide(
    context: &impl LedgerContext,
    id: &DeploymentId,
    answer: &ApprovalAnswer<'_>,
    now: Timestamp,
) -> Result<Applied, Failure> {
    let stored = load::deployment(context, id).await?;
    let (stages, people) = (stages(context.ledger()).await?, people(context.ledger()).await?);
    let rule = build_permission::rule_of_question(&stages, &stored.record)?;
    let jury = Jury::new(&rule, &people, &stored.record);
    let given = answers::to_last_question(context.ledger(), &stored.record).await?;
    let before = given.as_ref().map(|given| &given.record);
    let (number, decided) = approval::decide(&stored.record, before, answer, &jury, now)?;
    let changed = match decided {
        Decided::Now(decided) => {
            record(context, &stored, given.as_ref(), decided.as_ref()).await?;
            true
        }
        Decided::Waits(answered, waits) => {
            record(context, &stored, given.as_ref(), answered.as_ref()).await?;
            tracing::info!(deployment = %id, question = number, "{waits}");
            return Ok(Applied { version: number, changed: true });
        }
        Decided::Before => false,
    };
    context.callbacks().wake(&approval::operation(id, number)).await?;
    Ok(Applied { version: number, changed })
}

/// Writes the answers to a question in place of `before`, while the deployment is `asked`.
async fn record(
    context: &impl LedgerContext,
    asked: &Versioned<Deployment>,
    before: Option<&Versioned<ApprovalDecision>>,
    answered: &ApprovalDecision,
) -> Result<(), Failure> {
    let write = match before {
        Some(before) => Write::replace(before, answered)?,
        None => Write::insert(answered)?,
    };
    context.ledger().transact(vec![write, Write::unchanged(asked)]).await
}
