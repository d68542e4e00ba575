//! Follows an execution to its end, with the deployments that it starts.
//!
//! Step Functions reports the state of the execution. The ledger has its deployments, and the log of each deployment.
//! Nested executions need no search, because each of them belongs to a deployment.

mod end;
mod progress;
mod queue;
mod scope;
mod verbose;

pub use self::end::report;
use self::progress::Progress;
use self::queue::{Behind, queued};
use self::scope::deployments_of;
use crate::context::CommandContext;
use crate::control_plane::ControlPlane;
use crate::failure::Failure;
use crate::output::Output;
use crate::report::Report;
use backon::{BackoffBuilder as _, ExponentialBuilder};
use jiff::Timestamp;
use lockstep_aws::operator::executions::{Execution, Status};
use lockstep_domain::delivery::approval::open_question;
use lockstep_domain::records::{Approval, Deployment, DeploymentState};
use serde_json::Value;
use std::time::Duration;

/// The reason for which following stopped.
#[derive(Clone, Debug)]
pub enum End {
    /// The execution ended.
    Over(Box<Execution>),
    /// A deployment waits for an approver.
    NeedsApproval(Box<Deployment>),
    /// A deployment waits in a queue behind the open question of another one.
    Behind(Box<Behind>),
    /// The caller interrupted the command. The execution with this ARN continues; its input follows, if it is known.
    Interrupted(String, Option<Value>),
}

/// The result of following an execution.
#[derive(Clone, Debug)]
pub struct Followed {
    /// The reason for which following stopped.
    pub end: End,
    /// Its deployments, in the order of their start.
    pub deployments: Vec<Deployment>,
}

/// The options of following an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowOptions {
    /// Following stops at a question with a number above this. `None` means that it stops at no question.
    pub after_question: Option<u32>,
    /// Log lines before this time are not printed.
    pub since: Timestamp,
}

/// Follows the execution `arn`. An interruption by the caller ends the following, and not the execution.
pub async fn follow(
    plane: &ControlPlane,
    arn: &str,
    options: FollowOptions,
    output: &Output,
) -> Result<Followed, Failure> {
    let mut progress = Progress::begin(plane, options.since, output).await?;
    let mut last = Last::default();
    let end = tokio::select! {
        end = until_end(plane, arn, options, &mut progress, &mut last) => Some(end?),
        Ok(()) = tokio::signal::ctrl_c() => None,
    };
    progress.finish();
    let end = end.unwrap_or_else(|| End::Interrupted(arn.to_owned(), last.input));
    Ok(Followed { end, deployments: last.deployments })
}

/// The last reading of an execution.
#[derive(Default)]
struct Last {
    input: Option<Value>,
    deployments: Vec<Deployment>,
}

async fn until_end(
    plane: &ControlPlane,
    arn: &str,
    options: FollowOptions,
    progress: &mut Progress<'_>,
    last: &mut Last,
) -> Result<End, Failure> {
    let mut pauses = pauses(plane.connection.local.is_some());
    loop {
        let execution = plane.executions.describe(arn).await?.ok_or_else(|| {
            Failure::new(format!("execution {arn} does not exist"))
                .next("list the executions: aws stepfunctions list-executions --state-machine-arn <arn>")
        })?;
        *last = Last {
            input: Some(execution.input.clone()),
            deployments: deployments_of(plane, &execution).await?,
        };
        let deployments = &last.deployments;
        let is_over = execution.status != Status::Running;
        let waits = !is_over && deployments.iter().all(|deployment| deployment.state.is_final());
        let behind = if waits { queued(plane, &execution).await? } else { None };
        progress.show(&execution, deployments, behind.as_ref()).await?;
        if is_over {
            return Ok(End::Over(Box::new(execution)));
        }
        for asking in deployments.iter().filter(|deployment| stops(deployment, options)) {
            if open_question(asking, &plane.decisions(&asking.id).await?).is_some() {
                return Ok(End::NeedsApproval(Box::new(asking.clone())));
            }
        }
        if let Some(behind) = behind
            && options.after_question.is_some()
            && behind.asking().is_some()
        {
            return Ok(End::Behind(Box::new(behind)));
        }
        progress.pause(pauses.next().unwrap_or_default()).await;
    }
}

