//! `lockstep rollback`, `hold` and `resume`: returns to an older release, and keeps the next push from undoing that.

use super::deploy::{go, keeping_stage, show_plan};
use crate::context::CommandContext;
use crate::control_plane::ControlPlane;
use crate::failure::{Exit, Failure};
use crate::global::Global;
use crate::known;
use crate::names::{Reason, ReleaseName};
use crate::report::Report;
use crate::runs::Run;
use clap::Args;
use lockstep_domain::delivery::rollback;
use lockstep_domain::delivery::stages::Stage;
use lockstep_domain::messages::inputs;
use lockstep_domain::messages::operator::Request;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::ids::{ComponentName, StageName};
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{Environment, ImageVersion, Release};
use serde_json::json;
use std::collections::BTreeSet;

/// The arguments that name the own environment of a component.
#[derive(Args, Debug)]
struct OwnEnvironment {
    /// The component
    component: ComponentName,
    /// The stage
    #[arg(long = "in", value_name = "STAGE")]
    stage: StageName,
}

/// The arguments of `rollback`.
#[derive(Args, Debug)]
pub struct Rollback {
    #[command(flatten)]
    environment: OwnEnvironment,
    /// The release to return to; by default the newest one before that passed its checks there
    #[arg(long, value_name = "VERSION")]
    to: Option<Version>,
    /// Carry it out; without this the plan is shown, and nothing changes
    #[arg(long)]
    yes: bool,
}

/// The arguments of `hold`.
#[derive(Args, Debug)]
pub struct Hold {
    #[command(flatten)]
    environment: OwnEnvironment,
    /// The reason, for the record
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
}

/// The arguments of `resume`.
#[derive(Args, Debug)]
pub struct Resume {
    #[command(flatten)]
    environment: OwnEnvironment,
}

/// Shows the plan of a rollback; with `--yes` holds the environment and carries the rollback out.
pub async fn run(arguments: &Rollback, global: &Global, context: &CommandContext) -> Result<Report, Failure> {
    let plane = ControlPlane::open(global, context).await?;
    let stage = keeping_stage(&plane, &arguments.environment.stage).await?;
    let (component, output) = (&arguments.environment.component, &context.output);
    known::component(&plane, component).await?;
    let environment = plane.environment(&stage.name, component.as_str()).await?;
    let environment = environment.ok_or_else(|| not_there(component, &stage))?;
    let target = match &arguments.to {
        Some(version) => {
            let named = ReleaseName { component: component.clone(), version: version.clone() };
            known::release(&plane, &named).await?.version
        }
        None => {
            let (releases, images) = (plane.releases(Some(component)).await?, plane.image_versions().await?);
            way_back(&environment, &stage, &revoked(&releases, &images))?
        }
    };
    let now = environment.deployed.as_ref();
    let now = now.map_or_else(|| "no release".to_owned(), |now| now.version.to_string());
    output.line(format!("{} runs {now} of {component}; back to {target}", stage.name));
    if !arguments.yes {
        let command = format!("lockstep rollback {component} --in {} --to {target} --yes", stage.name);
        let input = inputs::Deploy::new(component.clone(), target, stage.name.clone());
        let shown = show_plan(&plane, input, &stage, &command, context).await?;
        if shown.planned.is_none() {
            return Ok(shown.report);
        }
        output.line(format!("nothing has changed yet; to roll back: {command}"));
        return Ok(Report { exit: Exit::NeedsHuman, ..shown.report });
    }
    let reason = format!("rolled back from {now} to {target}");
    hold_environment(&plane, &stage.name, component, reason).await?;
    output.line(format!(
        "pushes wait from now on; to let them pass again: lockstep resume {component} --in {}",
        stage.name
    ));
    go(&plane, &Run::bring(component.clone(), target, &stage), context).await
}

fn not_there(component: &ComponentName, stage: &Stage) -> Failure {
    Failure::new(format!("{component} is not in {}: never deployed there, or torn down", stage.name))
        .next("lockstep status")
}

/// Returns the versions of the releases with an image that is revoked.
fn revoked(releases: &[Release], images: &[ImageVersion]) -> BTreeSet<Version> {
    let is_revoked = |release: &&Release| {
        release.image_lock.0.values().any(|locked| {
            images.iter().any(|image| {
                image.name == locked.name && image.version == locked.version && image.revoked.is_some()
            })
        })
    };
    releases.iter().filter(is_revoked).map(|release| release.version.clone()).collect()
}

