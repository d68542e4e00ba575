//! Taking an environment back from an execution that has ended.

use crate::executions::Executions;
use crate::ledger::{Ledger, Versioned, Write};
use jiff::Timestamp;
use lockstep_domain::delivery::lease;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::records::{Deployment, Environment, LeaseHolder};

/// The deployment of `holder`, whose execution certainly has ended; `EnvironmentBusy` if it runs or may run.
pub async fn dead(
    ledger: &Ledger,
    executions: &Executions,
    holder: &LeaseHolder,
) -> Result<Versioned<Deployment>, Failure> {
    lease::ensure_holder_ended(holder, executions.is_running(&holder.execution).await)?;
    let id = &holder.deployment;
    ledger.expect(&Deployment::key_of(id), &format!("deployment {id}")).await
}

/// Frees an environment from a holder whose execution certainly has ended, and closes its deployment as abandoned, in one
/// transaction; answers whose it was, or nothing if nobody held it. `after` says on the deployment who did it.
///
/// # Errors
/// `EnvironmentBusy` if the execution runs or may run; `Conflict` if the environment was taken meanwhile.
pub async fn free(
    ledger: &Ledger,
    executions: &Executions,
    held: &Versioned<Environment>,
    after: &str,
    now: Timestamp,
) -> Result<Option<DeploymentId>, Failure> {
    let Some(holder) = &held.record.holder else { return Ok(None) };
    let dead = dead(ledger, executions, holder).await?;
    let mut writes =
        vec![Write::replace(held, &lease::release_dead_holder(&held.record, &dead.record, now))?];
    if let Some(abandoned) = lease::abandon(&dead.record, after, now) {
        writes.push(Write::replace(&dead, &abandoned)?);
    }
    ledger.transact(writes).await?;
    tracing::warn!(
        stage = %held.record.stage, environment = held.record.name, deployment = %dead.record.id,
        "freed from an ended execution"
    );
    Ok(Some(dead.record.id))
}