/// Returns true if a deployment waits with a question after the last one that the caller knows. The question may be
/// answered.
fn stops(deployment: &Deployment, options: FollowOptions) -> bool {
    let waits = deployment.state == DeploymentState::AwaitingApproval;
    let number = deployment.approvals.last().filter(|_| waits).map(|question| question.number);
    options.after_question.is_some_and(|after| number.is_some_and(|number| number > after))
}

/// Waits for the end of an execution that begins no deployment.
pub async fn wait(plane: &ControlPlane, arn: &str, output: &Output) -> Result<Execution, Failure> {
    let _progress = output.progress(machine(arn));
    let mut pauses = pauses(plane.connection.local.is_some());
    loop {
        let found = plane.executions.describe(arn).await?;
        let found = found.ok_or_else(|| Failure::new(format!("execution {arn} does not exist")))?;
        if found.status != Status::Running {
            return Ok(found);
        }
        if let Some(pause) = pauses.next() {
            tokio::time::sleep(pause).await;
        }
    }
}

/// Returns the pauses between polls. They grow from 100 ms to 400 ms on this machine, and to 4 s on AWS, where each
/// poll counts against a quota.
fn pauses(local: bool) -> impl Iterator<Item = Duration> {
    let longest = if local { Duration::from_millis(400) } else { Duration::from_secs(4) };
    let growing = ExponentialBuilder::new().with_min_delay(Duration::from_millis(100)).with_factor(1.5);
    growing.with_max_delay(longest).without_max_times().build()
}

/// Returns the state machine of an execution, from its ARN.
fn machine(arn: &str) -> String {
    arn.rsplit(':').nth(1).unwrap_or_default().to_owned()
}

/// Follows an execution to its end or to a question, and returns the report.
pub async fn follow_to_end(
    plane: &ControlPlane,
    execution: &str,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let options = FollowOptions { after_question: Some(0), since: Timestamp::UNIX_EPOCH };
    follow_so(plane, execution, options, context).await
}

/// Follows an execution after `answered` was answered. Prints no log lines from before that question.
pub async fn follow_on(
    plane: &ControlPlane,
    execution: &str,
    answered: &Approval,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let options = FollowOptions { after_question: Some(answered.number), since: answered.asked_at };
    follow_so(plane, execution, options, context).await
}

async fn follow_so(
    plane: &ControlPlane,
    execution: &str,
    options: FollowOptions,
    context: &CommandContext,
) -> Result<Report, Failure> {
    // One JSON document at the end and none before it: only `watch` prints many.
    let followed = follow(plane, execution, options, &context.output.without_events()).await?;
    report(plane, &followed, context).await
}

/// Follows an execution to its end through every question. Prints a JSON document for each event.
pub async fn follow_through(
    plane: &ControlPlane,
    execution: &str,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let options = FollowOptions { after_question: None, since: Timestamp::UNIX_EPOCH };
    let followed = follow(plane, execution, options, &context.output).await?;
    report(plane, &followed, context).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn following_stops_at_a_new_question() {
        use crate::views::testing::{asking, deployment};
        use lockstep_domain::records::{Proposal, ProposedAction, Subject};
        let proposal = Proposal {
            stack: "arn".into(),
            action: ProposedAction::Delete,
            resources: vec![],
            policies: None,
        };
        let mut deployment = deployment();
        let options = |after_question| FollowOptions { after_question, since: Timestamp::UNIX_EPOCH };
        assert!(!stops(&deployment, options(Some(0))));
        deployment.approvals.push(asking(Subject::Proposal(proposal)));
        assert!(!stops(&deployment, options(Some(0))), "the deployment does not wait yet");
        deployment.state = DeploymentState::AwaitingApproval;
        assert!(stops(&deployment, options(Some(0))));
        assert!(!stops(&deployment, options(Some(1))));
        assert!(!stops(&deployment, options(None)));
    }

    #[test]
    fn the_state_machine_of_an_execution_is_in_its_arn() {
        assert_eq!(machine("arn:aws:states:eu-west-1:1:execution:lockstep-release:abc"), "lockstep-release");
    }
}
