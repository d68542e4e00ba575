//! The records that decisions are made from.

use crate::context::LedgerContext;
use lockstep_aws::ledger::Versioned;
use lockstep_aws::scope;
use lockstep_domain::delivery::environment;
use lockstep_domain::delivery::stages::{Stage, Stages};
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::{Failure, Problem};
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::records::{BreakGlass, Deployment, Environment, Evidence, Release};
use lockstep_runtime::charters;

/// Returns the deployment as it was begun, or fails with `NotFound`.
///
/// # Errors
/// `Rejected` if a fact of the deployment differs from its charter. The functions of a path write the deployment.
pub async fn deployment(
    context: &impl LedgerContext,
    id: &DeploymentId,
) -> Result<Versioned<Deployment>, Failure> {
    let found = reported(context, id).await?;
    charters::ensure_as_begun(context.ledger(), &found.record).await?;
    Ok(found)
}

/// Returns the deployment as the functions of its path report it, or fails with `NotFound`.
pub async fn reported(
    context: &impl LedgerContext,
    id: &DeploymentId,
) -> Result<Versioned<Deployment>, Failure> {
    let found =
        context.ledger().expect::<Deployment>(&Deployment::key_of(id), &format!("deployment {id}")).await?;
    scope::about(&found.record);
    Ok(found)
}

/// Fails with `Rejected` if the deployment belongs to the other path. Its id says the path.
///
/// The state machines of one path must not begin, end, or ask about, a deployment of the other.
pub fn ensure_on(path: DeploymentPath, id: &DeploymentId) -> Result<(), Failure> {
    if id.path() == path {
        return Ok(());
    }
    let (its, ours) = (id.path().as_str(), path.as_str());
    Err(Failure::rejected(format!(
        "deployment {id} is on the {its} path, so no state machine of the {ours} path may change it"
    )))
}

/// Returns the deployment as it was begun, or fails with `Rejected` if it belongs to the other path.
pub async fn deployment_on(
    context: &impl LedgerContext,
    path: DeploymentPath,
    id: &DeploymentId,
) -> Result<Versioned<Deployment>, Failure> {
    ensure_on(path, id)?;
    deployment(context, id).await
}

/// Returns the environment of the deployment, or `None` if it does not exist.
pub async fn environment(
    context: &impl LedgerContext,
    deployment: &Deployment,
) -> Result<Option<Versioned<Environment>>, Failure> {
    let run = environment::stack(deployment)?;
    context.ledger().get(&Environment::key_of(&deployment.stage, &run.environment)).await
}

/// Returns the environment that the deployment holds.
///
/// # Errors
/// As [`environment::still_holds`].
pub async fn held_environment(
    context: &impl LedgerContext,
    deployment: &Deployment,
) -> Result<Versioned<Environment>, Failure> {
    let found = self::environment(context, deployment).await?;
    environment::still_holds(found.as_ref().map(|found| &found.record), deployment)?;
    found.ok_or_else(|| Failure::bug("a held environment does not exist"))
}

/// The records that may open the gate of a stage for a release.
#[derive(Default)]
pub struct Proof {
    /// Evidence that the release passed the stage before.
    pub evidence: Option<Evidence>,
    /// The break-glass that stands in for missing evidence. Read only if there is no evidence.
    pub glass: Option<Versioned<BreakGlass>>,
}

impl Proof {
    /// Returns the break-glass without its revision.
    pub fn permission(&self) -> Option<&BreakGlass> {
        self.glass.as_ref().map(|glass| &glass.record)
    }
}

/// Returns the records that may open `stage` for a release. The lowest stage needs none.
pub async fn proof(
    context: &impl LedgerContext,
    release: &Release,
    stages: &Stages,
    stage: &Stage,
) -> Result<Proof, Failure> {
    let Some(before) = stages.before(&stage.name) else { return Ok(Proof::default()) };
    let (component, digest) = (&release.component, &release.digest);
    if let Some(found) = context.ledger().get(&Evidence::key_of(component, digest, &before.name)).await? {
        return Ok(Proof { evidence: Some(found.record), glass: None });
    }
    let glass = context.ledger().get(&BreakGlass::key_of(component, digest, &stage.name)).await?;
    Ok(Proof { evidence: None, glass })
}

/// Returns the failure that lists every problem of a file, one a line.
pub fn refused(problems: Vec<Problem>) -> Failure {
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    Failure::rejected(lines.join("\n"))
}