/// Returns the release to return to.
fn way_back(
    environment: &Environment,
    stage: &Stage,
    revoked: &BTreeSet<Version>,
) -> Result<Version, Failure> {
    let target = rollback::target(environment, |deployed| revoked.contains(&deployed.version));
    target.map(|target| target.version.clone()).map_err(|none| {
        let (component, name) = (&environment.component, &stage.name);
        let verb = if stage.path() == DeploymentPath::Promotion { "promote" } else { "deploy" };
        Failure::new(none.message).next(format!(
            "choose one: lockstep releases {component}, then lockstep {verb} {component}@<version> --in {name}"
        ))
    })
}

async fn hold_environment(
    plane: &ControlPlane,
    stage: &StageName,
    component: &ComponentName,
    reason: String,
) -> Result<bool, Failure> {
    let request = Request::Hold { stage: stage.clone(), environment: component.to_string(), reason };
    Ok(plane.ask(&request).await?.changed)
}

/// Keeps the releases of pushes waiting.
pub async fn hold(arguments: &Hold, global: &Global, context: &CommandContext) -> Result<Report, Failure> {
    let plane = ControlPlane::open(global, context).await?;
    let Hold { environment: OwnEnvironment { component, stage }, reason } = arguments;
    known::environment(&plane, component, stage).await?;
    let changed = hold_environment(&plane, stage, component, reason.as_str().to_owned()).await?;
    context.output.line(match changed {
        true => {
            format!("pushes of {component} wait in {stage} until: lockstep resume {component} --in {stage}")
        }
        false => format!("{component} is held in {stage} already"),
    });
    Ok(Report::done(json!({ "changed": changed })))
}

/// Lets the releases of pushes pass again.
pub async fn resume(
    arguments: &Resume,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let plane = ControlPlane::open(global, context).await?;
    let OwnEnvironment { component, stage } = &arguments.environment;
    known::environment(&plane, component, stage).await?;
    let request = Request::Resume { stage: stage.clone(), environment: component.to_string() };
    let changed = plane.ask(&request).await?.changed;
    context.output.line(match changed {
        true => format!("pushes of {component} reach {stage} again"),
        false => format!("{component} was not held in {stage}"),
    });
    Ok(Report::done(json!({ "changed": changed })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::testing::environment;
    use jiff::Timestamp;
    use lockstep_domain::delivery::stages::{EXAMPLE, Stages};
    use lockstep_domain::model::ids::{DeploymentId, Digest};
    use lockstep_domain::records::Deployed;

    fn ran(version: &str) -> Deployed {
        let digest = Digest::of(version.as_bytes());
        Deployed {
            version: version.parse().unwrap(),
            digest: digest.clone(),
            template_digest: digest.clone(),
            parameters_digest: digest,
            late_digest: None,
            stack_version: version.parse().unwrap(),
            deployment: DeploymentId::of_execution("arn:x"),
            checked: true,
            overridden: Default::default(),
            since: Timestamp::UNIX_EPOCH,
        }
    }

    fn back(stage: &str, history: &[&str], revoked: &[&str]) -> Result<String, Failure> {
        let stages = Stages::parse("stages.toml", EXAMPLE).unwrap();
        let stage = stages.get(&stage.parse().unwrap()).unwrap();
        let environment = Environment {
            deployed: Some(ran("2.1.4")),
            history: history.iter().map(|version| ran(version)).collect(),
            ..environment("ci", "logs")
        };
        let revoked = revoked.iter().map(|version| version.parse().unwrap()).collect();
        way_back(&environment, stage, &revoked).map(|version| version.to_string())
    }

    #[test]
    fn a_rollback_returns_to_the_newest_release_that_is_not_revoked() {
        assert_eq!(back("ci", &["2.1.2", "2.1.3"], &[]).unwrap(), "2.1.3");
        assert_eq!(back("ci", &["2.1.2", "2.1.3"], &["2.1.3"]).unwrap(), "2.1.2");
    }

    #[test]
    fn a_rollback_without_a_target_names_the_next_command() {
        let first = back("ci", &[], &[]).unwrap_err();
        assert!(first.what.starts_with("ci runs 2.1.4 of logs"), "{first}");
        assert!(first.next.contains("lockstep deploy logs@<version> --in ci"), "{first}");
        let production = back("production", &["2.1.3"], &["2.1.3"]).unwrap_err();
        assert!(production.next.contains("lockstep promote"), "{production}");
    }
}
