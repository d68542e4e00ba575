//! Follows an execution to its end, with the deployments that it starts.
//!
//! Step Functions reports the state of the execution. The ledger has its deployments, and the log of each deployment.
//! Nested executions need no search, because each of them belongs to a deployment.

mod queue;

use self::queue::{Behind, queued};
use crate::approvers;
use crate::context::CommandContext;
use crate::control_plane::ControlPlane;
use crate::failure::{Exit, Failure};
use crate::output::{Output, Progress, duration};
use crate::recipe_difference;
use crate::report::Report;
use crate::views::question::{answer_with, show, show_behind};
use crate::views::{clock, seconds, why};
use backon::{BackoffBuilder as _, ExponentialBuilder};
use jiff::Timestamp;
use lockstep_aws::operator::executions::{Execution, Status};
use lockstep_domain::delivery::approval::{answers_to, open_question};
use lockstep_domain::messages::inputs;
use lockstep_domain::messages::ledger::Summary;
use lockstep_domain::model::caught_error::CaughtError;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::FailureKind;
use lockstep_domain::model::ids::{ComponentName, DeploymentId, ImageName, StageName};
use lockstep_domain::model::outcome::Outcome;
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{
    Approval, Deployment, DeploymentBody, DeploymentState, ImageOrigin, ImageVersion,
};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
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
}

/// The result of following an execution.
#[derive(Clone, Debug)]
pub struct Followed {
    /// The reason for which following stopped.
    pub end: End,
    /// Its deployments, in the order of their start.
    pub deployments: Vec<Deployment>,
}

/// A line of output about a deployment.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct FollowEvent<'a> {
    at: Timestamp,
    deployment: &'a DeploymentId,
    what: String,
    says: &'a str,
}

/// The options of following an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowOptions {
    /// Following stops at a question with a number above this. `None` means that it stops at no question.
    pub after_question: Option<u32>,
    /// Log lines before this time are not printed.
    pub since: Timestamp,
}

/// Follows the execution `arn`.
pub async fn follow(
    plane: &ControlPlane,
    arn: &str,
    options: FollowOptions,
    output: &Output,
) -> Result<Followed, Failure> {
    let progress = output.progress(title(arn));
    let printed = BTreeMap::new();
    let mut printer = Printer { plane, output, since: options.since, printed, waits: None, progress };
    let mut pauses = pauses(plane.connection.local.is_some());
    loop {
        let execution = plane.executions.describe(arn).await?.ok_or_else(|| {
            Failure::new(format!("execution {arn} does not exist"))
                .next("list the executions: aws stepfunctions list-executions --state-machine-arn <arn>")
        })?;
        let deployments = deployments_of(plane, &execution).await?;
        for deployment in &deployments {
            printer.print_new(deployment).await?;
        }
        if execution.status != Status::Running {
            printer.finish();
            return Ok(Followed { end: End::Over(Box::new(execution)), deployments });
        }
        for asking in deployments.iter().filter(|deployment| stops(deployment, options)) {
            if open_question(asking, &plane.decisions(&asking.id).await?).is_some() {
                let end = End::NeedsApproval(Box::new(asking.clone()));
                printer.finish();
                return Ok(Followed { end, deployments });
            }
        }
        if deployments.iter().all(|deployment| deployment.state.is_final())
            && let Some(behind) = queued(plane, &execution).await?
        {
            printer.print_wait(&behind);
            if options.after_question.is_some() && behind.asking().is_some() {
                printer.finish();
                return Ok(Followed { end: End::Behind(Box::new(behind)), deployments });
            }
        }
        tokio::time::sleep(pauses.next().unwrap_or_default()).await;
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
    let _progress = output.progress(title(arn));
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

/// A printer of new log lines. It remembers what it has printed of each deployment.
struct Printer<'a> {
    plane: &'a ControlPlane,
    output: &'a Output,
    since: Timestamp,
    printed: BTreeMap<DeploymentId, (usize, Option<DeploymentState>)>,
    /// The sentence about the wait that was printed last.
    waits: Option<String>,
    progress: Progress,
}

impl Printer<'_> {
    async fn print_new(&mut self, deployment: &Deployment) -> Result<(), Failure> {
        let (lines, state) = self.printed.get(&deployment.id).copied().unwrap_or_default();
        if state.is_some_and(DeploymentState::is_final) {
            return Ok(());
        }
        let log = self.plane.deployment_log(&deployment.id).await?;
        let since = self.since;
        for step in log.iter().skip(lines).filter(|step| step.at >= since) {
            self.say(step.at, deployment, &step.note);
        }
        if state != Some(deployment.state) && deployment.state != DeploymentState::Running {
            let at = deployment.finished_at.unwrap_or_else(Timestamp::now);
            self.say(at, deployment, &ending(deployment));
        }
        self.printed.insert(deployment.id.clone(), (log.len(), Some(deployment.state)));
        Ok(())
    }

    fn print_wait(&mut self, behind: &Behind) {
        let sentence = behind.sentence();
        if self.waits.as_ref() != Some(&sentence) {
            self.progress.line(format!("{}  {sentence}", clock(Timestamp::now())));
            self.waits = Some(sentence);
        }
    }

    fn say(&mut self, at: Timestamp, deployment: &Deployment, what: &str) {
        let about = why::title(deployment);
        self.output.event(&FollowEvent { at, deployment: &deployment.id, what: about.clone(), says: what });
        self.progress.line(format!("{}  {about}: {}", clock(at), cut(what)));
    }

    fn finish(self) {
        drop(self.progress);
    }
}

