//! `lockstep releases` and `lockstep status`: the releases, and the stages that run them.

use crate::context::CommandContext;
use crate::control_plane::ControlPlane;
use crate::failure::Failure;
use crate::global::Global;
use crate::report::Report;
use crate::stale;
use crate::views::drift::note;
use crate::views::question::answer_with;
use crate::views::status::{matrix, sweep_lines};
use crate::views::{time, why};
use clap::Args;
use comfy_table::Row;
use lockstep_domain::delivery::approval::open_question;
use lockstep_domain::model::ids::ComponentName;
use lockstep_domain::model::test_difference;
use lockstep_domain::records::{Approval, Deployment, DeploymentState, Release, ReleaseState};
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

/// Prints the matrix of components and stages, with notes on taints, stale inputs, break-glass, open questions and the last
/// sweep.
pub async fn status(global: &Global, context: &CommandContext) -> Result<Report, Failure> {
    let plane = ControlPlane::open(global, context).await?;
    let stages = plane.stages().await?;
    let environments = plane.environments(&stages).await?;
    let mut matrix = matrix(&stages, &environments, &plane.break_glass_records().await?);
    for (environment, inputs) in stale::read(&plane, &environments).await? {
        matrix.mark_stale(&environment, inputs);
    }
    let output = &context.output;
    if matrix.components.is_empty() && matrix.others.is_empty() {
        output.line("no release is deployed yet; push one: lockstep push");
    } else {
        output.rows(Row::from(matrix.head()), matrix.rows().into_iter().map(Row::from));
    }
    if !matrix.others.is_empty() {
        output.line("");
        output.table(["clone", "component", "stage", "version"], matrix.other_rows());
    }
    matrix.notes().iter().for_each(|note| output.line(note));
    let drift = plane.drift_reports(&stages).await?;
    drift.iter().filter_map(note).for_each(|note| output.line(note));
    let asking = asking(&plane).await?;
    for (deployment, question) in &asking {
        let command = answer_with(deployment, question);
        output.line(format!("{} waits for approval: {command}", why::title(deployment)));
    }
    let sweep = plane.last_sweep().await?;
    sweep.iter().flat_map(sweep_lines).for_each(|line| output.line(line));
    let mut document = json!(matrix);
    document["sweep"] = json!(sweep);
    let drift = drift.iter().map(|report| json!({
        "stage": report.stage, "environment": report.environment, "state": report.state(), "since": report.since,
    }));
    document["drift"] = drift.collect();
    let asking: Vec<&Deployment> = asking.iter().map(|(deployment, _)| deployment).collect();
    document["waiting_for_approval"] = json!(asking);
    Ok(Report::done(document))
}

/// Returns each deployment that waits for an answer, with its question. A build of an image waits without an environment.
async fn asking(plane: &ControlPlane) -> Result<Vec<(Deployment, Approval)>, Failure> {
    let mut asking = Vec::new();
    for deployment in plane.deployments().await? {
        if deployment.state == DeploymentState::AwaitingApproval
            && let Some(question) =
                open_question(&deployment, &plane.decisions(&deployment.id).await?).cloned()
        {
            asking.push((deployment, question));
        }
    }
    Ok(asking)
}
