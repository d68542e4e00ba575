//! `lockstep watch`: follows what runs already.

use crate::context::CommandContext;
use crate::control_plane::ControlPlane;
use crate::failure::Failure;
use crate::follow::follow_through;
use crate::global::Global;
use crate::names::{DeploymentPrefix, ReleaseName, WatchName};
use crate::report::Report;
use clap::Args;
use lockstep_domain::model::ids::StageName;
use lockstep_domain::records::{Deployment, Release, WebhookDelivery};
use serde_json::Value;

/// The arguments of `watch`.
#[derive(Args, Debug)]
pub struct Watch {
    /// A deployment or a commit (the beginning of either), a release, a stage, or an execution's ARN; by default the newest
    /// execution
    #[arg(value_name = "DEPLOYMENT|COMPONENT@VERSION|COMMIT|STAGE|EXECUTION")]
    what: Option<WatchName>,
}

/// Follows an execution to its end.
pub async fn run(arguments: &Watch, global: &Global, context: &CommandContext) -> Result<Report, Failure> {
    let plane = ControlPlane::open(global, context).await?;
    let execution = match &arguments.what {
        Some(name) => execution_of(&plane, name).await?,
        None => newest(&plane).await?,
    };
    follow_through(&plane, &execution, context).await
}

/// Returns the execution to follow.
async fn execution_of(plane: &ControlPlane, name: &WatchName) -> Result<String, Failure> {
    match name {
        WatchName::Execution(arn) => Ok(arn.clone()),
        WatchName::Release(release) => of_release(plane, release).await,
        WatchName::Word { stage, deployment, commit } => {
            if let Some(stage) = stage
                && plane.stages().await?.get(stage).is_some()
            {
                return in_stage(plane, stage).await;
            }
            let unknown = match deployment {
                Some(prefix) => match of_deployment(plane, prefix).await {
                    Ok(execution) => return Ok(execution),
                    Err(unknown) => Some(unknown),
                },
                None => None,
            };
            if let Some(commit) = commit
                && let Some(execution) = of_commit(plane, commit).await?
            {
                return Ok(execution);
            }
            Err(unknown.unwrap_or_else(|| {
                Failure::new("no stage, deployment or commit has this name")
                    .next("what runs: lockstep deployments; the stages: lockstep stages show")
            }))
        }
    }
}

/// Returns the execution of the deployment whose id begins so, which may wait for its turn.
async fn of_deployment(plane: &ControlPlane, prefix: &DeploymentPrefix) -> Result<String, Failure> {
    match plane.deployment_called(prefix).await {
        Ok(deployment) => Ok(deployment.execution),
        Err(unknown) => {
            let queued = plane.queued_called(prefix).await?;
            queued.map(|(_, queued)| queued.execution).ok_or(unknown)
        }
    }
}

/// Returns the execution of the deployment of a release that runs, or else the one that packaged it.
async fn of_release(plane: &ControlPlane, name: &ReleaseName) -> Result<String, Failure> {
    let ReleaseName { component, version } = name;
    let deployments = plane.deployments().await?;
    let own = |deployment: &&Deployment| {
        deployment.component() == Some(component)
            && deployment.version == *version
            && !deployment.is_plan_only()
    };
    let release = plane.releases(Some(component)).await?.into_iter().find(|it| it.version == *version);
    let runs_in_release = match &release {
        Some(release) => is_running(plane, release).await?,
        None => false,
    };
    match (followed(deployments.iter().filter(own)), release) {
        (_, Some(release)) if runs_in_release => Ok(release.execution),
        (Some(deployment), _) => Ok(deployment.execution.clone()),
        (None, Some(release)) => Ok(release.execution),
        (None, None) => Err(Failure::new(format!("there is no release {component}@{version}"))
            .next(format!("lockstep releases {component}"))),
    }
}

async fn is_running(plane: &ControlPlane, release: &Release) -> Result<bool, Failure> {
    use lockstep_aws::operator::executions::Status;
    let found = plane.executions.describe(&release.execution).await?;
    Ok(found.is_some_and(|execution| execution.status == Status::Running))
}

/// Returns the newest unfinished deployment, or else the newest one.
fn followed<'a>(deployments: impl Iterator<Item = &'a Deployment>) -> Option<&'a Deployment> {
    deployments.max_by_key(|it| (!it.state.is_final(), it.started_at, it.id.clone()))
}

/// Returns the execution of the newest deployment to a stage.
async fn in_stage(plane: &ControlPlane, stage: &StageName) -> Result<String, Failure> {
    let deployments = plane.deployments().await?;
    let own = deployments.iter().filter(|deployment| deployment.stage == *stage);
    let found = followed(own).map(|deployment| deployment.execution.clone());
    found.ok_or_else(|| Failure::new(format!("nothing was deployed to {stage} yet")).next("lockstep status"))
}

/// Returns the execution of the newest push of a commit whose id begins so.
async fn of_commit(plane: &ControlPlane, commit: &str) -> Result<Option<String>, Failure> {
    let deliveries = plane.deliveries().await?;
    let is_own = |pushed: &&WebhookDelivery| pushed.commit.as_str().starts_with(commit);
    if let Some(pushed) = deliveries.iter().find(is_own) {
        let machine = plane.found.state_machines.release.replace(":stateMachine:", ":execution:");
        let execution = format!("{machine}:{}", pushed.execution);
        // A push that releases nothing starts no execution.
        if plane.executions.describe(&execution).await?.is_some() {
            return Ok(Some(execution));
        }
    }
    let releases = plane.releases(None).await?.into_iter();
    let own = releases.filter(|release| release.commit.as_str().starts_with(commit));
    Ok(own.max_by_key(|release| release.packaged_at).map(|release| release.execution))
}

/// Returns the newest execution that no other execution started. Nested executions are visible through their parent.
async fn newest(plane: &ControlPlane) -> Result<String, Failure> {
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
    newest.map(|(arn, _)| arn).ok_or_else(|| Failure::new("there is no execution yet").next("lockstep push"))
}

/// Returns true if another execution started this one. The parent sets this field in the input
/// (<https://docs.aws.amazon.com/step-functions/latest/dg/concepts-nested-workflows.html>).
fn is_within_another(input: &Value) -> bool {
    input.get("AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_unfinished_deployment_is_followed_before_a_newer_one() {
        use crate::views::testing::{at, deployment};
        use lockstep_domain::model::ids::DeploymentId;
        use lockstep_domain::records::DeploymentState;
        let of = |execution: &str, state, second| Deployment {
            id: DeploymentId::of_execution(execution),
            state,
            started_at: at(second),
            ..deployment()
        };
        let running = of("a", DeploymentState::AwaitingApproval, 1);
        let ended = of("b", DeploymentState::Succeeded, 2);
        assert_eq!(followed([&ended, &running].into_iter()), Some(&running));
        assert_eq!(followed([&ended].into_iter()), Some(&ended));
        assert_eq!(followed(std::iter::empty()), None);
    }

    #[test]
    fn a_nested_execution_is_watched_through_its_parent() {
        let by_hand = json!({ "component": "logs", "version": "2.1.0", "stage": "ci" });
        let mut within = by_hand.clone();
        within["AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"] = json!("arn");
        assert!(is_within_another(&within) && !is_within_another(&by_hand));
    }
}
