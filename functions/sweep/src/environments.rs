//! Environments whose holder's execution has ended, and test environments older than their time to live.

use crate::context::SweepContext;
use crate::{owners, report};
use jiff::Timestamp;
use lockstep_aws::executions::Started;
use lockstep_domain::delivery::packaging;
use lockstep_domain::delivery::stages::{Stage, Stages};
use lockstep_domain::delivery::sweep::{self, TestStackStep};
use lockstep_domain::delivery::{environment, freshness};
use lockstep_domain::messages::inputs;
use lockstep_domain::messages::ledger::{Freed, Request};
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::ComponentName;
use lockstep_domain::model::token::execution_arn;
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{Deployment, Environment, SweepReport};
use lockstep_runtime::{releases, stages};

/// Examines every environment of every stage.
pub async fn sweep(
    context: &impl SweepContext,
    report: &mut SweepReport,
    now: Timestamp,
) -> Result<(), Failure> {
    for stage in stages::applied(context.ledger()).await?.iter().flat_map(Stages::iter) {
        let partition = Environment::all_of(&stage.name);
        let found = context.ledger().every::<Environment>(&partition).await?;
        let all: Vec<Environment> = found.iter().map(|found| found.record.clone()).collect();
        for found in &found {
            let what = format!("{}/{}", stage.name, found.record.name);
            let is_stale = freshness::due(&found.record, found.rev(), stage, &all).is_some();
            let mut outcome = free(context, report, &what, &found.record, is_stale, now).await;
            // A deployment that waits for an answer holds its environment.
            if outcome.is_ok() && stage.is_test() {
                outcome = examine_test_environment(context, report, &what, stage, &found.record, now).await;
            }
            report::go_on(report, &what, outcome);
        }
    }
    Ok(())
}

/// Has an environment released from a dead holder, and its queue tidied, which wakes the deployment whose turn it is. Has a
/// stale environment deployed again, if nothing did so when its producer changed.
async fn free(
    context: &impl SweepContext,
    report: &mut SweepReport,
    what: &str,
    held: &Environment,
    is_stale: bool,
    now: Timestamp,
) -> Result<(), Failure> {
    if let Some(holder) = &held.holder {
        let is_running = context.executions().is_running(&holder.execution).await;
        if let Err(busy) = environment::ensure_holder_ended(holder, is_running) {
            return if sweep::is_held_too_long(holder.since, now) { Err(busy) } else { Ok(()) };
        }
    } else if held.queue.is_empty() && !is_stale {
        return Ok(());
    }
    // The authority owns the environment. It asks Step Functions again, releases a dead holder only, and takes dead
    // deployments out of the queue.
    let request = Request::FreeEnvironment { stage: held.stage.clone(), environment: held.name.clone() };
    let freed: Option<Freed> = owners::ask_authority(context, &request).await?;
    report.freed.extend(freed.and_then(|freed| freed.deployment).map(|_| what.to_owned()));
    Ok(())
}

async fn examine_test_environment(
    context: &impl SweepContext,
    report: &mut SweepReport,
    what: &str,
    stage: &Stage,
    environment: &Environment,
    now: Timestamp,
) -> Result<(), Failure> {
    let last = match &environment.last_deployment {
        Some(last) => context.ledger().get::<Deployment>(&Deployment::key_of(last)).await?,
        None => None,
    };
    let last = last.map(|last| last.record);
    // Its age matters only once no deployment holds it. The manifest is in the artifact, which is large.
    let ttl = match &last {
        Some(last) if environment.holder.is_none() => ttl_minutes(context, last).await,
        _ => None,
    };
    match sweep::test_stack(environment, last.as_ref(), ttl, now) {
        TestStackStep::Leave => Ok(()),
        TestStackStep::Stuck { why } => {
            report::left(report, what, &why);
            Ok(())
        }
        TestStackStep::Remove { execution } => {
            remove(context, report, what, stage, environment, &execution).await
        }
    }
}

async fn remove(
    context: &impl SweepContext,
    report: &mut SweepReport,
    what: &str,
    stage: &Stage,
    environment: &Environment,
    execution: &str,
) -> Result<(), Failure> {
    let input = inputs::Teardown {
        component: environment.component.clone(),
        stage: stage.name.clone(),
        environment: Some(environment.name.clone()),
    };
    let input = serde_json::to_value(input)
        .map_err(|error| Failure::bug("the input of a teardown cannot be written").caused_by(&error))?;
    if let Started::New(_) = context.executions().start(context.teardown_machine(), execution, &input).await?
    {
        report.removing.push(what.to_owned());
        return Ok(());
    }
    let arn = execution_arn(context.teardown_machine(), execution);
    if context.executions().is_running(&arn).await == Some(false) {
        let why = format!("its teardown ended before it had begun: see {arn}; it is tried again tomorrow");
        report::left(report, what, &why);
    }
    Ok(())
}

/// Returns the time to live of the test environment of `deployment` in minutes, from the manifest of its
/// release. Returns `None` if the manifest cannot be read.
async fn ttl_minutes(context: &impl SweepContext, deployment: &Deployment) -> Option<u32> {
    let component = &deployment.deploy()?.stack.component;
    match manifest_ttl(context, component, &deployment.version).await {
        Ok(minutes) => Some(minutes),
        Err(failure) => {
            tracing::warn!(deployment = %deployment.id, "the manifest cannot be read: {}", failure.chain());
            None
        }
    }
}

async fn manifest_ttl(
    context: &impl SweepContext,
    component: &ComponentName,
    version: &Version,
) -> Result<u32, Failure> {
    let release = releases::release(context.ledger(), component, version).await?.record;
    let contents = packaging::open_release(&release, &context.artifact(&release.artifact).await?)?;
    Ok(contents.manifest.test.ttl_minutes)
}
