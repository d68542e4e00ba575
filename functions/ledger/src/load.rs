//! What decisions are made from.

use crate::App;
use lockstep_domain::error::{Failure, Problem};
use lockstep_domain::ids::{ComponentName, DeploymentId};
use lockstep_domain::records::{BreakGlass, Config, ConfigKind, Deployment, Environment, Evidence, Release};
use lockstep_domain::stages::{Stage, Stages};
use lockstep_domain::version::Version;
use lockstep_platform::ledger::{Order, Versioned};

/// The newest version of a part of the configuration.
pub async fn config(app: &App, kind: ConfigKind) -> Result<Option<Config>, Failure> {
    let (pk, prefix) = kind.prefix();
    let newest = app.ledger.list::<Config>(pk, prefix, Order::Newest, 1).await?;
    Ok(newest.into_iter().next().map(|config| config.record))
}

/// The organisation's stages.
pub async fn stages(app: &App) -> Result<Stages, Failure> {
    let Some(config) = config(app, ConfigKind::Stages).await? else {
        return Err(Failure::rejected(
            "there are no stages yet; write some with `lockstep stages apply stages.toml`",
        ));
    };
    Stages::parse("stages.toml", &config.text).map_err(refused)
}

/// A release, or `NotFound`.
pub async fn release(
    app: &App,
    component: &ComponentName,
    version: &Version,
) -> Result<Versioned<Release>, Failure> {
    let what = format!("release {component} {version}");
    app.ledger.expect(&Release::key_of(component, version), &what).await
}

/// A deployment, or `NotFound`.
pub async fn deployment(app: &App, id: &DeploymentId) -> Result<Versioned<Deployment>, Failure> {
    app.ledger.expect(&Deployment::key_of(id), &format!("deployment {id}")).await
}

/// The environment that a deployment is about.
pub async fn environment(
    app: &App,
    deployment: &Deployment,
) -> Result<Option<Versioned<Environment>>, Failure> {
    let (name, _) = lockstep_domain::environment::parts(deployment)?;
    app.ledger.get(&Environment::key_of(&deployment.stage, name)).await
}

/// The evidence that opens `stage` for a release, if the ledger has it; the lowest stage needs none.
pub async fn evidence_before(
    app: &App,
    release: &Release,
    stages: &Stages,
    stage: &Stage,
) -> Result<Option<Evidence>, Failure> {
    let Some(before) = stages.before(&stage.name) else { return Ok(None) };
    let key = Evidence::key_of(&release.component, &release.digest, &before.name);
    Ok(app.ledger.get::<Evidence>(&key).await?.map(|evidence| evidence.record))
}

/// What stands in for that evidence, if somebody broke the glass.
pub async fn break_glass(
    app: &App,
    release: &Release,
    stage: &Stage,
) -> Result<Option<Versioned<BreakGlass>>, Failure> {
    app.ledger.get(&BreakGlass::key_of(&release.component, &release.digest, &stage.name)).await
}

/// Every problem of a file, one a line.
pub fn refused(problems: Vec<Problem>) -> Failure {
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    Failure::rejected(lines.join("\n"))
}
