//! `lockstep why` and `lockstep where`: the history of a deployment, a component, a release or an image, and the
//! environments that run an image.

use super::releases;
use crate::context::CommandContext;
use crate::control_plane::ControlPlane;
use crate::failure::{Failure, at};
use crate::global::Global;
use crate::image_inventory::ImageInventory;
use crate::names::{DeploymentPrefix, ImageVersionName, ReleaseName, SubjectName, VersionName};
use crate::recipe_difference;
use crate::report::Report;
use crate::views::why::{Sought, culprit, history, of_rejection, of_release};
use crate::views::{attention, images};
use clap::Args;
use lockstep_domain::delivery::approval::open_question;
use lockstep_domain::model::ids::{ComponentName, StageName};
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{ApprovalDecision, Deployment, ImageVersion, Rejection, Release};
use serde_json::{Value, json};

/// The arguments of `why`.
#[derive(Args, Debug)]
pub struct Why {
    /// A component or a release, whose last failure is explained; or a deployment (the beginning of its id), an AMI, or
    /// IMAGE@VERSION
    #[arg(value_name = "COMPONENT[@VERSION]|DEPLOYMENT|AMI|IMAGE@VERSION")]
    what: SubjectName,
    /// The stage to explain, for a component or a release
    #[arg(long = "in", value_name = "STAGE")]
    stage: Option<StageName>,
}

/// The arguments of `where`.
#[derive(Args, Debug)]
pub struct Where {
    /// A release or an image with its version, such as logs-broker@2.1.0 or logstash@2.1.37
    #[arg(value_name = "COMPONENT@VERSION|IMAGE@VERSION")]
    name: ImageVersionName,
}

/// Prints the history of a deployment or of an image, or the last failure of a component or a release.
pub async fn why(arguments: &Why, global: &Global, context: &CommandContext) -> Result<Report, Failure> {
    let plane = ControlPlane::open(global, context).await?;
    let stage = arguments.stage.as_ref();
    match &arguments.what {
        SubjectName::Deployment(prefix) => why_word(&plane, prefix, stage, context).await,
        SubjectName::Component(component) => {
            let sought = Sought { component, version: None, stage };
            why_component(&plane, &sought, context).await
        }
        SubjectName::Version(name) => why_version(&plane, name, stage, context).await,
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

/// Explains the deployment whose id begins so, or the component of this name.
async fn why_word(
    plane: &ControlPlane,
    prefix: &DeploymentPrefix,
    stage: Option<&StageName>,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let unknown = match (plane.deployment_called(prefix).await, stage) {
        (Ok(deployment), None) => return why_deployment(plane, &deployment, context).await,
        (Ok(_), Some(_)) => Failure::usage("--in belongs to a component or a release")
            .next("leave it out: a deployment has one stage"),
        (Err(unknown), _) => unknown,
    };
    let Ok(component) = prefix.as_str().parse::<ComponentName>() else { return Err(unknown) };
    if plane.releases(Some(&component)).await?.is_empty() {
        return Err(unknown);
    }
    why_component(plane, &Sought { component: &component, version: None, stage }, context).await
}

/// Explains a version of an image, or a release.
async fn why_version(
    plane: &ControlPlane,
    name: &VersionName,
    stage: Option<&StageName>,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let VersionName { component, image, version } = name;
    if let (Some(image), None) = (image, stage) {
        let inventory = ImageInventory::read(plane).await?;
        let named = ImageVersionName { image: image.clone(), version: version.clone() };
        match (inventory.version(&named), component) {
            (Ok(found), _) => return why_image(plane, &inventory, found, context).await,
            (Err(unknown), None) => return Err(unknown),
            (Err(_), Some(_)) => (),
        }
    }
    let component =
        component.as_ref().ok_or_else(|| Failure::usage("--in belongs to a component or a release"))?;
    why_component(plane, &Sought { component, version: Some(version), stage }, context).await
}

/// Explains the last failure of a component or a release, or its last deployment if none failed.
async fn why_component(
    plane: &ControlPlane,
    sought: &Sought<'_>,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let environments = plane.environments(&plane.stages().await?).await?;
    let deployments = plane.deployments_with_last(&environments).await?;
    let found = culprit(&deployments, sought);
    if let Some(rejection) = rejection(plane, sought, found).await? {
        of_rejection(&rejection).iter().for_each(|line| context.output.line(line));
        return Ok(Report::done(json!({ "rejection": rejection })));
    }
    match (found, sought.version) {
        // The index lags behind the table.
        (Some(found), _) => why_deployment(plane, &plane.deployment(&found.id).await?, context).await,
        (None, Some(version)) => why_release(plane, sought, version, context).await,
        (None, None) => Err(unknown(sought)),
    }
}

/// Returns the open rejection of a component, if it is newer than what was found.
async fn rejection(
    plane: &ControlPlane,
    sought: &Sought<'_>,
    found: Option<&Deployment>,
) -> Result<Option<Rejection>, Failure> {
    if sought.version.is_some() || sought.stage.is_some() {
        return Ok(None);
    }
    let (rejections, releases, deliveries) =
        tokio::try_join!(plane.rejections(), plane.releases(Some(sought.component)), plane.deliveries())?;
    let records =
        attention::StatusRecords { releases: &releases, deliveries: &deliveries, ..Default::default() };
    let own = rejections.into_iter().filter(|rejection| {
        rejection.component == sought.component.as_str()
            && found.is_none_or(|found| found.started_at < rejection.rejected_at)
            && !attention::is_followed(rejection, &records)
    });
    Ok(own.max_by_key(|rejection| rejection.rejected_at))
}

async fn why_release(
    plane: &ControlPlane,
    sought: &Sought<'_>,
    version: &Version,
    context: &CommandContext,
) -> Result<Report, Failure> {
    for key in Release::keys_of(sought.component, version) {
        if let (Some(found), None) = (plane.ledger.get::<Release>(&key).await?, sought.stage) {
            of_release(&found.record).iter().for_each(|line| context.output.line(line));
            return Ok(Report::done(json!({ "release": found.record })));
        }
    }
    Err(unknown(sought))
}

fn unknown(sought: &Sought<'_>) -> Failure {
    Failure::new(format!("the ledger has no deployment of {sought}")).next(format!(
        "its releases: lockstep releases {}; every component: lockstep status",
        sought.component
    ))
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
    deployment: &Deployment,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let release = plane.release_of(deployment).await?;
    let log = plane.deployment_log(&deployment.id).await?;
    let decisions = plane.decisions(&deployment.id).await?;
    let lines = history(deployment, &decisions, release.as_ref(), &log);
    lines.iter().for_each(|line| context.output.line(line));
    if let Some(question) = open_question(deployment, &decisions) {
        recipe_difference::show_or_say_why(plane, question, &context.output).await;
    }
    Ok(Report::done(json!({
        "deployment": deployment, "decisions": decisions, "release": release, "journal": log,
    })))
}
