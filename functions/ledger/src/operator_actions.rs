//! Actions of operators and of the sweep on a deployment or an environment, other than answers to questions.

use crate::context::LedgerContext;
use crate::{follow, load, turn};
use jiff::Timestamp;
use lockstep_aws::ledger::{Versioned, Write};
use lockstep_domain::delivery::operator_actions;
use lockstep_domain::delivery::{environment, gate, sweep};
use lockstep_domain::messages::ledger::Freed;
use lockstep_domain::messages::operator::Applied;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::{ComponentName, DeploymentId, StageName};
use lockstep_domain::model::operator_action::OperatorAction;
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{BreakGlass, Environment, Record};
use lockstep_runtime::stages::stages;
use lockstep_runtime::{deployment_end, deployment_log, lease, releases};

/// The value in the log that triggers an alarm of the control plane: see `BreakGlass` in
/// `infra/control-plane/template.yaml`.
const BREAK_GLASS: &str = "break_glass";

/// The reason that a deployment gets when the sweep finds that its execution has ended.
const SWEPT: &str = "the sweep freed its environment";

/// Asks a running deployment to stop, and wakes it so that it reads the request at once.
pub async fn cancel(
    context: &impl LedgerContext,
    id: &DeploymentId,
    action: &OperatorAction,
) -> Result<Applied, Failure> {
    let stored = load::deployment(context, id).await?;
    let found = match stored.record.stack() {
        Some(_) => load::environment(context, &stored.record).await?,
        None => None,
    };
    let cancelled =
        operator_actions::cancel(&stored.record, found.as_ref().map(|found| &found.record), action)?;
    let applied = replace(context, &stored, cancelled.deployment).await?;
    if let Some(operation) = cancelled.wake {
        context.callbacks().wake(&operation).await?;
    }
    Ok(applied)
}

/// Releases an environment whose holder's execution has ended.
pub async fn unlock(
    context: &impl LedgerContext,
    stage: &StageName,
    name: &str,
    action: &OperatorAction,
) -> Result<Applied, Failure> {
    let held = existing(context, stage, name).await?;
    let after = format!("{} freed its environment", action.by);
    Ok(match release(context, &held, &after, action.at).await? {
        Some(_) => written(held.rev() + 1),
        None => unchanged(held.rev()),
    })
}

/// Releases an environment whose holder's execution has ended, and tidies its queue, as the sweep proposes. The executions
/// are asked again here. A stale environment is deployed again, if no deployment started that when it ended.
pub async fn free(
    context: &impl LedgerContext,
    stage: &StageName,
    name: &str,
    now: Timestamp,
) -> Result<Freed, Failure> {
    let held = existing(context, stage, name).await?;
    let deployment = release(context, &held, SWEPT, now).await?;
    follow::look(context, stage, name).await?;
    Ok(Freed { deployment })
}

/// Releases an environment from a holder whose execution has ended, and tidies its queue. Returns the deployment that held
/// it, `None` if none did.
async fn release(
    context: &impl LedgerContext,
    held: &Versioned<Environment>,
    after: &str,
    now: Timestamp,
) -> Result<Option<DeploymentId>, Failure> {
    let released = lease::release(context.ledger(), context.executions(), held, after, now).await?;
    let Environment { stage, name, .. } = &held.record;
    turn::tidy(context, &existing(context, stage, name).await?).await?;
    Ok(released)
}

/// Closes a deployment that waits for an answer, once its execution certainly has ended. The sweep proposes it.
pub async fn close_unanswered(
    context: &impl LedgerContext,
    id: &DeploymentId,
    now: Timestamp,
) -> Result<Freed, Failure> {
    let stored = load::deployment(context, id).await?;
    let execution = &stored.record.execution;
    lease::ensure_ended(context.executions(), execution, || {
        format!("{execution} may still run: {id} is not closed")
    })
    .await?;
    let Some(closed) = sweep::close_unanswered(&stored.record, now) else {
        return Ok(Freed { deployment: None });
    };
    let written = context.ledger().replace(&stored, closed).await?;
    deployment_end::report(&written.record, now);
    Ok(Freed { deployment: Some(id.clone()) })
}

