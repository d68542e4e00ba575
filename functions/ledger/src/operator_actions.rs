//! Actions of operators and of the sweep on a deployment or an environment, other than answers to questions.

use crate::context::LedgerContext;
use crate::{begin, follow, load, start as started, turn};
use jiff::Timestamp;
use lockstep_aws::ledger::{Versioned, Write};
use lockstep_domain::delivery::operator_actions;
use lockstep_domain::delivery::{environment, gate, queue, start, sweep};
use lockstep_domain::messages::inputs;
use lockstep_domain::messages::ledger::Freed;
use lockstep_domain::messages::operator::{Applied, WaitsFor};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{ComponentName, DeploymentId, StageName};
use lockstep_domain::model::operator_action::OperatorAction;
use lockstep_domain::model::person::Starter;
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{
    BreakGlass, Deployment, DeploymentBody, DeploymentStart, Environment, QueuedDeployment, Record, StackRun,
    TeardownBody,
};
use lockstep_runtime::stages::stages;
use lockstep_runtime::{deployment_end, deployment_log, lease, releases};

/// The value in the log that triggers an alarm of the control plane: see `BreakGlass` in
/// `infra/control-plane/template.yaml`.
const BREAK_GLASS: &str = "break_glass";

/// The reason that a deployment gets when the sweep finds that its execution has ended.
const SWEPT: &str = "the sweep freed its environment";

/// Asks a running deployment to stop, and wakes it so that it reads the request at once. A deployment that has not begun
/// leaves the queue of the environment that it `waits_for`.
pub async fn cancel(
    context: &impl LedgerContext,
    (id, waits_for): (&DeploymentId, Option<&WaitsFor>),
    action: &OperatorAction,
) -> Result<Applied, Failure> {
    let known = context.ledger().get::<Deployment>(&Deployment::key_of(id)).await?;
    match (&known, waits_for) {
        (None, Some(place)) => return cancel_queued(context, id, place, action).await,
        // It never began, so it has no charter.
        (Some(known), _) if known.record.epoch == 0 && known.record.state.is_final() => {
            return Err(Failure::new(FailureKind::Conflict, format!("deployment {id} is closed already")));
        }
        _ => {}
    }
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

/// Takes a deployment that has not begun out of the queue, closes it as cancelled in the same transaction, and wakes it so
/// that its execution ends at once.
async fn cancel_queued(
    context: &impl LedgerContext,
    id: &DeploymentId,
    place: &WaitsFor,
    action: &OperatorAction,
) -> Result<Applied, Failure> {
    let found = existing(context, &place.stage, &place.environment).await?;
    let queued = queue::find(&found.record, id).ok_or_else(|| {
        Failure::not_found(format!(
            "deployment {id} does not wait for {} in {}; it may have begun just now: run the command again",
            place.environment, place.stage
        ))
    })?;
    let closed = queue::cancel(&as_begun(context, &found.record, queued).await?, action);
    let left = queue::without(&found.record, queued);
    context.ledger().transact(vec![Write::replace(&found, &left)?, Write::insert(&closed)?]).await?;
    deployment_end::report(&closed, action.at);
    context.callbacks().wake(&queue::operation(queued)).await?;
    follow::settle(context, &left).await?;
    Ok(written(found.rev() + 1))
}

/// Returns a queued deployment as it would begin.
async fn as_begun(
    context: &impl LedgerContext,
    environment: &Environment,
    queued: &QueuedDeployment,
) -> Result<Deployment, Failure> {
    let stages = stages(context.ledger()).await?;
    let stage = gate::stage(&stages, &environment.stage)?;
    let known = started::known(context, &queued.deployment).await?;
    let component = &environment.component;
    let (body, starter): (DeploymentBody, Starter) = if queued.teardown {
        let stack = environment::stack_name(&stage.name, &environment.name)?;
        let stack = StackRun::new(component.clone(), environment.name.clone(), stack);
        (TeardownBody { stack, digest: None }.into(), Starter::Unknown)
    } else {
        let release = releases::release(context.ledger(), component, &queued.version).await?.record;
        let plain = || inputs::Deploy {
            environment: (environment.name != component.as_str()).then(|| environment.name.clone()),
            ..inputs::Deploy::new(component.clone(), queued.version.clone(), stage.name.clone())
        };
        let input = known.as_ref().and_then(start::asked).unwrap_or_else(plain);
        let body = begin::body(&input, &release, &stages, stage)?;
        (body.into(), gate::starter(&queued.execution, &input, &release))
    };
    let start = DeploymentStart {
        id: queued.deployment.clone(),
        execution: queued.execution.clone(),
        version: queued.version.clone(),
        stage: stage.name.clone(),
        location: stage.location(),
        path: queued.deployment.path(),
        at: queued.since,
    };
    let starter = known.map_or(starter, |known| Starter::Caller(known.by));
    Ok(Deployment { starter, ..Deployment::new(start, body) })
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
    Ok(Freed { deployment: release(context, &held, SWEPT, now).await? })
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
    follow::settle(context, &existing(context, stage, name).await?.record).await?;
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
