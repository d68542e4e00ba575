//! Reads the rule and the people of a question from the control plane, and prints them after the history behind it.

use crate::background;
use crate::control_plane::ControlPlane;
use crate::failure::Failure;
use crate::output::Output;
use crate::views::approvers;
use jiff::Timestamp;
use lockstep_domain::delivery::answers::Jury;
use lockstep_domain::images::build_permission::rule_of_question;
use lockstep_domain::records::{Deployment, GivenAnswer};

/// Prints the history behind a question, its people, and the approvers that it still needs.
pub async fn show(
    plane: &ControlPlane,
    deployment: &Deployment,
    answers: &[GivenAnswer],
    output: &Output,
) -> Result<(), Failure> {
    background::show(plane, deployment, output).await?;
    let (stages, people) = (plane.stages().await?, plane.people().await?);
    let rule = rule_of_question(&stages, deployment)?;
    let jury = Jury::new(&rule, &people, deployment);
    let lines = approvers::lines(deployment, answers, &jury, Timestamp::now());
    lines.into_iter().for_each(|line| output.line(line));
    Ok(())
}
