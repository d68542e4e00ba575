//! Starts a run for an operator, and records the caller as its starter.

use crate::context::LedgerContext;
use jiff::Timestamp;
use lockstep_aws::executions::Started;
use lockstep_aws::ledger::Inserted;
use lockstep_domain::delivery::start::{is_same, machine, record};
use lockstep_domain::messages::operator::StartedRun;
use lockstep_domain::messages::run::Run;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::model::person::Caller;
use lockstep_domain::records::Start;

/// Records that `by` starts `run` under `name`, then starts the execution. The record comes first: the execution begins its
/// deployment at once, and the deployment reads the record.
pub async fn start(
    context: &impl LedgerContext,
    name: &str,
    run: &Run,
    by: &Caller,
    now: Timestamp,
) -> Result<StartedRun, Failure> {
    let machines = context.state_machines();
    let wanted = record(machines, name, run, by, now)?;
    if let Inserted::Exists(known) = context.ledger().insert(&wanted).await?
        && !is_same(&known.record, &wanted)
    {
        return Err(taken(name));
    }
    let input = run.input().map_err(|error| Failure::bug("an input cannot be written").caused_by(&error))?;
    match context.executions().start(&machine(machines, run), name, &input).await? {
        Started::New(execution) => Ok(StartedRun { execution }),
        Started::Exists => Err(taken(name)),
    }
}

fn taken(name: &str) -> Failure {
    let message = format!("an execution called {name} exists; run the command again");
    Failure::new(FailureKind::Conflict, message)
}

/// Returns the start of the deployment over the operators' function, if it was started there.
pub async fn known(context: &impl LedgerContext, id: &DeploymentId) -> Result<Option<Start>, Failure> {
    let found = context.ledger().get::<Start>(&Start::key_of(id)).await?;
    Ok(found.map(|found| found.record))
}
