//! `lockstep question`: shows the open question of a deployment, and answers nothing.

use crate::context::CommandContext;
use crate::control_plane::ControlPlane;
use crate::failure::{Exit, Failure};
use crate::global::Global;
use crate::names::DeploymentPrefix;
use crate::question;
use crate::report::Report;
use crate::views::question::answer_with;
use crate::views::why;
use clap::Args;
use lockstep_domain::delivery::approval::open_question;
use lockstep_domain::messages::callers::Callers;
use lockstep_domain::records::DeploymentState;
use serde_json::json;

/// The arguments of `question`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The deployment that asks, or the beginning of its id
    deployment: DeploymentPrefix,
}

/// Shows a question. The exit code is 3 while it is open.
pub async fn run(
    arguments: &Arguments,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let plane = ControlPlane::open_for(Callers::Approvers, global, context).await?;
    let deployment = plane.deployment_called(&arguments.deployment).await?;
    let decisions = plane.decisions(&deployment.id).await?;
    let (output, id) = (&context.output, deployment.id.short());
    let waits = deployment.state == DeploymentState::AwaitingApproval;
    let Some(asked) = open_question(&deployment, &decisions).filter(|_| waits) else {
        let (title, state) = (why::title(&deployment), why::state(deployment.state));
        output.line(format!(
            "{title} ({id}) has no open question (state: {state}); its history: lockstep why {id}"
        ));
        return Ok(Report::done(json!({ "deployment": deployment, "question": null })));
    };
    question::show_or_say_why(&plane, &deployment, asked, &decisions, output).await?;
    let command = answer_with(&deployment, asked);
    output.line(format!("to answer: {command}"));
    let document = json!({
        "deployment": deployment, "question": asked, "decisions": decisions, "approve_with": command,
    });
    Ok(Report { document, exit: Exit::NeedsHuman })
}
