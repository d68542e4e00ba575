//! `lockstep plan`, `deploy`, `clone` and `teardown`: each acts on one environment, through the same gates.

use crate::background;
use crate::context::CommandContext;
use crate::control_plane::ControlPlane;
use crate::failure::{Exit, Failure};
use crate::follow::{End, FollowOptions, Followed, follow, follow_to_end, report};
use crate::global::Global;
use crate::known;
use crate::names::{Override, ReleaseName};
use crate::report::Report;
use crate::runs::{self, Run};
use crate::views::{permissions, plan};
use clap::Args;
use jiff::Timestamp;
use lockstep_domain::delivery::parameters::Layer;
use lockstep_domain::delivery::stages::Stage;
use lockstep_domain::delivery::{environment, gate};
use lockstep_domain::messages::inputs;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::ids::{ComponentName, StageName};
use lockstep_domain::model::outcome::Outcome;
use lockstep_domain::records::{DeployBody, Deployment, DeploymentState};
use serde_json::json;
use std::collections::BTreeMap;

/// The arguments of `plan`.
#[derive(Args, Debug)]
pub struct Plan {
    /// The release, such as logs-broker@2.1.0
    release: ReleaseName,
    /// The stage to plan for
    #[arg(long = "in", alias = "to", value_name = "STAGE")]
    to: StageName,
    /// The environment, if it is a clone
    #[arg(long = "environment", value_name = "NAME")]
    name: Option<String>,
    /// The stage whose parameters the clone takes
    #[arg(long, value_name = "STAGE", requires = "name")]
    parameters_of: Option<StageName>,
    /// A parameter for this run only (may be repeated)
    #[arg(long = "override", value_name = "KEY=VALUE", conflicts_with = "name")]
    overrides: Vec<Override>,
    /// Also show the changes made outside of CloudFormation that would be reverted
    #[arg(long, conflicts_with = "name")]
    revert_drift: bool,
    /// List the permissions that each resource needs of the execution role
    #[arg(long)]
    permissions: bool,
}

/// The arguments of `deploy`.
#[derive(Args, Debug)]
pub struct Deploy {
    /// The release, such as logs-broker@2.1.0; an older one too
    release: ReleaseName,
    /// The stage to deploy to
    #[arg(long = "in", alias = "to", value_name = "STAGE")]
    to: StageName,
    /// A parameter for this run only (may be repeated); such a run gives no evidence for the next stage
    #[arg(long = "override", value_name = "KEY=VALUE")]
    overrides: Vec<Override>,
    /// Also revert changes that were made outside of CloudFormation
    #[arg(long)]
    revert_drift: bool,
}

/// The arguments of `clone`.
#[derive(Args, Debug)]
pub struct MakeClone {
    /// The release, such as logs-broker@2.1.0
    release: ReleaseName,
    /// The name of the new environment within its stage
    #[arg(long = "environment", value_name = "NAME")]
    name: String,
    /// The stage whose account and region it is deployed to
    #[arg(long = "in", value_name = "STAGE")]
    stage: StageName,
    /// The stage whose parameters it takes; by default its own
    #[arg(long, value_name = "STAGE")]
    parameters_of: Option<StageName>,
}

/// The arguments of `teardown`.
#[derive(Args, Debug)]
pub struct Teardown {
    /// The component
    component: ComponentName,
    /// The stage
    #[arg(long = "in", value_name = "STAGE")]
    stage: StageName,
    /// The environment, if it is a clone
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
}

/// Plans a deployment and shows its changes. Changes nothing.
pub async fn plan(arguments: &Plan, global: &Global, context: &CommandContext) -> Result<Report, Failure> {
    let overrides = overrides(&arguments.overrides)?;
    let plane = ControlPlane::open(global, context).await?;
    let stage = keeping_stage(&plane, &arguments.to).await?;
    known::release(&plane, &arguments.release).await?;
    let input = match &arguments.name {
        Some(name) => cloned(&arguments.release, name, &stage, arguments.parameters_of.as_ref())?,
        None => deployed(&arguments.release, &stage, overrides, arguments.revert_drift)?,
    };
    let command = command(&input, stage.path());
    let shown = show_plan(&plane, input, &stage, &command, context).await?;
    if let (true, Some(deploy)) = (arguments.permissions, &shown.planned) {
        permissions::show_resources(deploy, &context.output);
    }
    Ok(shown.report)
}

/// A plan that was shown.
pub struct ShownPlan {
    /// The report of the command.
    pub report: Report,
    /// The plan; `None` if planning failed.
    pub planned: Option<DeployBody>,
}