/// Cuts a note to one line. `lockstep why` prints the whole note.
fn cut(note: &str) -> String {
    const CHARS: usize = 120;
    match note.char_indices().nth(CHARS) {
        None => note.to_owned(),
        Some((end, _)) => format!("{}…", note[..end].trim_end()),
    }
}

fn ending(deployment: &Deployment) -> String {
    let took = deployment.finished_at.map(|at| duration(seconds(deployment.started_at, at)));
    let took = took.map(|took| format!(" after {took}")).unwrap_or_default();
    let cause =
        deployment.failure.as_ref().map(|failure| format!(": {}", failure.message)).unwrap_or_default();
    format!("{}{took}{cause}", why::state(deployment.state))
}

/// Returns the state machine and the name of an execution, from its ARN.
fn title(arn: &str) -> String {
    let mut parts = arn.rsplit(':');
    let (name, machine) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    format!("{machine} {name}")
}

/// The deployments that belong to an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Scope {
    /// One teardown or promotion of an image.
    One(DeploymentId),
    /// One deployment to a stage, and the images it needs.
    Deployment(DeploymentId, StageName),
    /// The deployments of every release that it packaged, and of the images that it baked before.
    Release,
    /// Every build and copy of the version that it bakes.
    Bake,
    /// One build of an image.
    Build(ImageName, Version, StageName),
    /// One release on its way to one stage, and the images it needs.
    Promotion(ComponentName, Version, StageName),
}

fn scope(execution: &Execution) -> Scope {
    let machine = execution.arn.rsplit(':').nth(1).unwrap_or_default();
    match machine {
        "lockstep-release" => Scope::Release,
        "lockstep-bake-image" => Scope::Bake,
        "lockstep-delivery-build-image" | "lockstep-promotion-build-image" => {
            match serde_json::from_value::<inputs::BuildImage>(execution.input.clone()) {
                Ok(input) => Scope::Build(input.image, input.version, input.stage),
                Err(_) => Scope::One(DeploymentId::of_execution(&execution.arn)),
            }
        }
        "lockstep-promote" => match serde_json::from_value::<inputs::Promote>(execution.input.clone()) {
            Ok(input) => Scope::Promotion(input.component, input.version, input.to),
            Err(_) => Scope::One(DeploymentId::of_execution(&execution.arn)),
        },
        "lockstep-delivery-deploy" | "lockstep-promotion-deploy" => {
            let id = DeploymentId::of_execution(&execution.arn);
            match serde_json::from_value::<inputs::Deploy>(execution.input.clone()) {
                Ok(input) => Scope::Deployment(id, input.stage),
                Err(_) => Scope::One(id),
            }
        }
        _ => Scope::One(DeploymentId::of_execution(&execution.arn)),
    }
}

async fn deployments_of(plane: &ControlPlane, execution: &Execution) -> Result<Vec<Deployment>, Failure> {
    let scope = scope(execution);
    if let Scope::One(id) = &scope {
        let key = Deployment::key_of(id);
        return Ok(plane.ledger.get(&key).await?.map(|found| found.record).into_iter().collect());
    }
    let made = Products {
        packaged: match scope {
            Scope::Release => {
                let releases = plane.releases(None).await?.into_iter();
                releases.filter(|r| r.execution == execution.arn).map(|r| (r.component, r.version)).collect()
            }
            _ => BTreeSet::new(),
        },
        baked: match scope {
            Scope::Release | Scope::Bake => {
                let versions = plane.image_versions().await?.into_iter();
                versions.filter(|v| is_baked_by(v, execution)).map(|v| (v.name, v.version)).collect()
            }
            _ => BTreeSet::new(),
        },
    };
    let mut found: Vec<Deployment> = plane.deployments().await?;
    found.retain(|deployment| began_within(deployment, execution) && belongs(deployment, &scope, &made));
    found.sort_by_key(|deployment| deployment.started_at);
    // The index lags behind the table, so each record is read again from the table.
    let mut current = Vec::with_capacity(found.len());
    for deployment in found {
        current.push(plane.deployment(&deployment.id).await?);
    }
    Ok(current)
}

fn began_within(deployment: &Deployment, execution: &Execution) -> bool {
    let after = deployment.started_at >= execution.started_at;
    after && execution.ended_at.is_none_or(|ended| deployment.started_at <= ended)
}

