//! `lockstep why`, `lockstep where` and `lockstep watch`: the history of a deployment or an image, the environments that run
//! an image, and the progress of an execution.

use super::releases;
use crate::context::CommandContext;
use crate::control_plane::ControlPlane;
use crate::failure::{Failure, at};
use crate::follow::follow_through;
use crate::global::Global;
use crate::image_inventory::ImageInventory;
use crate::names::{DeploymentPrefix, ImageVersionName, ReleaseName, SubjectName};
use crate::recipe_difference;
use crate::report::Report;
use crate::views::{images, why::history};
use clap::Args;
use lockstep_domain::delivery::approval::open_question;
use lockstep_domain::records::{ApprovalDecision, Deployment, ImageVersion};
use serde_json::{Value, json};

/// The arguments of `why`.
#[derive(Args, Debug)]
pub struct Why {
    /// A deployment, or the beginning of its id; or an AMI, or IMAGE@VERSION
    #[arg(value_name = "DEPLOYMENT|AMI|IMAGE@VERSION")]
    what: SubjectName,
}

/// The arguments of `where`.
#[derive(Args, Debug)]
pub struct Where {
    /// A release or an image with its version, such as logs-broker@2.1.0 or logstash@2.1.37
    #[arg(value_name = "COMPONENT@VERSION|IMAGE@VERSION")]
    name: ImageVersionName,
}

/// The arguments of `watch`.
#[derive(Args, Debug)]
pub struct Watch {
    /// The execution's ARN; by default that of the newest execution
    execution: Option<String>,
}

/// Prints the history of a deployment or of an image.
pub async fn why(arguments: &Why, global: &Global, context: &CommandContext) -> Result<Report, Failure> {
    let plane = ControlPlane::open(global, context).await?;
    match &arguments.what {
        SubjectName::Deployment(prefix) => why_deployment(&plane, prefix, context).await,
        SubjectName::Image(name) => {
            let inventory = ImageInventory::read(&plane).await?;
            why_image(&plane, &inventory, inventory.version(name)?, context).await
        }
        SubjectName::Ami(ami) => {
            let inventory = ImageInventory::read(&plane).await?;
            let found = inventory.of_ami(ami);
            let (version, image) = found.ok_or_else(|| {
                Failure::new(format!("the ledger has no image with the id {ami}")).next("lockstep images")
            })?;
            let (account, region) = (&image.location.account, &image.location.region);
            let label = format!("{}@{}", version.name, version.version);
            context.output.line(format!("{ami} is {label} in account {account}, {region}"));
            why_image(&plane, &inventory, version, context).await
        }
    }
}

async fn why_image(
    plane: &ControlPlane,
    inventory: &ImageInventory,
    version: &ImageVersion,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let runs = inventory.runs_of(version);
    let mut deployments: Vec<Deployment> = Vec::new();
    for run in &runs {
        deployments.push(plane.deployment(&run.deployed.deployment).await?);
    }
    let mut decisions: Vec<ApprovalDecision> = Vec::new();
    for deployment in &deployments {
        decisions.extend(plane.decisions(&deployment.id).await?);
    }
    let lines = images::history(inventory, version, &deployments, &decisions);
    lines.iter().for_each(|line| context.output.line(line));
    Ok(Report::done(json!({
        "version": version,
        "places": inventory.places_of(version),
        "releases": inventory.releases_of(version),
        "environments": images::running_document(&runs),
        "deployments": deployments,
        "decisions": decisions,
    })))
}

/// Prints the accounts and regions of an image version, and the environments that run it.
pub async fn where_is(
    arguments: &Where,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let plane = ControlPlane::open(global, context).await?;
    let ImageVersionName { image, version } = &arguments.name;
    // A component and an image may have the same name and version. A component's name is valid for an image too.
    let component = image.as_str().parse().map_err(at("the name"))?;
    let release = ReleaseName { component, version: version.clone() };
    let release = releases::where_is(&plane, &release, context).await?;
    let inventory = ImageInventory::read(&plane).await?;
    let mut document = match (inventory.version(&arguments.name), &release) {
        (Ok(version), _) => show_where(&inventory, version, context),
        (Err(_), Some(_)) => json!({}),
        (Err(absent), None) => return Err(absent),
    };
    document["release"] = json!(release);
    Ok(Report::done(document))
}

/// Prints the same for a given version. Returns the JSON document.
pub(super) fn show_where(
    inventory: &ImageInventory,
    version: &ImageVersion,
    context: &CommandContext,
) -> Value {
    let output = &context.output;
    for image in inventory.places_of(version) {
        let ami = image.ami.as_ref().map_or("being copied", |ami| ami.as_str());
        output.line(format!("{ami} in account {}, {}", image.location.account, image.location.region));
    }
    let runs = inventory.runs_of(version);
    if runs.is_empty() {
        output.line("no environment runs it, or ran it before");
    } else {
        output.table(images::RUNNING, images::running(&runs));
    }
    json!({
        "version": version,
        "places": inventory.places_of(version),
        "environments": images::running_document(&runs),
        "needed_by": inventory.references_of(version),
    })
}

async fn why_deployment(
    plane: &ControlPlane,
    prefix: &DeploymentPrefix,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let deployment = plane.deployment_called(prefix).await?;
    let release = plane.release_of(&deployment).await?;
    let log = plane.deployment_log(&deployment.id).await?;
    let decisions = plane.decisions(&deployment.id).await?;
    let lines = history(&deployment, &decisions, release.as_ref(), &log);
    lines.iter().for_each(|line| context.output.line(line));
    if let Some(question) = open_question(&deployment, &decisions) {
        recipe_difference::show_or_say_why(plane, question, &context.output).await;
    }
    Ok(Report::done(json!({
        "deployment": deployment, "decisions": decisions, "release": release, "journal": log,
    })))
}

/// Follows an execution to its end.
pub async fn watch(arguments: &Watch, global: &Global, context: &CommandContext) -> Result<Report, Failure> {
    let plane = ControlPlane::open(global, context).await?;
    let execution = match &arguments.execution {
        Some(arn) => arn.clone(),
        None => newest(&plane).await?,
    };
    follow_through(&plane, &execution, context).await
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

    #[test]
    fn a_nested_execution_is_watched_through_its_parent() {
        let by_hand = json!({ "component": "logs", "version": "2.1.0", "stage": "ci" });
        let mut within = by_hand.clone();
        within["AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"] = json!("arn");
        assert!(is_within_another(&within) && !is_within_another(&by_hand));
    }
}
