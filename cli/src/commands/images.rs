//! `lockstep images`: lists machine images, imports one, gives one to a repository, revokes a version, retires
//! unreferenced versions.

use super::{components, inspect};
use crate::context::CommandContext;
use crate::control_plane::ControlPlane;
use crate::failure::{Failure, at};
use crate::global::Global;
use crate::image_inventory::ImageInventory;
use crate::names::{ImageVersionName, Reason, RepositoryName};
use crate::report::Report;
use crate::views::images;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use lockstep_aws::functions::{Called, Functions};
use lockstep_domain::images::retention::{self, RetentionInput};
use lockstep_domain::messages::callers::Callers;
use lockstep_domain::messages::image::{Promoted, Request};
use lockstep_domain::messages::operator;
use lockstep_domain::model::error::FailureKind;
use lockstep_domain::model::ids::{AmiId, ImageName, StageName};
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{OwnedName, Publication, PublicationState};
use serde_json::{Value, json};
use std::time::Duration;

/// The function that imports an image, and sets the channels of the delivery path.
const FUNCTION: &str = "lockstep-delivery-image";

/// Timeout of a call of the image function: a little more than the function's own timeout.
const PATIENCE: Duration = Duration::from_secs(110);

/// The function that retires versions.
const SWEEP: &str = "lockstep-sweep";

/// Timeout of a call of the sweep: a little more than the function's own timeout.
const SWEEP_PATIENCE: Duration = Duration::from_secs(310);

/// The arguments of `images`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Import an existing image: it gets a name and a version, and components may use it
    Import(Import),
    /// Show the owner of an image, and what the parameters below /lockstep/images name in each account, since when and why
    Show {
        /// The image
        image: ImageName,
    },
    /// Let the parameters below /lockstep/images in an account of the promotion path name a version, outside of a deployment
    Publish(Publish),
    /// Give the name of an image to a repository: only its recipe builds the image from then on
    Assign {
        /// The image
        image: ImageName,
        /// The registered repository, such as github:acme/logs
        #[arg(long, value_name = "REPOSITORY")]
        to: RepositoryName,
    },
    /// List every version of every image, its id in each account, and what needs it (the default)
    List,
    /// Forbid a version to all releases, and show where it runs
    Revoke(Revoke),
    /// Retire versions that nothing needs, as the scheduled sweep does
    Retire(Retire),
}

#[derive(Args, Debug)]
struct Revoke {
    /// The image and its version, such as logstash@2.1.37
    #[arg(value_name = "IMAGE@VERSION")]
    image: ImageVersionName,
    /// The reason
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
}

#[derive(Args, Debug)]
struct Publish {
    /// The image and its version, such as logstash@2.1.37
    #[arg(value_name = "IMAGE@VERSION")]
    image: ImageVersionName,
    /// The stage of the promotion path
    #[arg(long = "in", value_name = "STAGE")]
    stage: StageName,
}

#[derive(Args, Debug)]
struct Retire {
    /// Only show the planned changes
    #[arg(long)]
    dry_run: bool,
}

#[derive(Args, Debug)]
struct Import {
    /// The image's id
    ami: AmiId,
    /// The name and version it gets, such as logstash@2.1.0
    #[arg(long = "image", value_name = "IMAGE@VERSION", conflicts_with_all = ["name", "version"])]
    both: Option<ImageVersionName>,
    /// The name it gets, such as logstash
    #[arg(long, value_name = "IMAGE", required_unless_present = "both", requires = "version")]
    name: Option<ImageName>,
    /// The version it gets, such as 2.1.0
    #[arg(long, value_name = "VERSION", requires = "name")]
    version: Option<Version>,
    /// A stage in whose account and region the image is; by default the test stage
    #[arg(long = "in", alias = "stage", value_name = "STAGE")]
    stage: Option<StageName>,
    /// The registered repository whose recipe may build further versions; by default no repository may build a new name
    #[arg(long, value_name = "REPOSITORY")]
    owner: Option<RepositoryName>,
}

/// Runs the command.
pub async fn run(
    arguments: &Arguments,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let people = match &arguments.command {
        Some(Command::Import(_) | Command::Assign { .. } | Command::Revoke(_)) => Callers::Administrators,
        Some(Command::List | Command::Show { .. } | Command::Publish(_) | Command::Retire(_)) | None => {
            Callers::Operators
        }
    };
    let plane = ControlPlane::open_for(people, global, context).await?;
    match &arguments.command {
        Some(Command::Import(wanted)) => import(wanted, &plane, context).await,
        Some(Command::Assign { image, to }) => {
            components::assign(OwnedName::Image(image.clone()), &to.0, &plane, context).await
        }
        Some(Command::Show { image }) => show(image, &plane, context).await,
        Some(Command::Publish(wanted)) => publish(wanted, &plane, context).await,
        Some(Command::List) | None => list(&plane, context).await,
        Some(Command::Revoke(wanted)) => revoke(wanted, &plane, context).await,
        Some(Command::Retire(wanted)) => retire(wanted, &plane, context).await,
    }
}

