//! `lockstep status`: what wants a person, and the release of every component in every stage.

use crate::context::CommandContext;
use crate::control_plane::{ControlPlane, LISTED};
use crate::failure::Failure;
use crate::global::Global;
use crate::report::Report;
use crate::stale;
use crate::views::attention::{StatusRecords, attention, lines};
use crate::views::status::{matrix, sweep_lines};
use comfy_table::Row;
use jiff::Timestamp;
use lockstep_domain::delivery::approval::open_question;
use lockstep_domain::records::{Approval, Deployment, DeploymentState};
use serde_json::json;

/// Prints what wants a person, oldest first, and then the matrix of components and stages.
pub async fn run(global: &Global, context: &CommandContext) -> Result<Report, Failure> {
    let plane = ControlPlane::open(global, context).await?;
    let stages = plane.stages().await?;
    let environments = plane.environments(&stages).await?;
    let (break_glass, releases, rejections, deliveries, drift, sweep, stale) = tokio::try_join!(
        plane.break_glass_records(),
        plane.releases(None),
        plane.rejections(),
        plane.deliveries(),
        plane.drift_reports(&stages),
        plane.last_sweep(),
        stale::read(&plane, &environments),
    )?;
    let deployments = plane.deployments_with_last(&environments).await?;
    let questions = questions(&plane, &deployments).await?;
    let now = Timestamp::now();
    let found = attention(&StatusRecords {
        stages: Some(&stages),
        environments: &environments,
        deployments: &deployments,
        questions: &questions,
        releases: &releases,
        rejections: &rejections,
        deliveries: &deliveries,
        drift: &drift,
        break_glass: &break_glass,
        stale: &stale,
        now,
    });
    let mut matrix = matrix(&stages, &environments, &break_glass);
    matrix.mark_behind(&releases, releases.len() < LISTED);
    for (environment, inputs) in stale {
        matrix.mark_stale(&environment, inputs);
    }
    let output = &context.output;
    let is_empty = matrix.components.is_empty() && matrix.others.is_empty();
    if !(is_empty && found.is_empty()) {
        lines(&found, now, output.width()).iter().for_each(|line| output.line(line));
        output.line("");
    }
    if is_empty {
        output.line("no release is deployed yet; push one: lockstep push");
    } else {
        output.rows(Row::from(matrix.head()), matrix.rows(now).into_iter().map(Row::from));
    }
    if !matrix.others.is_empty() {
        output.line("");
        output.table(["clone", "component", "stage", "version"], matrix.other_rows(now));
    }
    sweep.iter().flat_map(sweep_lines).for_each(|line| output.line(line));
    let mut document = json!(matrix);
    document["attention"] = json!(found);
    document["sweep"] = json!(sweep);
    let drift = drift.iter().map(|report| {
        json!({
            "stage": report.stage, "environment": report.environment, "state": report.state(),
            "since": report.since,
        })
    });
    document["drift"] = drift.collect();
    let asking: Vec<&Deployment> = questions.iter().map(|(deployment, _)| deployment).collect();
    document["waiting_for_approval"] = json!(asking);
    Ok(Report::done(document))
}

/// Returns each deployment that waits for an answer, with its question. A build of an image waits without an environment.
async fn questions(
    plane: &ControlPlane,
    deployments: &[Deployment],
) -> Result<Vec<(Deployment, Approval)>, Failure> {
    let mut asking = Vec::new();
    for listed in deployments.iter().filter(|it| it.state == DeploymentState::AwaitingApproval) {
        // The index lags behind the table.
        let deployment = plane.deployment(&listed.id).await?;
        let decisions = plane.decisions(&deployment.id).await?;
        let waits = deployment.state == DeploymentState::AwaitingApproval;
        if let Some(question) = open_question(&deployment, &decisions).filter(|_| waits).cloned() {
            asking.push((deployment, question));
        }
    }
    Ok(asking)
}
