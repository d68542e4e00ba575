//! Start of a teardown: acquires an environment to delete its stack.

use crate::context::LedgerContext;
use crate::{begin, load, start as started, turn};
use jiff::Timestamp;
use lockstep_domain::delivery::{environment, gate, queue, start};
use lockstep_domain::messages::{inputs, ledger::Started};
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::{DeploymentId, Digest};
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{Deployment, DeploymentStart, Environment, StackRun, TeardownBody};
use lockstep_runtime::stages::stages;

/// Acquires the environment for `execution`, or finds that it already did. If the environment is busy, queues the teardown.
pub async fn begin(
    context: &impl LedgerContext,
    execution: &str,
    path: DeploymentPath,
    input: &inputs::Teardown,
    now: Timestamp,
) -> Result<Started, Failure> {
    let id = DeploymentId::of_execution(execution);
    load::ensure_on(path, &id)?;
    let begun = Started::new(id.clone(), false);
    if begin::is_begun(context, &id).await? {
        return Ok(begun);
    }
    let stages = stages(context.ledger()).await?;
    let stage = gate::stage(&stages, &input.stage)?;
    gate::check_teardown_path(stage, path)?;
    let name = environment::name(&input.component, input.environment.as_deref())?;
    let found = context.ledger().get::<Environment>(&Environment::key_of(&stage.name, &name)).await?;
    let found = found.ok_or_else(|| environment::environment_not_found(&stage.name, &name))?.record;
    let (version, digest) = runs(context, &found).await?;
    let stack = environment::stack_name(&stage.name, &name)?;
    let body = TeardownBody { stack: StackRun::new(input.component.clone(), name, stack), digest };
    let start = DeploymentStart {
        id,
        execution: execution.to_owned(),
        version,
        stage: stage.name.clone(),
        location: stage.location(),
        path,
        at: now,
    };
    let known = started::known(context, &start.id).await?;
    let starter = start::of_teardown(known.as_ref(), input);
    let teardown = Deployment { starter, ..Deployment::new(start, body) };
    let asks = queue::entry(&teardown, None, now);
    let queued = !turn::take(context, &teardown, asks, Vec::new(), now).await?;
    Ok(Started { queued, ..begun })
}

/// Returns the version and digest that the teardown removes: the deployed ones, or the version of the last
/// deployment.
async fn runs(
    context: &impl LedgerContext,
    environment: &Environment,
) -> Result<(Version, Option<Digest>), Failure> {
    if let Some(deployed) = &environment.deployed {
        return Ok((deployed.version.clone(), Some(deployed.digest.clone())));
    }
    let last = environment.last_deployment.as_ref();
    let last = last.ok_or_else(|| {
        Failure::bug(format!("environment {} was never deployed to, and yet is there", environment.name))
    })?;
    Ok((load::deployment(context, last).await?.record.version, None))
}