impl Import {
    /// Returns the name and version from `--image`, or from `--name` and `--version`.
    fn wanted(&self) -> Result<(ImageName, Version), Failure> {
        match (&self.both, &self.name, &self.version) {
            (Some(both), ..) => Ok((both.image.clone(), both.version.clone())),
            (None, Some(name), Some(version)) => Ok((name.clone(), version.clone())),
            _ => Err(Failure::usage("name the image and its version: --image logstash@2.1.0")),
        }
    }
}

async fn import(wanted: &Import, plane: &ControlPlane, context: &CommandContext) -> Result<Report, Failure> {
    let stage = match &wanted.stage {
        Some(stage) => stage.clone(),
        None => plane.stages().await?.test().name.clone(),
    };
    let (name, version) = wanted.wanted()?;
    // The claim comes first, so that no push claims the name of an imported image.
    let owner = wanted.owner.as_ref().map(|owner| owner.0.clone());
    plane.ask(&operator::Request::ClaimImported { image: name.clone(), owner }).await?;
    let request = Request::Import { ami: wanted.ami.clone(), name, version, stage };
    let payload = serde_json::to_value(&request).map_err(at("the request"))?;
    let called = Functions::new(plane.aws()).call(FUNCTION, &payload, PATIENCE).await?;
    let promoted: Promoted = answer(FUNCTION, called)?;
    context.output.line(format!("{}@{} is {}", promoted.image, promoted.version, promoted.ami));
    let claim = plane.owner_of(&OwnedName::Image(promoted.image.clone())).await?;
    if claim.is_some_and(|claim| claim.owner.is_none()) {
        context.output.note(format!(
            "no repository may build {0}; to allow one: lockstep images assign {0} --to <repository>",
            promoted.image
        ));
    }
    follow(&promoted.image, plane, context).await?;
    Ok(Report::done(json!(promoted)))
}

/// Returns the function's response. A refusal becomes a failure with the function's own message.
fn answer<T: serde::de::DeserializeOwned>(function: &str, called: Called) -> Result<T, Failure> {
    match called {
        Called::Answered { error: None, payload, .. } => serde_json::from_slice(&payload)
            .map_err(at(format!("{function} returned an unexpected response"))),
        Called::Answered { error: Some(_), payload, .. } => {
            let said: Value = serde_json::from_slice(&payload).unwrap_or_default();
            let sentence = said["errorMessage"].as_str().unwrap_or("the function gave no reason");
            let kind = said["errorType"].as_str().and_then(FailureKind::named);
            Err(Failure::of_kind(kind, sentence))
        }
        Called::Silent => Err(Failure::new(format!("{function} did not respond in time"))
            .next("try again: the import continues from its last recorded step")),
        Called::Absent => {
            Err(Failure::new(format!("there is no function {function}")).next("lockstep install"))
        }
    }
}

async fn revoke(wanted: &Revoke, plane: &ControlPlane, context: &CommandContext) -> Result<Report, Failure> {
    let (image, version) = (wanted.image.image.clone(), wanted.image.version.clone());
    let reason = wanted.reason.as_str().to_owned();
    let applied = plane.ask(&operator::Request::RevokeImage { image, version, reason }).await?;
    let inventory = ImageInventory::read(plane).await?;
    let found = inventory.version(&wanted.image)?;
    let output = &context.output;
    let label = format!("{}@{}", found.name, found.version);
    match &found.revoked {
        Some(by) if !applied.changed => {
            output.line(format!("{label} was revoked before, by {}: {}", by.by, by.reason));
        }
        _ => output
            .line(format!("{label} is revoked: no release that pins it is packaged or deployed any more")),
    }
    output.line("running instances keep it; deploy a release with another version there:");
    let document = inspect::show_where(&inventory, found, context);
    // The channels of the delivery path return to the previous version. Those of the promotion path follow deployments.
    follow(&wanted.image.image, plane, context).await?;
    Ok(Report::done(document))
}

/// Updates the channels of an image on the delivery path at once. If that fails, prints when the next sweep does it.
async fn follow(image: &ImageName, plane: &ControlPlane, context: &CommandContext) -> Result<(), Failure> {
    let request = Request::Channels { images: vec![image.clone()], stage: None };
    let payload = serde_json::to_value(&request).map_err(at("the request"))?;
    let followed = Functions::new(plane.aws()).call(FUNCTION, &payload, PATIENCE).await;
    if !matches!(followed, Ok(Called::Answered { error: None, .. })) {
        let later =
            "the next sweep updates the parameters below /lockstep/images, within a quarter of an hour";
        context.output.note(later);
    }
    Ok(())
}

