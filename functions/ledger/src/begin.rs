//! A deployment begins: its environment is taken, and it is written down, in one transaction.

use crate::{App, load};
use jiff::Timestamp;
use lockstep_domain::error::{Failure, FailureKind};
use lockstep_domain::ids::DeploymentId;
use lockstep_domain::parameters::Layer;
use lockstep_domain::payloads::{inputs, ledger::Begun};
use lockstep_domain::records::{Deployment, DeploymentKind, Environment, Location, Release};
use lockstep_domain::stages::{Path, Stage, Stages};
use lockstep_domain::{environment, gate};
use lockstep_platform::ledger::{Versioned, Write};

/// Takes the environment for `execution`, or finds that it did.
pub async fn begin(
    app: &App,
    execution: &str,
    path: Path,
    input: &inputs::Deploy,
    now: Timestamp,
) -> Result<Begun, Failure> {
    let id = DeploymentId::of_execution(execution);
    let release = load::release(app, &input.component, &input.version).await?.record;
    if let Some(known) = app.ledger.get::<Deployment>(&Deployment::key_of(&id)).await? {
        return begun_before(&known.record, &release);
    }
    let stages = load::stages(app).await?;
    let stage = gate::stage(&stages, &input.stage)?;
    gate::check_path(&release, stage, path)?;
    gate::check_release(&release, stage)?;
    let evidence = load::evidence_before(app, &release, &stages, stage).await?;
    gate::check_evidence(&release, &stages, stage, evidence.as_ref())?;
    let wanted = wanted(id, execution, path, input, &release, &stages, stage, now)?;
    take(app, &wanted, None, now).await?;
    Ok(begun(&wanted, &release))
}

fn begun(deployment: &Deployment, release: &Release) -> Begun {
    Begun { deployment: deployment.id.clone(), images: !release.image_lock.0.is_empty() }
}

fn begun_before(known: &Deployment, release: &Release) -> Result<Begun, Failure> {
    if known.state.is_final() {
        return Err(Failure::new(
            FailureKind::Superseded,
            format!("deployment {} is closed already", known.id),
        ));
    }
    Ok(begun(known, release))
}

#[expect(clippy::too_many_arguments, reason = "a deployment is made of all of them, here and nowhere else")]
fn wanted(
    id: DeploymentId,
    execution: &str,
    path: Path,
    input: &inputs::Deploy,
    release: &Release,
    stages: &Stages,
    stage: &Stage,
    now: Timestamp,
) -> Result<Deployment, Failure> {
    Layer::overrides(&input.overrides).map_err(load::refused)?;
    let environment = environment::name(&input.component, input.environment.as_deref())?;
    let stack = environment::stack_name(&stage.name, &environment)?;
    let template =
        if *stage == *stages.test() { &release.test_template_digest } else { &release.template_digest };
    Ok(Deployment {
        component: Some(input.component.clone()),
        digest: Some(release.digest.clone()),
        overrides: input.overrides.clone(),
        template_digest: Some(template.clone()),
        repository: Some(release.repository.clone()),
        ..Deployment::new(
            id,
            DeploymentKind::Deploy { environment, stack },
            execution,
            input.version.clone(),
            stage.name.clone(),
            Location { account: stage.account.clone(), region: stage.region.clone() },
            path,
            now,
        )
    })
}

/// Takes the environment for `wanted`, which is `stored` unless it is new. `EnvironmentBusy` if another deployment holds
/// it and may still run; one that certainly does not is closed as abandoned by the same transaction.
pub async fn take(
    app: &App,
    wanted: &Deployment,
    stored: Option<&Versioned<Deployment>>,
    now: Timestamp,
) -> Result<(), Failure> {
    let found = load::environment(app, wanted).await?;
    if wanted.path == Path::Promotion {
        gate::check_taint(found.as_ref().map(|found| &found.record))?;
    }
    let mut writes = Vec::new();
    let mut before = found.as_ref().map(|found| found.record.clone());
    if let Some(dead) = dead_rival(app, before.as_ref(), wanted).await? {
        before = before.map(|before| environment::after(&before, &dead.record, now));
        if let Some(abandoned) = environment::abandon(&dead.record, now) {
            writes.push(Write::replace(&dead, &abandoned)?);
        }
    }
    let taken = environment::take(before.as_ref(), wanted, now)?;
    writes.push(match &found {
        Some(found) => Write::replace(found, &taken.environment)?,
        None => Write::insert(&taken.environment)?,
    });
    writes.push(match stored {
        Some(stored) => Write::replace(stored, &taken.deployment)?,
        None => Write::insert(&taken.deployment)?,
    });
    app.ledger.transact(writes).await
}

/// The deployment that holds the environment though its execution has ended; nothing if the environment is free.
async fn dead_rival(
    app: &App,
    environment: Option<&Environment>,
    wanted: &Deployment,
) -> Result<Option<Versioned<Deployment>>, Failure> {
    let Some(rival) = environment::rival(environment, wanted) else { return Ok(None) };
    environment::contend(rival, app.executions.is_running(&rival.execution).await)?;
    tracing::warn!(deployment = %rival.deployment, execution = rival.execution, "taking over from an ended execution");
    load::deployment(app, &rival.deployment).await.map(Some)
}
