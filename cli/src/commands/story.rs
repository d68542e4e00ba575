//! `lockstep why` and `lockstep watch`: what happened, and what happens.

use super::{Global, follow_to_end_whatever};
use crate::Report;
use crate::failure::Failure;
use crate::names::DeploymentPrefix;
use crate::plane::Plane;
use crate::surroundings::Surroundings;
use crate::views::why::story;
use clap::Args;
use serde_json::{Value, json};

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
    for machine in [
        &machines.release,
        &machines.promote,
        &machines.delivery_teardown,
        &machines.promotion_teardown,
        &machines.delivery_deploy,
        &machines.promotion_deploy,
    ] {
        let newest = plane.executions.newest(machine, 1).await?.into_iter().next();
        let Some((arn, started_at)) = newest else { continue };
        let execution = plane.executions.describe(&arn).await?;
        if execution.is_some_and(|execution| !is_within_another(&execution.input)) {
            found.push((arn, started_at));
        }
    }
    let newest = found.into_iter().max_by_key(|(_, started_at)| *started_at);
    newest
        .map(|(arn, _)| arn)
        .ok_or_else(|| Failure::new("nothing was started yet").next("begin: lockstep push"))
}

/// Whether an execution was started by another one, which says so as AWS asks for it.
fn is_within_another(input: &Value) -> bool {
    input.get("AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_release_deploys_is_watched_through_the_release() {
        let by_hand = json!({ "component": "logs", "version": "2.1.0", "stage": "ci" });
        let mut within = by_hand.clone();
        within["AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"] = json!("arn");
        assert!(is_within_another(&within) && !is_within_another(&by_hand));
    }
}
