//! The history of a deployment, as `lockstep why` prints it.

use super::attention::{is_success, judges, last_of_each};
use super::{clock, seconds, time};
use crate::output::duration;
use lockstep_domain::delivery::approval::decision_on;
use lockstep_domain::model::error::bracketed;
use lockstep_domain::model::ids::{ComponentName, StageName, TEST};
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{
    Approval, ApprovalDecision, Decision, DeployBody, Deployment, DeploymentBody, DeploymentState,
    FailedEvent, LogEntry, NamedResource, Operation, OperationKind, Rejection, Release, ReleaseState,
};
use std::fmt;

/// Returns a state in plain words.
pub fn state(state: DeploymentState) -> &'static str {
    match state {
        DeploymentState::Running => "running",
        DeploymentState::AwaitingApproval => "waiting for approval",
        DeploymentState::Succeeded => "succeeded",
        DeploymentState::NoChanges => "no changes",
        DeploymentState::Planned => "only planned",
        DeploymentState::Failed => "failed",
        DeploymentState::Refused => "refused",
        DeploymentState::Abandoned => "abandoned",
        DeploymentState::Cancelled => "cancelled",
        DeploymentState::Superseded => "superseded",
        DeploymentState::Expired => "expired",
    }
}

/// Returns the title of a deployment, such as `logs-broker 2.1.0 to production`.
pub fn title(deployment: &Deployment) -> String {
    let subject = subject(deployment);
    if deployment.is_plan_only() { format!("the plan of {subject}") } else { subject }
}

/// Returns the same without the mark of a plan.
pub fn subject(deployment: &Deployment) -> String {
    let (version, stage) = (&deployment.version, &deployment.stage);
    match &deployment.body {
        DeploymentBody::PromoteImage(promotion) => format!("image {} {version} to {stage}", promotion.image),
        DeploymentBody::BuildImage(build) => format!("the build of {} {version} for {stage}", build.image),
        DeploymentBody::PublishImage(publication) => {
            format!("the publication of {} {version} in {stage}", publication.image)
        }
        DeploymentBody::Teardown(teardown) => {
            format!("the teardown of {} in {stage}", teardown.stack.environment)
        }
        DeploymentBody::Deploy(deploy) => {
            let (component, environment) = (&deploy.stack.component, &deploy.stack.environment);
            // The name of a test stack repeats the release.
            let clone = environment != component.as_str() && stage.as_str() != TEST;
            let name = if clone { format!(" as {environment}") } else { String::new() };
            format!("{component} {version} to {stage}{name}")
        }
    }
}

/// A component or a release, perhaps in one stage.
#[derive(Clone, Copy, Debug)]
pub struct Sought<'a> {
    /// The component.
    pub component: &'a ComponentName,
    /// The version of the release; `None` for any.
    pub version: Option<&'a Version>,
    /// The stage; `None` for any.
    pub stage: Option<&'a StageName>,
}

impl fmt::Display for Sought<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.component)?;
        self.version.map_or(Ok(()), |version| write!(f, " {version}"))?;
        self.stage.map_or(Ok(()), |stage| write!(f, " in {stage}"))
    }
}

/// Returns the deployment that explains a component or a release: the newest failure that no later deployment of its
/// environment ended, or the newest deployment if none failed. Plans explain neither.
pub fn culprit<'a>(deployments: &'a [Deployment], sought: &Sought<'_>) -> Option<&'a Deployment> {
    let own: Vec<&Deployment> = deployments
        .iter()
        .filter(|deployment| {
            deployment.component() == Some(sought.component)
                && sought.version.is_none_or(|version| deployment.version == *version)
                && sought.stage.is_none_or(|stage| deployment.stage == *stage)
                && !deployment.is_plan_only()
        })
        .collect();
    let started = |deployment: &&&Deployment| (deployment.started_at, deployment.id.clone());
    // Each test stack is an environment of its own, so the newest one speaks for the component.
    let tests = own.iter().copied().filter(|it| it.stage.as_str() == TEST && judges(it));
    let test = tests.max_by_key(|it| (it.started_at, it.id.clone()));
    let last = last_of_each(own.iter().copied()).chain(test).filter(|it| !is_success(it));
    let failed = last.max_by_key(|it| (it.started_at, it.id.clone()));
    failed.or_else(|| own.iter().max_by_key(started).copied())
}

