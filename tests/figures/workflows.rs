//! Duration of pushes and promotions on the local cloud from the ledger, and their calls from the emulator's call
//! record.

use jiff::Timestamp;
use lockstep_aws::operator::executions::{Follow, What};
use lockstep_cli::context::CommandContext;
use lockstep_cli::demo::Demo;
use lockstep_cli::failure::{Exit, Failure};
use lockstep_cli::output::Output;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::records::{Deployment, WebhookDelivery};
use lockstep_local::{CallFilter, CallLog, CallRecord};
use serde_json::Value;
use std::process::ExitCode;

/// The figures of one run.
struct Run {
    seconds: f64,
    invocations: usize,
    function_seconds: f64,
}

/// Runs a command of the local cloud's daemon.
pub async fn command(arguments: &[String]) -> ExitCode {
    match CommandContext::of_process() {
        Ok(context) => lockstep_cli::run(arguments, &context).await.exit.into(),
        Err(failure) => failure.exit.into(),
    }
}

/// Runs the demo, then pushes and promotes `times` times and prints the medians.
pub async fn print(times: usize) -> Result<(), String> {
    let work = tempfile::tempdir().map_err(|e| e.to_string())?;
    let context = CommandContext::of_process().map_err(|e| e.to_string())?;
    let context = CommandContext { output: Output::memory(false), ..context };
    let mut story = Demo::new(&context, work.path(), None);
    let measured = measure(&mut story, times).await;
    let stopped = story.stop().await;
    measured.and(stopped).map_err(|failure| failure.to_string())
}

async fn measure(story: &mut Demo, times: usize) -> Result<(), Failure> {
    story.run_scenarios().await?;
    story.repository().revert().await?;
    story.push(Exit::Done).await?;
    let (mut pushes, mut promotions) = (Vec::new(), Vec::new());
    for run in 0..times {
        let repository = story.repository();
        // The stack of each stage must change, because production has a size of its own.
        for (file, size) in [("default", run + 3), ("production", run + 4)] {
            let (old, new) = (format!("MaxSize = {size}"), format!("MaxSize = {}", size + 1));
            repository.replace(&format!("broker/parameters/{file}.toml"), &old, &new)?;
        }
        repository.commit("Room for one more").await?;
        let (version, push) = push(story).await?;
        pushes.push(push);
        promotions.push(promotion(story, &version).await?);
    }
    println!("{:<38} {:>8} {:>12} {:>16}", "median of runs", "seconds", "invocations", "in functions, s");
    row("webhook accepted -> in ci", pushes);
    row("promote -> in production, no person", promotions);
    println!();
    println!("states entered by the newest execution (the emulator's history leaves out those inside a Map)");
    transitions(story).await
}

fn row(what: &str, mut runs: Vec<Run>) {
    runs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    if let Some(median) = runs.get(runs.len() / 2) {
        let (seconds, invocations) = (median.seconds, median.invocations);
        println!("{what:<38} {seconds:>8.2} {invocations:>12} {:>16.2}", median.function_seconds);
    }
}

async fn push(story: &Demo) -> Result<(String, Run), Failure> {
    let journal = CallLog::<CallRecord>::at(&story.session()?.endpoint);
    let before = last(&journal).await?;
    let answer = story.push(Exit::Done).await?;
    let mut deployments = answer["deployments"].as_array().into_iter().flatten();
    let in_ci = deployments.rfind(|deployment| deployment["stage"] == "ci");
    let in_ci = in_ci.ok_or_else(|| Failure::new("nothing was deployed to ci"))?;
    let deployment = deployment(story, &in_ci["id"]).await?;
    let events = story.plane().await?.ledger.list_kind::<WebhookDelivery>(1).await.map_err(failed)?;
    let accepted = events.first().map(|event| event.record.accepted_at);
    let seconds = between(accepted, deployment.finished_at)?;
    Ok((deployment.version.to_string(), run(&journal, before, seconds).await?))
}

async fn promotion(story: &Demo, version: &str) -> Result<Run, Failure> {
    let journal = CallLog::<CallRecord>::at(&story.session()?.endpoint);
    let before = last(&journal).await?;
    let release = format!("logs-broker@{version}");
    let answer = story.type_in(&["promote", &release, "--to", "production"], Exit::NeedsHuman).await?;
    story.approve(&answer, Exit::Done).await?;
    let plane = story.plane().await?;
    let newest =
        Follow::new(plane.aws()).newest(&plane.found.state_machines.promote, 1).await.map_err(failed)?;
    let deployment = deployment(story, &answer["deployment"]["id"]).await?;
    let asked = deployment.approvals.first().ok_or_else(|| Failure::new("the deployment has no approval"))?;
    let decided = plane.decisions(&deployment.id).await?;
    let seconds = between(newest.first().map(|(_, started)| *started), Some(asked.asked_at))?
        + between(
            decided.first().and_then(|decision| decision.last()).map(|answer| answer.at),
            deployment.finished_at,
        )?;
    run(&journal, before, seconds).await
}

async fn deployment(story: &Demo, id: &Value) -> Result<Deployment, Failure> {
    let id: DeploymentId =
        id.as_str().unwrap_or_default().parse().map_err(|_| Failure::new("a deployment without an id"))?;
    let found =
        story.plane().await?.ledger.get::<Deployment>(&Deployment::key_of(&id)).await.map_err(failed)?;
    found.map(|found| found.record).ok_or_else(|| Failure::new(format!("deployment {id} does not exist")))
}

async fn last(journal: &CallLog<CallRecord>) -> Result<u64, Failure> {
    journal.last().await.map_err(|error| Failure::new(error.to_string()))
}

async fn run(journal: &CallLog<CallRecord>, after: u64, seconds: f64) -> Result<Run, Failure> {
    let filter = CallFilter { after, kind: Some("invocation".into()), ..CallFilter::default() };
    let page = journal.read(&filter).await.map_err(|error| Failure::new(error.to_string()))?;
    let milliseconds: u64 = page.entries.iter().map(|call| call.duration_ms).sum();
    Ok(Run { seconds, invocations: page.entries.len(), function_seconds: milliseconds as f64 / 1000.0 })
}

fn between(from: Option<Timestamp>, to: Option<Timestamp>) -> Result<f64, Failure> {
    match (from, to) {
        (Some(from), Some(to)) => Ok((to.as_millisecond() - from.as_millisecond()) as f64 / 1000.0),
        _ => Err(Failure::new("a time is missing in the ledger")),
    }
}

async fn transitions(story: &Demo) -> Result<(), Failure> {
    let plane = story.plane().await?;
    let machines = &plane.found.state_machines;
    let follow = Follow::new(plane.aws());
    for arn in [
        &machines.release,
        &machines.delivery_deploy,
        &machines.promote,
        &machines.promote_image,
        &machines.promotion_deploy,
    ] {
        let Some((execution, _)) = follow.newest(arn, 1).await.map_err(failed)?.into_iter().next() else {
            continue;
        };
        let happened = follow.happenings(&execution, 0).await.map_err(failed)?;
        let entered = happened.iter().filter(|one| matches!(one.what, What::Entered { .. })).count();
        println!("{:<38} {entered:>8}", arn.rsplit(':').next().unwrap_or_default());
    }
    Ok(())
}

fn failed(failure: lockstep_domain::model::error::Failure) -> Failure {
    Failure::new(failure.message)
}
