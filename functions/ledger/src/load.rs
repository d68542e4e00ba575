//! The records that decisions are made from.

use crate::context::LedgerContext;
use lockstep_aws::ledger::Versioned;
use lockstep_aws::scope;
use lockstep_domain::delivery::environment;
use lockstep_domain::delivery::stages::{Stage, Stages};
use lockstep_domain::model::error::{Failure, Problem};
use lockstep_domain::model::ids::{ComponentName, DeploymentId};
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{BreakGlass, Deployment, Environment, Evidence, Release};

/// Returns the release, or fails with `NotFound`.
pub async fn release(
    context: &impl LedgerContext,
    component: &ComponentName,
    version: &Version,
) -> Result<Versioned<Release>, Failure> {
    let what = format!("release {component} {version}");
    context.ledger().expect(&Release::key_of(component, version), &what).await
}

/// Returns the deployment, or fails with `NotFound`.
pub async fn deployment(
    context: &impl LedgerContext,
    id: &DeploymentId,
) -> Result<Versioned<Deployment>, Failure> {
    let found =
        context.ledger().expect::<Deployment>(&Deployment::key_of(id), &format!("deployment {id}")).await?;
    scope::about(&found.record);
    Ok(found)
}

/// Returns the environment of the deployment, or `None` if it does not exist.
pub async fn environment(
    context: &impl LedgerContext,
    deployment: &Deployment,
) -> Result<Option<Versioned<Environment>>, Failure> {
    let run = environment::stack(deployment)?;
    context.ledger().get(&Environment::key_of(&deployment.stage, &run.environment)).await
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