/// Returns the lines about a commit that could not be packaged.
pub fn of_rejection(rejection: &Rejection) -> Vec<String> {
    let Rejection { component, repository, commit, author, problems, rejected_at } = rejection;
    let head = format!("{component}: commit {} was rejected at {}", commit.short(), time(*rejected_at));
    let origin = format!("  commit      {commit} of {repository} by {author}");
    let problems = problems.iter().map(|problem| format!("  {problem}"));
    [head, origin].into_iter().chain(problems).collect()
}

/// Returns the lines about a release that no deployment brought anywhere.
pub fn of_release(release: &Release) -> Vec<String> {
    let state = match release.state {
        ReleaseState::Packaged => "packaged, and its test has not ended",
        ReleaseState::Published => "published, and no known deployment brought it to a stage",
        ReleaseState::TestFailed => "its test failed",
    };
    let mut lines = vec![format!("{} {}: {state}", release.component, release.version)];
    lines.extend(origin(release));
    lines.extend(release.failure.iter().map(|why| format!("  failed      {why}")));
    lines
}

/// Returns the lines of the history. `decisions` are the answers to the deployment's questions, and `release` is its
/// release, if it has one.
pub fn history(
    deployment: &Deployment,
    decisions: &[ApprovalDecision],
    release: Option<&Release>,
    log: &[LogEntry],
) -> Vec<String> {
    let mut lines = vec![
        format!("{}: {}", title(deployment), state(deployment.state)),
        format!("  deployment  {}", deployment.id),
        format!("  where       account {}, {}", deployment.location.account, deployment.location.region),
        format!("  when        {}", when(deployment)),
        format!("  execution   {}", deployment.execution),
    ];
    lines.extend(release.into_iter().flat_map(origin));
    lines.extend(deployment.deploy().into_iter().flat_map(peculiarities));
    lines.extend(cancellation(deployment));
    let answered = |question: &Approval| approval(question, decision_on(decisions, question.number));
    lines.extend(deployment.approvals.iter().flat_map(answered));
    lines.extend(unasked(deployment));
    lines.extend(failure(deployment));
    let place = |event| failed(event, release);
    let diagnosis = deployment.deploy().into_iter().flat_map(|deploy| &deploy.diagnosis);
    lines.extend(heading(&cause_of(release), diagnosis.map(place)));
    lines.extend(heading("started in AWS", deployment.operations.iter().map(operation)));
    let left = "left behind, unmanaged, when the stack was deleted";
    let orphans = deployment.stack().into_iter().flat_map(|stack| &stack.orphans);
    lines.extend(heading(left, orphans.map(named)));
    lines.extend(heading("deployment log", log.iter().map(|s| format!("{}  {}", clock(s.at), s.note))));
    lines
}

fn when(deployment: &Deployment) -> String {
    let began = time(deployment.started_at);
    match deployment.finished_at {
        Some(ended) => format!("{began}, took {}", duration(seconds(deployment.started_at, ended))),
        None => format!("{began}, not finished"),
    }
}

fn origin(release: &Release) -> [String; 2] {
    [
        format!("  commit      {} by {}", release.commit, release.author),
        format!("  from        {}, folder {}", release.repository, release.folder),
    ]
}

