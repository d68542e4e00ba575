//! The report of a command that followed an execution.

use super::{End, Followed};
use crate::context::CommandContext;
use crate::control_plane::ControlPlane;
use crate::failure::{Exit, Failure};
use crate::question;
use crate::report::Report;
use crate::views::question::answer_with;
use crate::views::why;
use lockstep_aws::operator::executions::{Execution, Status};
use lockstep_domain::messages::ledger::Summary;
use lockstep_domain::model::caught_error::CaughtError;
use lockstep_domain::model::error::FailureKind;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::model::outcome::Outcome;
use lockstep_domain::records::Deployment;
use serde_json::{Value, json};

/// Prints the result of following and returns it as the command's report.
pub async fn report(
    plane: &ControlPlane,
    followed: &Followed,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let output = &context.output;
    Ok(match &followed.end {
        End::NeedsApproval(deployment) => {
            let mut command = String::new();
            if let Some(asked) = deployment.approvals.last() {
                let decisions = plane.decisions(&deployment.id).await?;
                question::show_or_say_why(plane, deployment, asked, &decisions, output).await?;
                command = answer_with(deployment, asked);
                output.line(format!("the deployment waits for approval: {command}"));
            }
            let document = json!({
                "outcome": Outcome::NeedsApproval, "deployment": deployment, "approve_with": command,
            });
            Report { document, exit: Exit::NeedsHuman }
        }
        End::Behind(behind) => {
            let asking = behind.asking();
            let command = asking.map(|asking| format!("lockstep approve {}", asking.id.short()));
            let next = command.as_ref().map(|command| format!(": {command}")).unwrap_or_default();
            output.line(format!("{}{next}", behind.sentence()));
            let document = json!({
                "outcome": Outcome::NeedsApproval, "deployment": asking, "queued": behind.queued,
                "approve_with": command,
            });
            Report { document, exit: Exit::NeedsHuman }
        }
        End::Interrupted(execution, input) => {
            let (sentence, command) = left(execution, input.as_ref(), &followed.deployments);
            output.note(sentence);
            let document = json!({
                "interrupted": true, "execution": execution, "deployments": followed.deployments,
                "watch_with": command,
            });
            Report { document, exit: Exit::Interrupted }
        }
        End::Over(execution) => report_of_end(execution, &followed.deployments, context),
    })
}

/// Returns the sentence about what continues without the command, and the command that follows it again.
fn left(execution: &str, input: Option<&Value>, deployments: &[Deployment]) -> (String, String) {
    let running: Vec<&Deployment> = deployments.iter().filter(|it| !it.state.is_final()).collect();
    let subject = match running.as_slice() {
        [] => "what was started".to_owned(),
        [one] => why::title(one),
        many => format!("{} deployments", many.len()),
    };
    let command = format!("lockstep watch {}", watched_as(execution, input, deployments));
    (format!("{subject} continues without this command; to come back: {command}"), command)
}

/// Returns the shortest name by which `lockstep watch` finds an execution again.
fn watched_as(execution: &str, input: Option<&Value>, deployments: &[Deployment]) -> String {
    let own = DeploymentId::of_execution(execution);
    if deployments.iter().any(|deployment| deployment.id == own) {
        return own.short().to_owned();
    }
    let text = |name: &str| input.and_then(|input| input[name].as_str());
    match (deployments, text("commit"), text("component"), text("version")) {
        // A release with a deployment is packaged, so the ledger knows its commit.
        ([_, ..], Some(commit), ..) => commit.chars().take(7).collect(),
        ([_, ..], None, Some(component), Some(version)) => format!("{component}@{version}"),
        _ => execution.to_owned(),
    }
}

