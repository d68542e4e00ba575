//! `lockstep releases`: the releases.

use crate::context::CommandContext;
use crate::control_plane::ControlPlane;
use crate::failure::Failure;
use crate::global::Global;
use crate::report::Report;
use crate::views::time;
use clap::Args;
use lockstep_domain::model::ids::ComponentName;
use lockstep_domain::model::test_difference;
use lockstep_domain::records::{Release, ReleaseState};
use serde_json::json;

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
    let releases = plane.releases(arguments.component.as_ref()).await?;
    if releases.is_empty() {
        context.output.line("there is no release yet; make one: lockstep push");
    } else {
        let head = ["component", "version", "state", "commit", "author", "images", "packaged"];
        context.output.table(head, releases.iter().map(row));
    }
    // The differences of every release would hide the table.
    if let (Some(_), Some(newest)) = (&arguments.component, releases.first()) {
        let differences = test_difference::summary(&newest.test_differences);
        let line = |what| format!("the test stack of {} differed: {what}", newest.version);
        differences.iter().for_each(|what| context.output.line(line(what)));
    }
    Ok(Report::done(json!({ "releases": releases })))
}

fn row(release: &Release) -> [String; 7] {
    let state = match release.state {
        ReleaseState::Packaged => "not published",
        ReleaseState::Published => "published",
        ReleaseState::TestFailed => "test failed",
    };
    let images = release.image_lock.0.values().map(|image| format!("{}@{}", image.name, image.version));
    let images: Vec<String> = images.collect();
    [
        release.component.to_string(),
        release.version.to_string(),
        state.to_owned(),
        release.commit.short().to_owned(),
        release.author.clone(),
        if images.is_empty() { "-".to_owned() } else { images.join(", ") },
        time(release.packaged_at),
    ]
}
