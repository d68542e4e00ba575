//! `lockstep why` and `lockstep watch`: what happened, and what happens.

use super::{Global, follow_to_end_whatever};
use crate::Report;
use crate::failure::Failure;
use crate::names::DeploymentPrefix;
use crate::plane::Plane;
use crate::surroundings::Surroundings;
use crate::views::why::story;
use clap::Args;
use serde_json::json;

/// What `why` takes.
#[derive(Args, Debug)]
pub struct Why {
    /// The deployment, or the beginning of its id
    deployment: DeploymentPrefix,
}

/// What `watch` takes.
#[derive(Args, Debug)]
pub struct Watch {
    /// The execution's ARN; by default the newest of all
    execution: Option<String>,
}

/// Tells the story of a deployment.
pub async fn why(arguments: &Why, global: &Global, surroundings: &Surroundings) -> Result<Report, Failure> {
    let plane = Plane::open(global, surroundings).await?;
    let deployment = plane.deployment_called(&arguments.deployment).await?;
    let release = plane.release_of(&deployment).await?;
    let journal = plane.journal(&deployment.id).await?;
    story(&deployment, release.as_ref(), &journal).iter().for_each(|line| surroundings.output.line(line));
    Ok(Report::done(json!({ "deployment": deployment, "release": release, "journal": journal })))
}

/// Follows an execution to its end.
pub async fn watch(
    arguments: &Watch,
    global: &Global,
    surroundings: &Surroundings,
) -> Result<Report, Failure> {
    let plane = Plane::open(global, surroundings).await?;
    let execution = match &arguments.execution {
        Some(arn) => arn.clone(),
        None => newest(&plane).await?,
    };
    follow_to_end_whatever(&plane, &execution, surroundings).await
}

/// The newest execution a person would watch; those within others are seen through them.
async fn newest(plane: &Plane) -> Result<String, Failure> {
    let machines = &plane.found.state_machines;
    let mut found = Vec::new();
    for machine in [&machines.release, &machines.promote] {
        found.extend(plane.executions.newest(machine, 1).await?);
    }
    let newest = found.into_iter().max_by_key(|(_, started_at)| *started_at);
    newest
        .map(|(arn, _)| arn)
        .ok_or_else(|| Failure::new("nothing was started yet").next("begin: lockstep push"))
}