/// Plans a deployment and shows its changes, with the `command` that carries it out.
pub async fn show_plan(
    plane: &ControlPlane,
    input: inputs::Deploy,
    stage: &Stage,
    command: &str,
    context: &CommandContext,
) -> Result<ShownPlan, Failure> {
    let run = Run::Deploy(stage.path(), inputs::Deploy { plan_only: true, ..input });
    let execution = runs::start(plane, &run).await?;
    let options = FollowOptions { after_question: Some(0), since: Timestamp::UNIX_EPOCH };
    let followed = follow(plane, &execution, options, &context.output.without_events()).await?;
    let Some((deployment, deploy)) = planned(&followed) else {
        let report = report(plane, &followed, context).await?;
        return Ok(ShownPlan { report, planned: None });
    };
    let finding = plan::finding(deploy, stage.approval.is_some());
    plan::show(deployment, &finding, command, &context.output);
    background::show_commits(plane, deployment, &context.output).await?;
    let exit = if finding.asks() { Exit::NeedsHuman } else { Exit::Done };
    let document = json!({
        "outcome": Outcome::Planned, "plan": finding, "deployment": deployment, "do_with": command,
    });
    Ok(ShownPlan { report: Report { document, exit }, planned: Some(deploy.clone()) })
}

/// Returns the deployment of an execution that planned, or that needs an approved proposal before it can plan.
fn planned(followed: &Followed) -> Option<(&Deployment, &DeployBody)> {
    let End::Over(_) = &followed.end else { return None };
    let deployment = followed.deployments.last()?;
    let deploy = deployment.deploy()?;
    let has_result = match deployment.state {
        DeploymentState::Planned | DeploymentState::NoChanges => true,
        DeploymentState::Failed => deploy.stack.proposal.is_some(),
        _ => false,
    };
    has_result.then_some((deployment, deploy))
}

/// Deploys any release to a stage of the delivery path.
pub async fn deploy(
    arguments: &Deploy,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let overrides = overrides(&arguments.overrides)?;
    let plane = ControlPlane::open(global, context).await?;
    let stage = keeping_stage(&plane, &arguments.to).await?;
    if stage.path() == DeploymentPath::Promotion {
        let ReleaseName { component, version } = &arguments.release;
        return Err(Failure::usage(format!("releases come to {} by promotion", stage.name))
            .next(format!("lockstep promote {component}@{version} --in {}", stage.name)));
    }
    let input = deployed(&arguments.release, &stage, overrides, arguments.revert_drift)?;
    known::release(&plane, &arguments.release).await?;
    let run = Run::Deploy(stage.path(), input);
    go(&plane, &run, context).await
}

/// Deploys a release a second time, as a clone.
pub async fn make_clone(
    arguments: &MakeClone,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let plane = ControlPlane::open(global, context).await?;
    let stage = keeping_stage(&plane, &arguments.stage).await?;
    let input = cloned(&arguments.release, &arguments.name, &stage, arguments.parameters_of.as_ref())?;
    known::release(&plane, &arguments.release).await?;
    go(&plane, &Run::Deploy(stage.path(), input), context).await
}

/// Deletes an environment's stack for good.
pub async fn teardown(
    arguments: &Teardown,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let plane = ControlPlane::open(global, context).await?;
    let stages = plane.stages().await?;
    let stage = gate::stage(&stages, &arguments.stage)?;
    known::component(&plane, &arguments.component).await?;
    let input = inputs::Teardown {
        component: arguments.component.clone(),
        stage: stage.name.clone(),
        environment: arguments.environment.clone(),
    };
    go(&plane, &Run::Teardown(stage.path(), input), context).await
}

/// Starts a run and follows it to its end, or to a question.
pub async fn go(plane: &ControlPlane, run: &Run, context: &CommandContext) -> Result<Report, Failure> {
    let execution = runs::start(plane, run).await?;
    follow_to_end(plane, &execution, context).await
}

/// Returns the stage. Refuses the test stage, whose stacks are deleted after the checks.
pub async fn keeping_stage(plane: &ControlPlane, name: &StageName) -> Result<Stage, Failure> {
    let stages = plane.stages().await?;
    let stage = gate::stage(&stages, name)?;
    if stage.is_test() {
        return Err(Failure::usage(format!(
            "stage {name} is for test stacks, which are deleted after the checks"
        ))
        .next("name another stage; lockstep stages show lists them"));
    }
    Ok(stage.clone())
}

/// Returns the input that deploys a release under its component's own name.
fn deployed(
    release: &ReleaseName,
    stage: &Stage,
    overrides: BTreeMap<String, String>,
    revert_drift: bool,
) -> Result<inputs::Deploy, Failure> {
    let ReleaseName { component, version } = release.clone();
    if stage.path() == DeploymentPath::Promotion && !overrides.is_empty() {
        return Err(Failure::usage(format!(
            "a release comes to {} as it is: parameters are not overridden there",
            stage.name
        ))
        .next(format!("write them into parameters/{}.toml and push", stage.name)));
    }
    let plain = inputs::Deploy::new(component, version, stage.name.clone());
    Ok(inputs::Deploy { overrides, revert_drift, ..plain })
}

/// Returns the input that deploys a release as a clone.
fn cloned(
    release: &ReleaseName,
    name: &str,
    stage: &Stage,
    parameters_of: Option<&StageName>,
) -> Result<inputs::Deploy, Failure> {
    let ReleaseName { component, version } = release.clone();
    let name =
        environment::name(&component, Some(name)).map_err(|failure| Failure::usage(failure.message))?;
    if name == component.as_str() {
        return Err(Failure::usage(format!("{name} is the name of the component's own environment"))
            .next(format!("choose another, such as {name}-2")));
    }
    Ok(inputs::Deploy {
        environment: Some(name),
        parameters_of: parameters_of.cloned(),
        ..inputs::Deploy::new(component, version, stage.name.clone())
    })
}