/// Returns lines on everything that differs from an ordinary deployment.
fn peculiarities(deploy: &DeployBody) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(stage) = &deploy.parameters_of {
        lines.push(format!("  parameters  those of {stage}"));
    }
    for (name, value) in &deploy.overrides {
        lines.push(format!("  override    {name} = {value}"));
    }
    if let Some(permission) = &deploy.break_glass {
        lines.push(format!(
            "  BREAK-GLASS without the evidence of the stage before, by {} at {}: {}",
            permission.by,
            time(permission.at),
            permission.reason
        ));
    }
    lines
}

fn cancellation(deployment: &Deployment) -> Option<String> {
    let request = deployment.cancellation.as_ref()?;
    Some(format!("  cancelled   by {} at {}: {}", request.by, time(request.at), request.reason))
}

fn approval(question: &Approval, given: Option<&ApprovalDecision>) -> Vec<String> {
    let asked = format!("  question {}  {}", question.number, question.reasons.join("; "));
    let decided = given.and_then(|given| {
        let (decision, last) = (given.decision?, given.last()?);
        let word = if decision == Decision::Approve { "approved" } else { "refused" };
        let reason = last.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        Some(format!("    {word} by {} at {}{reason}", last.by.arn, time(last.at)))
    });
    vec![asked, decided.unwrap_or_else(|| "    not answered".to_owned())]
}

/// Returns a line on a proposal that never became a question, because its deployment only planned or ended before.
fn unasked(deployment: &Deployment) -> Option<String> {
    let proposal = deployment.stack()?.proposal.as_ref()?;
    let key = proposal.key();
    let asked = deployment.approvals.iter().any(|approval| approval.subject.key() == key);
    (!asked).then(|| format!("  to allow    {key}"))
}

fn failure(deployment: &Deployment) -> Option<String> {
    let failure = deployment.failure.as_ref()?;
    Some(format!("  failed      {}", bracketed(&failure.message, &failure.error)))
}

/// Returns the heading above the causes, with the commit of their lines.
fn cause_of(release: Option<&Release>) -> String {
    let lines =
        release.map(|release| format!(" (lines as of {} by {})", release.commit.short(), release.author));
    format!("failed resources, first cause first{}", lines.unwrap_or_default())
}

fn failed(event: &FailedEvent, release: Option<&Release>) -> String {
    let file = release.and_then(template_file).unwrap_or_else(|| "template".to_owned());
    let place = event.line.map(|line| format!("{file}:{line}: ")).unwrap_or_default();
    let advice = event.denied.as_ref().map_or_else(String::new, |denied| format!("; {}", denied.advice()));
    format!(
        "{place}{} ({}) {}: {}{advice}",
        event.logical_id, event.resource_type, event.status, event.reason
    )
}

/// Returns the template's path in the repository.
fn template_file(release: &Release) -> Option<String> {
    match (release.folder.as_str(), release.template.as_str()) {
        (_, "") => None,
        ("", template) => Some(template.to_owned()),
        (folder, template) => Some(format!("{folder}/{template}")),
    }
}

fn operation(operation: &Operation) -> String {
    let what = match operation.operation {
        OperationKind::Execute => "execute the change set",
        OperationKind::Clear => "delete the stack that was never stable",
        OperationKind::Rollback => "roll the stack back",
        OperationKind::Replay => "deploy what the stack ran last again, in express mode",
        OperationKind::ContinueRollback => "continue the stack's rollback",
        OperationKind::Delete => "delete the stack",
        OperationKind::Destroy => "delete the test stack",
        OperationKind::Copy => "copy the image",
        OperationKind::Build => "build the image",
    };
    let without = match operation.without.as_slice() {
        [] => String::new(),
        names => format!(" without {}", names.join(", ")),
    };
    let again =
        if operation.attempt > 1 { format!(" (attempt {})", operation.attempt) } else { String::new() };
    format!("{}  {what}{without}{again}: {}", clock(operation.at), operation.target)
}

fn named(resource: &NamedResource) -> String {
    format!("{} ({}) {}", resource.name, resource.resource_type, resource.physical_id).trim_end().to_owned()
}

