//! Start of a deployment: acquires the environment and writes the deployment in one transaction.

use crate::context::LedgerContext;
use crate::{images, load, ownership, start as started, turn};
use jiff::Timestamp;
use lockstep_aws::ledger::Write;
use lockstep_domain::delivery::parameters::Layer;
use lockstep_domain::delivery::stages::{Stage, Stages};
use lockstep_domain::delivery::{environment, freshness, gate, queue, start, test_turn as turns};
use lockstep_domain::messages::{inputs, ledger::Started};
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::model::person::Starter;
use lockstep_domain::records::{
    DeployBody, Deployment, DeploymentStart, Environment, QueuedDeployment, Record as _, Release,
    ReleaseState, StackRun, TestTurn,
};
use lockstep_runtime::releases;
use lockstep_runtime::stages::stages;

/// Acquires the environment for `execution`, or finds that it already did.
///
/// If images are missing, names them and acquires nothing, so that no environment is held while they are
/// copied. If the environment is busy, queues the deployment.
pub async fn begin(
    context: &impl LedgerContext,
    execution: &str,
    path: DeploymentPath,
    input: &inputs::Deploy,
    now: Timestamp,
) -> Result<Started, Failure> {
    let id = DeploymentId::of_execution(execution);
    load::ensure_on(path, &id)?;
    let release = releases::release(context.ledger(), &input.component, &input.version).await?.record;
    let begun = Started::new(id.clone(), !release.image_lock.0.is_empty());
    if is_begun(context, &id).await? {
        return Ok(begun);
    }
    let stages = stages(context.ledger()).await?;
    let stage = gate::stage(&stages, &input.stage)?;
    gate::check_path(&release, stage, path)?;
    gate::check_release(&release, stage)?;
    gate::check_deviations(input, stage)?;
    // A published release stays deployable after its name moved to another repository.
    let owner = match release.state {
        ReleaseState::Published => None,
        ReleaseState::Packaged | ReleaseState::TestFailed => {
            Some(ownership::of_draft(context, &release, execution, now).await?)
        }
    };
    let proof = load::proof(context, &release, &stages, stage).await?;
    let evidence = proof.evidence.as_ref();
    let permission =
        gate::check_evidence(&release, &stages, stage, evidence, proof.permission(), now)?.cloned();
    let mut body = body(input, &release, &stages, stage)?;
    body.follows = freshness::of_execution(execution, input)?;
    // A plan copies no images. The check of the images reports a missing one.
    if !input.plan_only {
        let missing = images::missing(context, execution, &release, stage).await?;
        if !missing.is_empty() {
            return Ok(Started { missing, ..begun });
        }
    }
    body.break_glass = permission;
    let mut with = Vec::new();
    if release.serial_tests && stage.is_test() && !input.plan_only {
        with.extend(test_turn(context, &body.stack, stage).await?);
    }
    // A plan does not enter the stage, so it claims no name and does not use up the break-glass.
    if !input.plan_only {
        with.extend(owner);
    }
    if let (Some(glass), Some(used), false) = (&proof.glass, &mut body.break_glass, input.plan_only) {
        used.used_by = Some(id.clone());
        with.push(Write::replace(glass, used)?);
    }
    let start = DeploymentStart {
        id,
        execution: execution.to_owned(),
        version: input.version.clone(),
        stage: stage.name.clone(),
        location: stage.location(),
        path,
        at: now,
    };
    let starter = starter(context, &start, input, &release, &body).await?;
    let deployment = Deployment { starter, ..Deployment::new(start, body) };
    let pushed = gate::is_pushed(execution, input, &release, stage).then_some(release.packaged_at);
    let entry = queue::entry(&deployment, pushed, now);
    let asks = QueuedDeployment { in_order: pushed.is_some() && !stage.superseding, ..entry };
    let queued = !turn::take(context, &deployment, asks, with, now).await?;
    Ok(Started { queued, ..begun })
}

/// Returns the identity that started the deployment `start` with `input`.
async fn starter(
    context: &impl LedgerContext,
    start: &DeploymentStart,
    input: &inputs::Deploy,
    release: &Release,
    body: &DeployBody,
) -> Result<Starter, Failure> {
    if let Some(follows) = &body.follows {
        return Ok(Starter::Deployment(follows.producer.clone()));
    }
    let known = started::known(context, &start.id).await?;
    let of_caller = start::of_deploy(known.as_ref(), input);
    Ok(of_caller.unwrap_or_else(|| gate::starter(&start.execution, input, release)))
}

/// Returns the write that gives the component's test turn to the environment of `run`, or `None` if it has the turn. Fails
/// with `TestBusy` while the test stack of another one exists.
async fn test_turn(
    context: &impl LedgerContext,
    run: &StackRun,
    stage: &Stage,
) -> Result<Option<Write>, Failure> {
    let ledger = context.ledger();
    let wanted = TestTurn { component: run.component.clone(), environment: run.environment.clone() };
    let Some(found) = ledger.get::<TestTurn>(&wanted.key()).await? else {
        return Write::insert(&wanted).map(Some);
    };
    let key = Environment::key_of(&stage.name, &found.record.environment);
    let holder = ledger.get::<Environment>(&key).await?.map(|found| found.record);
    turns::ensure_free(Some(&found.record), holder.as_ref(), &wanted.environment)?;
    if found.record == wanted { Ok(None) } else { Write::replace(&found, &wanted).map(Some) }
}

/// Returns true if the deployment has begun before. Fails with `Superseded` if it has ended, and with its own failure if it
/// ended before it began.
pub async fn is_begun(context: &impl LedgerContext, id: &DeploymentId) -> Result<bool, Failure> {
    let known = context.ledger().get::<Deployment>(&Deployment::key_of(id)).await?;
    if let Some(known) = &known {
        queue::never_began(&known.record).map_or(Ok(()), Err)?;
        ensure_open(&known.record)?;
    }
    Ok(known.is_some())
}

/// Fails with `Superseded` if the deployment has ended.
pub fn ensure_open(deployment: &Deployment) -> Result<(), Failure> {
    if !deployment.state.is_final() {
        return Ok(());
    }
    let message = format!("deployment {} is closed already", deployment.id);
    Err(Failure::new(FailureKind::Superseded, message))
}

/// Returns the deployment of `release` that `input` asks for.
pub fn body(
    input: &inputs::Deploy,
    release: &Release,
    stages: &Stages,
    stage: &Stage,
) -> Result<DeployBody, Failure> {
    Layer::overrides(&input.overrides).map_err(load::refused)?;
    let environment = environment::name(&input.component, input.environment.as_deref())?;
    let stack = environment::stack_name(&stage.name, &environment)?;
    let run = StackRun::new(input.component.clone(), environment, stack);
    let template =
        if *stage == *stages.test() { &release.test_template_digest } else { &release.template_digest };
    Ok(DeployBody {
        overrides: input.overrides.clone(),
        plan_only: input.plan_only,
        revert_drift: input.revert_drift,
        parameters_of: gate::parameters_of(stages, input)?,
        pusher: release.pusher.clone(),
        ..DeployBody::new(run, release.digest.clone(), template.clone(), release.repository.clone())
    })
}