/// Removes the taint of an environment that an operator repaired.
pub async fn reconcile(
    context: &impl LedgerContext,
    stage: &StageName,
    name: &str,
    action: &OperatorAction,
) -> Result<Applied, Failure> {
    let stored = existing(context, stage, name).await?;
    let Some((clean, note)) = operator_actions::reconcile(&stored.record, action)? else {
        return Ok(unchanged(stored.rev()));
    };
    let mut writes = vec![Write::replace(&stored, &clean)?];
    if let Some(last) = &clean.last_deployment {
        writes.push(Write::insert(&deployment_log::next(context.ledger(), last, note, action.at).await?)?);
    }
    context.ledger().transact(writes).await?;
    Ok(written(stored.rev() + 1))
}

/// Keeps the releases of pushes waiting for an environment.
pub async fn hold(
    context: &impl LedgerContext,
    stage: &StageName,
    name: &str,
    action: &OperatorAction,
) -> Result<Applied, Failure> {
    let stored = existing(context, stage, name).await?;
    replace(context, &stored, operator_actions::hold(&stored.record, action)).await
}

/// Ends the hold of an environment, and wakes the deployment whose turn it is. A repeated request wakes it again. A stale
/// environment that nothing waits for is deployed again.
pub async fn resume(context: &impl LedgerContext, stage: &StageName, name: &str) -> Result<Applied, Failure> {
    let stored = existing(context, stage, name).await?;
    let applied = replace(context, &stored, operator_actions::resume(&stored.record)).await?;
    turn::wake_due(context, &existing(context, stage, name).await?.record).await?;
    follow::look(context, stage, name).await?;
    Ok(applied)
}

/// Admits a release to a stage without the evidence of the stage before: once, within an hour, and with an
/// alarm.
pub async fn break_glass(
    context: &impl LedgerContext,
    component: &ComponentName,
    version: &Version,
    stage: &StageName,
    action: &OperatorAction,
) -> Result<Applied, Failure> {
    let stages = stages(context.ledger()).await?;
    let stage = gate::stage(&stages, stage)?;
    let release = releases::release(context.ledger(), component, version).await?.record;
    let proof = load::proof(context, &release, &stages, stage).await?;
    let evidence = proof.evidence.as_ref();
    let Some(permission) = gate::break_glass(&release, &stages, stage, evidence, proof.permission(), action)?
    else {
        return Ok(unchanged(proof.glass.map_or(0, |glass| glass.rev())));
    };
    let rev = write(context, proof.glass, &permission).await?;
    tracing::warn!(
        alarm = BREAK_GLASS, by = action.by, reason = action.reason, %component, %version, stage = %stage.name,
        "break-glass: a release may enter a stage without evidence"
    );
    Ok(written(rev))
}

async fn write(
    context: &impl LedgerContext,
    known: Option<Versioned<BreakGlass>>,
    permission: &BreakGlass,
) -> Result<u64, Failure> {
    match known {
        Some(known) => Ok(context.ledger().replace(&known, permission.clone()).await?.rev()),
        None => context.ledger().transact(vec![Write::insert(permission)?]).await.map(|()| 1),
    }
}

async fn existing(
    context: &impl LedgerContext,
    stage: &StageName,
    name: &str,
) -> Result<Versioned<Environment>, Failure> {
    let found = context.ledger().get(&Environment::key_of(stage, name)).await?;
    found.ok_or_else(|| environment::environment_not_found(stage, name))
}

/// Writes the record as `changed`, unless that is `None`.
async fn replace<T: Record>(
    context: &impl LedgerContext,
    stored: &Versioned<T>,
    changed: Option<T>,
) -> Result<Applied, Failure> {
    match changed {
        Some(changed) => Ok(written(context.ledger().replace(stored, changed).await?.rev())),
        None => Ok(unchanged(stored.rev())),
    }
}

fn written(rev: u64) -> Applied {
    Applied { version: u32::try_from(rev).unwrap_or(u32::MAX), changed: true }
}

fn unchanged(rev: u64) -> Applied {
    Applied { changed: false, ..written(rev) }
}