fn heading(title: &str, lines: impl Iterator<Item = String>) -> Vec<String> {
    let lines: Vec<String> = lines.map(|line| format!("    {line}")).collect();
    if lines.is_empty() { lines } else { std::iter::once(format!("  {title}")).chain(lines).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::testing::{asking, at, decided, deploy, deployment, deployment_of, release, stack_run};
    use lockstep_domain::model::ids::Digest;
    use lockstep_domain::records::AnswerKind;
    use lockstep_domain::records::{
        BreakGlass, Cancellation, FailureRecord, Proposal, ProposedAction, StackRun, Subject, TeardownBody,
    };

    fn failed_deployment() -> Deployment {
        let cause = FailedEvent {
            logical_id: "Queue".into(),
            resource_type: "AWS::SQS::Queue".into(),
            status: "CREATE_FAILED".into(),
            reason: "no such policy".into(),
            denied: None,
            line: Some(12),
            at: at(3),
        };
        Deployment {
            state: DeploymentState::Failed,
            failure: Some(FailureRecord {
                error: "StackFailed".into(),
                message: "the stack rolled back".into(),
            }),
            finished_at: Some(at(4)),
            ..deployment_of(DeployBody { diagnosis: vec![cause], ..deploy() })
        }
    }

    fn printed(deployment: &Deployment) -> String {
        history(deployment, &[], None, &[]).join("\n")
    }

    fn proposal() -> Proposal {
        let bucket = NamedResource {
            name: "Bucket".into(),
            resource_type: "AWS::S3::Bucket".into(),
            physical_id: "ci-logs-bucket".into(),
        };
        Proposal {
            stack: "arn:stack".into(),
            action: ProposedAction::Delete,
            resources: vec![bucket],
            policies: None,
        }
    }

    #[test]
    fn the_culprit_is_the_newest_open_failure_of_a_component() {
        use DeploymentState::{Cancelled, Failed, Succeeded};
        use lockstep_domain::model::ids::DeploymentId;
        let of = |execution: &str, stage: &str, state, second| Deployment {
            id: DeploymentId::of_execution(execution),
            stage: stage.parse().unwrap(),
            state,
            started_at: at(second),
            ..deployment()
        };
        let all = [
            of("production failed", "production", Failed, 10),
            of("production cancelled", "production", Cancelled, 40),
            of("ci failed", "ci", Failed, 20),
            of("ci succeeded", "ci", Succeeded, 30),
        ];
        let (logs, other) = ("logs".parse().unwrap(), "other".parse().unwrap());
        let (version, ci) = ("2.1.3".parse().unwrap(), "ci".parse().unwrap());
        let sought = Sought { component: &logs, version: None, stage: None };
        let found = |all: &[Deployment], sought: Sought<'_>| culprit(all, &sought).map(|it| it.id.clone());
        assert_eq!(found(&all, sought).as_ref(), Some(&all[0].id));
        assert_eq!(found(&all, Sought { version: Some(&version), ..sought }).as_ref(), Some(&all[0].id));
        assert_eq!(found(&all, Sought { stage: Some(&ci), ..sought }).as_ref(), Some(&all[3].id));
        assert_eq!(found(&all[2..], sought).as_ref(), Some(&all[3].id), "none failed, so the newest");
        assert_eq!(found(&all, Sought { component: &other, ..sought }), None);
        let mut tested = all.to_vec();
        tested.push(of("test failed", TEST, Failed, 50));
        assert_eq!(found(&tested, sought).as_ref(), Some(&tested[4].id));
        tested.push(of("test succeeded", TEST, Succeeded, 60));
        assert_eq!(found(&tested, sought).as_ref(), Some(&all[0].id));
    }

    #[test]
    fn a_release_without_a_deployment_shows_its_failed_test() {
        let failed = Release {
            state: ReleaseState::TestFailed,
            failure: Some("1 of 2 checks failed".into()),
            ..release()
        };
        insta::assert_snapshot!(of_release(&failed).join("\n"));
    }

    #[test]
    fn the_history_of_a_failure_has_the_first_cause_and_its_line() {
        insta::assert_snapshot!(history(&failed_deployment(), &[], Some(&release()), &[]).join("\n"));
    }

    #[test]
    fn a_release_without_a_template_name_still_shows_the_line() {
        let old = Release { template: String::new(), ..release() };
        for release in [None, Some(&old)] {
            let text = history(&failed_deployment(), &[], release, &[]).join("\n");
            assert!(text.contains("    template:12: Queue (AWS::SQS::Queue)"), "{text}");
        }
    }

    #[test]
    fn the_deployment_log_is_printed_in_order() {
        let deployment = deployment();
        let step = |number: u32, note: &str| LogEntry {
            deployment: deployment.id.clone(),
            number,
            note: note.into(),
            at: at(number.into()),
        };
        insta::assert_snapshot!(
            history(&deployment, &[], None, &[step(1, "plan"), step(2, "execute")]).join("\n")
        );
    }

    #[test]
    fn an_operation_in_aws_is_printed_without_its_token() {
        let operation = Operation {
            operation: OperationKind::ContinueRollback,
            token: "t0489c20de4961a06".into(),
            target: "arn:stack".into(),
            attempt: 2,
            without: vec!["Queue".into(), "Child.Topic".into()],
            at: at(1),
        };
        let text = printed(&Deployment { operations: vec![operation], ..deployment() });
        let line = "continue the stack's rollback without Queue, Child.Topic (attempt 2): arn:stack";
        assert!(text.contains(line), "{text}");
        assert!(!text.contains("t0489c20de4961a06"), "{text}");
    }

    #[test]
    fn break_glass_and_cancellation_are_printed_with_reasons() {
        let permission = BreakGlass {
            component: "logs".parse().unwrap(),
            digest: Digest::of(b"x"),
            stage: "ci".parse().unwrap(),
            version: "2.1.3".parse().unwrap(),
            by: "arn:ada".into(),
            reason: "the site is down".into(),
            at: at(0),
            used_by: None,
        };
        let request = Cancellation { by: "arn:bob".into(), reason: "wrong one".into(), at: at(1) };
        let body = DeployBody { break_glass: Some(permission), ..deploy() };
        insta::assert_snapshot!(printed(&Deployment { cancellation: Some(request), ..deployment_of(body) }));
    }

    #[test]
    fn a_question_is_printed_with_its_approver_and_time() {
        let stack = StackRun { proposal: Some(proposal()), ..stack_run() };
        let unasked = deployment_of(DeployBody { stack, ..deploy() });
        let question = asking(Subject::Proposal(proposal()));
        let asked = Deployment { approvals: vec![question], ..unasked.clone() };
        let answered = [decided(&asked, AnswerKind::Approve, 2)];
        insta::assert_snapshot!("answered_question", history(&asked, &answered, None, &[]).join("\n"));
        insta::assert_snapshot!("proposal_without_a_question", printed(&unasked));
    }

    #[test]
    fn orphans_are_printed_with_their_physical_ids() {
        let stack = StackRun { orphans: proposal().resources, ..stack_run() };
        insta::assert_snapshot!(printed(&deployment_of(TeardownBody { stack, digest: None })));
    }

    #[test]
    fn the_title_names_a_clone_and_a_plan() {
        let of = |environment: &str, stage: &str, plan_only: bool| {
            let stack = StackRun { environment: environment.into(), ..stack_run() };
            let deployment = deployment_of(DeployBody { stack, plan_only, ..deploy() });
            title(&Deployment { stage: stage.parse().unwrap(), ..deployment })
        };
        assert_eq!(of("logs-2", "ci", false), "logs 2.1.3 to ci as logs-2");
        assert_eq!(of("logs", "ci", true), "the plan of logs 2.1.3 to ci");
        assert_eq!(of("logs-2-1-3", "test", false), "logs 2.1.3 to test");
    }
}
