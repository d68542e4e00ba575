//! Shows a question with everything that its approver must know, from the records of the control plane.

use crate::approvers;
use crate::control_plane::ControlPlane;
use crate::failure::Failure;
use crate::output::Output;
use crate::recipe_difference;
use crate::views::question;
use lockstep_domain::delivery::approval::answers_to;
use lockstep_domain::records::{Approval, ApprovalDecision, Deployment};

/// Prints a question, its environment, the history behind it, its people and the recipe of a build.
///
/// # Errors
/// A record that cannot be read, a recipe included: an answer never covers what was not shown.
pub async fn show(
    plane: &ControlPlane,
    deployment: &Deployment,
    question: &Approval,
    decisions: &[ApprovalDecision],
    output: &Output,
) -> Result<(), Failure> {
    show_all_but_recipe(plane, deployment, question, decisions, output).await?;
    recipe_difference::show(plane, question, output).await
}

/// Prints the same, and the reason if the recipe of a build cannot be shown.
pub async fn show_or_say_why(
    plane: &ControlPlane,
    deployment: &Deployment,
    question: &Approval,
    decisions: &[ApprovalDecision],
    output: &Output,
) -> Result<(), Failure> {
    show_all_but_recipe(plane, deployment, question, decisions, output).await?;
    recipe_difference::show_or_say_why(plane, question, output).await;
    Ok(())
}

async fn show_all_but_recipe(
    plane: &ControlPlane,
    deployment: &Deployment,
    asked: &Approval,
    decisions: &[ApprovalDecision],
    output: &Output,
) -> Result<(), Failure> {
    question::show(deployment, asked, output);
    let environment = plane.environment_of(deployment).await?;
    if let Some(environment) = &environment {
        let stages = plane.stages().await?;
        let drift = match stages.get(&environment.stage) {
            Some(stage) => plane.drift_report(stage, &environment.name).await?,
            None => None,
        };
        let lines = question::circumstances(environment, drift.as_ref());
        lines.into_iter().for_each(|line| output.line(line));
    }
    question::show_behind(environment.as_ref(), output);
    approvers::show(plane, deployment, answers_to(decisions, asked.number), output).await
}
