//! `lockstep releases`: the releases.

use crate::context::CommandContext;
use crate::control_plane::ControlPlane;
use crate::failure::Failure;
use crate::global::Global;
use crate::known;
use crate::names::ReleaseName;
use crate::report::Report;
use crate::views::reach::{Reached, located, sentence, state};
use crate::views::{images, time};
use clap::Args;
use lockstep_domain::model::ids::ComponentName;
use lockstep_domain::model::test_difference;
use lockstep_domain::records::Release;
use serde_json::{Value, json};

/// The arguments of `releases`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// List only the releases of this component
    component: Option<ComponentName>,
}

/// Lists releases, newest first.
pub async fn run(
    arguments: &Arguments,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let plane = ControlPlane::open(global, context).await?;
    if let Some(component) = &arguments.component {
        known::component(&plane, component).await?;
    }
    let releases = plane.releases(arguments.component.as_ref()).await?;
    let reached = reached(&plane).await?;
    if releases.is_empty() {
        context.output.line("there is no release yet; make one: lockstep push");
    } else {
        let head = ["component", "version", "state", "how far", "commit", "author", "images", "packaged"];
        context.output.table(head, releases.iter().map(|release| row(release, &reached)));
    }
    // The differences of every release would hide the table.
    if let (Some(_), Some(newest)) = (&arguments.component, releases.first()) {
        let differences = test_difference::summary(&newest.test_differences);
        let line = |what| format!("the test stack of {} differed: {what}", newest.version);
        differences.iter().for_each(|what| context.output.line(line(what)));
    }
    let documents: Vec<Value> = releases.iter().map(|release| document(release, &reached)).collect();
    Ok(Report::done(json!({ "releases": documents })))
}

/// Reads what says how far releases got. No stage has one before the first stages were applied.
async fn reached(plane: &ControlPlane) -> Result<Reached, Failure> {
    let environments = match plane.applied_stages().await? {
        Some(stages) => plane.environments(&stages).await?,
        None => Vec::new(),
    };
    Ok(Reached { environments, deployments: plane.deployments().await? })
}

fn document(release: &Release, reached: &Reached) -> Value {
    let mut document = json!(release);
    document["reach"] = json!(reached.of(release));
    document
}

/// Prints the environments that run a release, or may return to it. Returns `None` if there is no such release.
pub(super) async fn where_is(
    plane: &ControlPlane,
    name: &ReleaseName,
    context: &CommandContext,
) -> Result<Option<Value>, Failure> {
    let releases = plane.releases(Some(&name.component)).await?;
    let Some(release) = releases.into_iter().find(|release| release.version == name.version) else {
        return Ok(None);
    };
    let (stages, reached) = (plane.stages().await?, reached(plane).await?);
    let uses = located(reached.uses(&name.component, &name.version), &stages);
    let output = &context.output;
    let label = format!("{} {}", release.component, release.version);
    output.line(format!("{label}: {}, {}", state(&release), sentence(&reached.of(&release))));
    if !uses.is_empty() {
        output.table(images::RUNNING, images::running(&uses));
    }
    let mut document = document(&release, &reached);
    document["environments"] = images::running_document(&uses);
    Ok(Some(document))
}

fn row(release: &Release, reached: &Reached) -> [String; 8] {
    let images = release.image_lock.0.values().map(|image| format!("{}@{}", image.name, image.version));
    let images: Vec<String> = images.collect();
    [
        release.component.to_string(),
        release.version.to_string(),
        state(release).to_owned(),
        sentence(&reached.of(release)),
        release.commit.short().to_owned(),
        release.author.clone(),
        if images.is_empty() { "-".to_owned() } else { images.join(", ") },
        time(release.packaged_at),
    ]
}