async fn publish(
    wanted: &Publish,
    plane: &ControlPlane,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let (image, version) = (wanted.image.image.clone(), wanted.image.version.clone());
    let request = operator::Request::PublishImage { image, version, stage: wanted.stage.clone() };
    let published: operator::Published = plane.ask_for(&request).await?;
    let Publication { deployment, image, version, stage, ami, state, .. } = &published.publication;
    let output = &context.output;
    match state {
        PublicationState::Published { .. } => {
            output.line(format!("{image}@{version} is published in {stage}: its parameters name {ami}"));
            set_parameters(plane, context).await?;
        }
        PublicationState::Waiting => {
            output.line(format!("{stage} asks for an approval: lockstep approve {}", deployment.short()));
            output.line("repeat this command after the answer, within a day");
        }
        PublicationState::Ended => {
            output.line(format!(
                "{image}@{version} is not published in {stage}: see lockstep why {}",
                deployment.short()
            ));
        }
    }
    Ok(Report::done(json!(published)))
}

/// Runs a sweep, which has the parameters of each account set. If that fails, the next scheduled one does it.
async fn set_parameters(plane: &ControlPlane, context: &CommandContext) -> Result<(), Failure> {
    let swept = Functions::new(plane.aws()).call(SWEEP, &json!({}), SWEEP_PATIENCE).await;
    if !matches!(swept, Ok(Called::Answered { error: None, .. })) {
        context.output.note("the next sweep sets the parameters, within a quarter of an hour");
    }
    Ok(())
}

async fn retire(wanted: &Retire, plane: &ControlPlane, context: &CommandContext) -> Result<Report, Failure> {
    let output = &context.output;
    if !wanted.dry_run {
        let called = Functions::new(plane.aws()).call(SWEEP, &json!({}), SWEEP_PATIENCE).await?;
        let report: Value = answer(SWEEP, called)?;
        let retired = report["retired"].as_array().cloned().unwrap_or_default();
        retired.iter().filter_map(Value::as_str).for_each(|line| output.line(line));
        output.line(format!("swept: {} versions changed; lockstep status shows what is left", retired.len()));
        return Ok(Report::done(report));
    }
    let inventory = ImageInventory::read(plane).await?;
    let plan = retention::plan(&RetentionInput {
        versions: &inventory.versions,
        places: &inventory.places,
        shares: &inventory.shares,
        uses: &inventory.references,
        keep: inventory.settings.keep as usize,
        now: Timestamp::now(),
    });
    if plan.is_empty() {
        output.line("nothing would be retired");
    } else {
        output.table(images::PLANNED, images::planned(&plan));
        output.line("before the sweep deregisters an image, it asks each account for other references to it");
    }
    let orphans = plane.last_sweep().await?.map(|last| last.orphans).unwrap_or_default();
    if !orphans.is_empty() {
        output.line("the last sweep found resources with our tags that are in no record:");
        output.table(images::ORPHANS, images::orphans(&orphans));
    }
    Ok(Report::done(json!({ "plan": plan, "orphans": orphans })))
}

async fn show(image: &ImageName, plane: &ControlPlane, context: &CommandContext) -> Result<Report, Failure> {
    let inventory = ImageInventory::read(plane).await?;
    let claim = plane.owner_of(&OwnedName::Image(image.clone())).await?;
    let channels = inventory.channels_of(image);
    let output = &context.output;
    output.line(images::owner(image, claim.as_ref()));
    if channels.is_empty() {
        output.line(format!("no parameter below /lockstep/images/{image} names a version"));
    } else {
        output.table(images::CHANNELS, images::channels(&channels));
    }
    Ok(Report::done(
        json!({ "image": image, "owner": claim, "parameters": images::channels_document(&channels) }),
    ))
}

async fn list(plane: &ControlPlane, context: &CommandContext) -> Result<Report, Failure> {
    let inventory = ImageInventory::read(plane).await?;
    if inventory.versions.is_empty() {
        context.output.line("there is no image yet; import one: lockstep images import");
    } else {
        context.output.table(images::HEAD, images::rows(&inventory));
    }
    Ok(Report::done(images::document(&inventory)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_the_functions_own_message() {
        let payload = br#"{"errorType":"ImageUnusable","errorMessage":"ami-12345678 is pending"}"#.to_vec();
        let called = Called::Answered { error: Some("Unhandled".into()), payload, cut: false };
        assert_eq!(answer::<Promoted>(FUNCTION, called).unwrap_err().what, "ami-12345678 is pending");
    }
}