fn report_of_end(execution: &Execution, deployments: &[Deployment], context: &CommandContext) -> Report {
    let output = &context.output;
    let mut document = json!({ "execution": execution, "deployments": deployments });
    let (outcome, cause, kind) = match &execution.status {
        Status::Running => (Outcome::Failed, "the execution is still running".to_owned(), None),
        Status::Succeeded { output: answer } => {
            let (outcome, cause) = ending_of(answer);
            (outcome, cause, answer["error"].as_str().and_then(FailureKind::named))
        }
        Status::Failed { error, cause } => {
            let caught = CaughtError { error: error.clone(), cause: cause.clone() };
            (caught.outcome(), caught.bracketed(), caught.kind())
        }
    };
    let exit = match (outcome, &execution.status) {
        (Outcome::Failed, Status::Failed { error, .. }) if error == "StackNeedsHuman" => Exit::NeedsHuman,
        (_, Status::Failed { .. }) | (Outcome::Failed, _) => Exit::Failed,
        _ => Exit::Done,
    };
    document["outcome"] = json!(outcome);
    output.line(if cause.is_empty() { outcome.to_string() } else { format!("{outcome}: {cause}") });
    if exit != Exit::Done {
        let unhappy = |d: &&Deployment| d.state.outcome().is_some_and(|outcome| !outcome.is_success());
        for deployment in deployments.iter().filter(unhappy) {
            output.line(format!("details: lockstep why {}", deployment.id.short()));
        }
        let failure = Failure::of_kind(kind, cause);
        if !deployments.iter().any(|deployment| unhappy(&deployment)) {
            output.line(format!("next: {}", failure.next_step()));
        }
        return Report { document, exit }.failed(&failure);
    }
    Report { document, exit }
}

/// Returns the outcome and its cause from the output of an execution that succeeded. The output of `release` has an
/// outcome of its own; every other execution is done.
fn ending_of(answer: &Value) -> (Outcome, String) {
    match serde_json::from_value::<Summary>(answer.clone()) {
        Ok(Summary { outcome: Outcome::Done, .. }) => (Outcome::Done, String::new()),
        Ok(Summary { outcome: Outcome::Superseded, cause, .. }) => (Outcome::Superseded, cause),
        Ok(Summary { cause, .. }) => (Outcome::Failed, cause),
        Err(error) if answer.get("results").is_some() => {
            (Outcome::Failed, format!("the summary of the release cannot be read: {error}"))
        }
        Err(_) => (Outcome::Done, String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::testing::deployment;

    #[test]
    fn an_interrupted_command_says_what_continues() {
        let followed = deployment();
        let deployments = std::slice::from_ref(&followed);
        let (sentence, command) = left("arn:x", None, deployments);
        let short = followed.id.short();
        assert_eq!(command, format!("lockstep watch {short}"));
        assert_eq!(
            sentence,
            format!("logs 2.1.3 to ci continues without this command; to come back: {command}")
        );
        let release = json!({ "commit": "5b1f0f0b6f3c1b0a5f1d2e7c9a8b7c6d5e4f3a2b" });
        let promotion = json!({ "component": "logs", "version": "2.1.3", "to": "ci" });
        let name = |input, deployments| watched_as("arn:other", input, deployments);
        assert_eq!(name(Some(&release), deployments), "5b1f0f0");
        assert_eq!(name(Some(&promotion), deployments), "logs@2.1.3");
        assert_eq!([name(Some(&release), &[]), name(None, deployments)], ["arn:other", "arn:other"]);
        assert!(left("arn:other", None, &[]).0.starts_with("what was started continues"));
    }

    #[test]
    fn a_release_with_a_rejected_component_failed() {
        let rejected =
            json!({ "outcome": "rejected", "error": "Rejected", "cause": "a.toml:1: no", "results": [] });
        assert_eq!(ending_of(&rejected), (Outcome::Failed, "a.toml:1: no".to_owned()));
        assert_eq!(ending_of(&json!({"outcome": "succeeded"})).0, Outcome::Done);
    }

    #[test]
    fn a_release_with_an_unknown_outcome_is_no_success() {
        let odd = json!({ "outcome": "odd", "error": "", "cause": "", "results": [] });
        assert_eq!(ending_of(&odd).0, Outcome::Failed);
    }

    #[test]
    fn a_superseded_release_did_not_fail() {
        let overtaken =
            json!({ "outcome": "superseded", "error": "", "cause": "main is at 1", "results": [] });
        assert_eq!(ending_of(&overtaken), (Outcome::Superseded, "main is at 1".to_owned()));
    }
}
