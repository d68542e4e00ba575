//! Taking over from an execution that has ended.
//!
//! One rule: **only a known end frees.** The caller takes an environment, a version of an image, a build, a copy or a
//! slot from an execution if Step Functions reports its end. An execution that runs, that is not found, or whose status
//! cannot be read keeps its holdings: the caller gets `EnvironmentBusy`, and its state machine tries again.

use crate::{charters, deployment_end};
use jiff::Timestamp;
use lockstep_aws::executions::Executions;
use lockstep_aws::ledger::{Ledger, Versioned, Write};
use lockstep_domain::delivery::environment;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::records::{Deployment, Environment, LeaseHolder};

/// Confirms that `execution`, which holds what the caller wants, certainly has ended.
///
/// # Errors
/// `EnvironmentBusy` with the sentence `busy` if it runs or may run.
pub async fn ensure_ended(
    executions: &Executions,
    execution: &str,
    busy: impl FnOnce() -> String,
) -> Result<(), Failure> {
    match has_ended(executions, execution).await {
        true => Ok(()),
        false => Err(Failure::new(FailureKind::EnvironmentBusy, busy())),
    }
}

/// Returns true if an execution certainly has ended.
pub async fn has_ended(executions: &Executions, execution: &str) -> bool {
    executions.is_running(execution).await == Some(false)
}

/// Returns the deployment of `holder`, whose execution certainly has ended.
///
/// # Errors
/// `EnvironmentBusy` if it runs or may run.
pub async fn ended_holder(
    ledger: &Ledger,
    executions: &Executions,
    holder: &LeaseHolder,
) -> Result<Versioned<Deployment>, Failure> {
    environment::ensure_holder_ended(holder, executions.is_running(&holder.execution).await)?;
    let id = &holder.deployment;
    let ended = ledger.expect::<Deployment>(&Deployment::key_of(id), &format!("deployment {id}")).await?;
    charters::ensure_as_begun(ledger, &ended.record).await?;
    Ok(ended)
}

/// Releases an environment from a holder whose execution certainly has ended, and closes its deployment as abandoned,
/// in one transaction. Returns the deployment that held it, `None` if none did. `after` names the cause on the
/// deployment.
///
/// # Errors
/// `EnvironmentBusy` if the execution runs or may run; `Conflict` if the environment was taken meanwhile.
pub async fn release(
    ledger: &Ledger,
    executions: &Executions,
    held: &Versioned<Environment>,
    after: &str,
    now: Timestamp,
) -> Result<Option<DeploymentId>, Failure> {
    let Some(holder) = &held.record.holder else { return Ok(None) };
    let ended = ended_holder(ledger, executions, holder).await?;
    let freed = environment::release_dead_holder(&held.record, &ended.record, now);
    let mut writes = vec![Write::replace(held, &freed)?];
    let abandoned = environment::abandon(&ended.record, after, now);
    if let Some(abandoned) = &abandoned {
        writes.push(Write::replace(&ended, abandoned)?);
    }
    ledger.transact(writes).await?;
    if let Some(abandoned) = &abandoned {
        deployment_end::report(abandoned, now);
    }
    tracing::warn!(
        stage = %held.record.stage, environment = held.record.name, deployment = %ended.record.id,
        "freed from an ended execution"
    );
    Ok(Some(ended.record.id))
}