/// The releases and image versions of an execution.
struct Products {
    packaged: BTreeSet<(ComponentName, Version)>,
    baked: BTreeSet<(ImageName, Version)>,
}

/// Returns true if the execution baked the version, or started the execution that did, for the same commit.
fn is_baked_by(version: &ImageVersion, execution: &Execution) -> bool {
    let same_commit = version.commit().is_some_and(|commit| execution.input["commit"] == commit.as_str());
    let baked = matches!(version.origin, ImageOrigin::Baked { .. });
    version.recorded_by == execution.arn || (baked && same_commit)
}

fn belongs(deployment: &Deployment, scope: &Scope, made: &Products) -> bool {
    use DeploymentBody::{BuildImage, Deploy, PromoteImage};
    let baked = |image: &ImageName| made.baked.contains(&(image.clone(), deployment.version.clone()));
    match (scope, &deployment.body) {
        (Scope::One(id), _) => deployment.id == *id,
        (Scope::Deployment(_, stage), PromoteImage(_)) => deployment.stage == *stage,
        (Scope::Deployment(id, _), _) => deployment.id == *id,
        (Scope::Bake | Scope::Release, BuildImage(build)) if baked(&build.image) => true,
        (Scope::Bake | Scope::Release, PromoteImage(promotion)) if baked(&promotion.image) => true,
        (Scope::Build(image, version, stage), BuildImage(build)) => {
            build.image == *image && deployment.version == *version && deployment.stage == *stage
        }
        (Scope::Release, PromoteImage(_)) => deployment.path == DeploymentPath::Delivery,
        (Scope::Release, Deploy(deploy)) => {
            let release = (deploy.stack.component.clone(), deployment.version.clone());
            deployment.path == DeploymentPath::Delivery && made.packaged.contains(&release)
        }
        (Scope::Promotion(component, version, to), Deploy(deploy)) => {
            deploy.stack.component == *component && deployment.version == *version && deployment.stage == *to
        }
        (Scope::Promotion(_, _, to), PromoteImage(_)) => deployment.stage == *to,
        _ => false,
    }
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
    let report = report(&followed, context);
    if let End::NeedsApproval(deployment) = &followed.end
        && let Some(question) = deployment.approvals.last()
    {
        show_behind(plane.environment_of(deployment).await?.as_ref(), &context.output);
        recipe_difference::show_or_say_why(plane, question, &context.output).await;
        let decisions = plane.decisions(&deployment.id).await?;
        let answers = answers_to(&decisions, question.number);
        approvers::show(plane, deployment, answers, &context.output).await?;
    }
    Ok(report)
}

/// Follows an execution to its end through every question. Prints a JSON document for each event.
pub async fn follow_through(
    plane: &ControlPlane,
    execution: &str,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let options = FollowOptions { after_question: None, since: Timestamp::UNIX_EPOCH };
    let followed = follow(plane, execution, options, &context.output).await?;
    Ok(report(&followed, context))
}

/// Prints the result of following and returns it as the command's report.
pub fn report(followed: &Followed, context: &CommandContext) -> Report {
    let output = &context.output;
    match &followed.end {
        End::NeedsApproval(deployment) => {
            let mut command = String::new();
            if let Some(question) = deployment.approvals.last() {
                show(deployment, question, output);
                command = answer_with(deployment, question);
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
        End::Over(execution) => report_of_end(execution, &followed.deployments, context),
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

    fn execution(machine: &str, input: serde_json::Value) -> Execution {
        Execution {
            arn: format!("arn:aws:states:eu-west-1:111111111111:execution:{machine}:x"),
            input,
            status: Status::Running,
            started_at: Timestamp::UNIX_EPOCH,
            ended_at: None,
        }
    }

    #[test]
    fn the_scope_of_a_promotion_is_its_release_and_stage() {
        let input = json!({"component": "logs", "version": "2.1.0", "to": "production"});
        let expected = Scope::Promotion(
            "logs".parse().unwrap(),
            "2.1.0".parse().unwrap(),
            "production".parse().unwrap(),
        );
        assert_eq!(scope(&execution("lockstep-promote", input)), expected);
    }

    #[test]
    fn the_scope_of_a_deployment_is_its_id_and_stage() {
        let input = json!({"component": "logs", "version": "2.1.0", "stage": "ci"});
        let execution = execution("lockstep-delivery-deploy", input);
        let id = DeploymentId::of_execution(&execution.arn);
        assert_eq!(scope(&execution), Scope::Deployment(id, "ci".parse().unwrap()));
    }

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
    fn a_long_note_is_cut_to_a_line() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"ä".repeat(500)).chars().count(), 121);
    }

    #[test]
    fn the_title_has_the_state_machine_and_the_execution() {
        assert_eq!(
            title("arn:aws:states:eu-west-1:1:execution:lockstep-release:abc"),
            "lockstep-release abc"
        );
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