/// Returns the overrides as the state machine takes them. Checks them first, so that a mistake ends the command.
fn overrides(typed: &[Override]) -> Result<BTreeMap<String, String>, Failure> {
    let mut values = BTreeMap::new();
    for Override { name, value } in typed {
        if values.insert(name.clone(), value.clone()).is_some() {
            return Err(Failure::usage(format!("{name} is overridden twice")));
        }
    }
    match Layer::overrides(&values) {
        Ok(_) => Ok(values),
        Err(problems) => {
            let lines: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
            Err(Failure::usage(lines.join("\n")))
        }
    }
}

/// Returns the command that carries out the plan.
fn command(input: &inputs::Deploy, path: DeploymentPath) -> String {
    let release = format!("{}@{}", input.component, input.version);
    let stage = &input.stage;
    let Some(name) = &input.environment else {
        let verb = if path == DeploymentPath::Promotion { "promote" } else { "deploy" };
        let given = input
            .overrides
            .iter()
            .map(|(name, value)| format!(" --override {}", shell_word(&format!("{name}={value}"))));
        let reverted = if input.revert_drift { " --revert-drift" } else { "" };
        return format!("lockstep {verb} {release} --in {stage}{}{reverted}", given.collect::<String>());
    };
    let of = input.parameters_of.as_ref().map(|of| format!(" --parameters-of {of}")).unwrap_or_default();
    format!("lockstep clone {release} --environment {name} --in {stage}{of}")
}

/// Quotes a word for a shell, if it needs quotes.
fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:=@,+-".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_domain::delivery::stages::Stages;

    fn stage(name: &str) -> Stage {
        let stages = Stages::parse("stages.toml", lockstep_domain::delivery::stages::EXAMPLE).unwrap();
        stages.get(&name.parse().unwrap()).unwrap().clone()
    }

    fn release() -> ReleaseName {
        "logs@2.1.0".parse().unwrap()
    }

    #[test]
    fn a_clone_needs_another_name_than_the_component() {
        let production: StageName = "production".parse().unwrap();
        let input = cloned(&release(), "logs-2", &stage("ci"), Some(&production)).unwrap();
        assert_eq!((input.environment.as_deref(), input.parameters_of), (Some("logs-2"), Some(production)));
        for wrong in ["logs", "Logs", "", "-x", "a--b"] {
            assert_eq!(
                cloned(&release(), wrong, &stage("ci"), None).unwrap_err().exit,
                Exit::Usage,
                "{wrong}"
            );
        }
    }

    #[test]
    fn overrides_are_checked_before_an_execution_starts() {
        let judge = |typed: &[&str]| {
            let typed: Vec<Override> = typed.iter().map(|text| text.parse().unwrap()).collect();
            overrides(&typed)
        };
        assert_eq!(judge(&["MaxSize=3"]).unwrap()["MaxSize"], "3");
        assert!(judge(&["A=1", "A=2"]).unwrap_err().what.contains("twice"));
        assert_eq!(judge(&["Max-Size=1"]).unwrap_err().exit, Exit::Usage);
        let values = judge(&["MaxSize=3"]).unwrap();
        assert!(deployed(&release(), &stage("ci"), values.clone(), false).is_ok());
        let refused = deployed(&release(), &stage("production"), values, false).unwrap_err();
        assert!(refused.next.contains("parameters/production.toml"), "{refused}");
    }

    #[test]
    fn the_suggested_command_carries_out_the_plan() {
        let plain = deployed(&release(), &stage("ci"), BTreeMap::new(), false).unwrap();
        assert_eq!(command(&plain, DeploymentPath::Delivery), "lockstep deploy logs@2.1.0 --in ci");
        assert_eq!(command(&plain, DeploymentPath::Promotion), "lockstep promote logs@2.1.0 --in ci");
        let reverting = inputs::Deploy { revert_drift: true, ..plain };
        let expected = "lockstep promote logs@2.1.0 --in ci --revert-drift";
        assert_eq!(command(&reverting, DeploymentPath::Promotion), expected);
        let values = BTreeMap::from([("Greeting".to_owned(), "it's me".to_owned())]);
        let with = deployed(&release(), &stage("ci"), values, false).unwrap();
        let expected = r"lockstep deploy logs@2.1.0 --in ci --override 'Greeting=it'\''s me'";
        assert_eq!(command(&with, DeploymentPath::Delivery), expected);
        let clone = cloned(&release(), "logs-2", &stage("ci"), Some(&"staging".parse().unwrap())).unwrap();
        let expected = "lockstep clone logs@2.1.0 --environment logs-2 --in ci --parameters-of staging";
        assert_eq!(command(&clone, DeploymentPath::Delivery), expected);
    }
}
