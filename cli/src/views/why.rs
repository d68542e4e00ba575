//! The story of a deployment, as `lockstep why` tells it.

use super::{clock, seconds, time};
use crate::output::duration;
use lockstep_domain::records::{
    Approval, Decision, Deployment, DeploymentKind, DeploymentState, FailedEvent, Release, Step,
};

/// A state as people say it.
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
    }
}

/// What a deployment is about: `logs-broker 2.1.0 to production`.
pub fn title(deployment: &Deployment) -> String {
    let what = match (&deployment.kind, &deployment.component) {
        (DeploymentKind::PromoteImage { image, .. }, _) => format!("image {image}"),
        (DeploymentKind::Deploy { environment, .. }, None) => environment.clone(),
        (DeploymentKind::Deploy { .. }, Some(component)) => component.to_string(),
        (DeploymentKind::Teardown { environment, .. }, _) => {
            return format!("the teardown of {environment} in {}", deployment.stage);
        }
    };
    format!("{what} {} to {}", deployment.version, deployment.stage)
}

/// The whole story, one line each; `release` is that of the deployment, if it is about one.
pub fn story(deployment: &Deployment, release: Option<&Release>, journal: &[Step]) -> Vec<String> {
    let mut lines = vec![
        format!("{}: {}", title(deployment), state(deployment.state)),
        format!("  deployment  {}", deployment.id),
        format!("  where       account {}, {}", deployment.location.account, deployment.location.region),
        format!("  when        {}", when(deployment)),
        format!("  execution   {}", deployment.execution),
    ];
    lines.extend(release.into_iter().flat_map(origin));
    lines.extend(deployment.approvals.iter().flat_map(approval));
    lines.extend(failure(deployment));
    lines.extend(heading("what failed, first cause first", deployment.diagnosis.iter().map(failed)));
    lines.extend(heading("journal", journal.iter().map(|s| format!("{}  {}", clock(s.at), s.note))));
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

fn approval(approval: &Approval) -> Vec<String> {
    let asked = format!("  question {}  {}", approval.number, approval.reasons.join("; "));
    let answer = match (approval.decision, &approval.decided_by) {
        (None, _) => "    not answered yet".to_owned(),
        (Some(decision), by) => {
            let word = if decision == Decision::Approve { "approved" } else { "refused" };
            let reason = approval.reason.as_deref().map(|r| format!(": {r}")).unwrap_or_default();
            format!("    {word} by {}{reason}", by.as_deref().unwrap_or("an unknown caller"))
        }
    };
    vec![asked, answer]
}

fn failure(deployment: &Deployment) -> Option<String> {
    deployment.failure.as_ref().map(|failure| format!("  failed      {}: {}", failure.error, failure.message))
}

fn failed(event: &FailedEvent) -> String {
    let line = event.line.map(|line| format!("template line {line}: ")).unwrap_or_default();
    format!("{line}{} ({}) {}: {}", event.logical_id, event.resource_type, event.status, event.reason)
}

fn heading(title: &str, lines: impl Iterator<Item = String>) -> Vec<String> {
    let lines: Vec<String> = lines.map(|line| format!("    {line}")).collect();
    if lines.is_empty() { lines } else { std::iter::once(format!("  {title}")).chain(lines).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_domain::ids::DeploymentId;
    use lockstep_domain::records::{FailureRecord, Location};
    use lockstep_domain::stages::Path;

    fn deployment() -> Deployment {
        let at = |second: i64| jiff::Timestamp::from_second(second).unwrap();
        Deployment {
            state: DeploymentState::Failed,
            component: Some("logs".parse().unwrap()),
            epoch: 1,
            diagnosis: vec![FailedEvent {
                logical_id: "Queue".into(),
                resource_type: "AWS::SQS::Queue".into(),
                status: "CREATE_FAILED".into(),
                reason: "no such policy".into(),
                line: Some(12),
                at: at(3),
            }],
            failure: Some(FailureRecord {
                error: "StackFailed".into(),
                message: "the stack rolled back".into(),
            }),
            finished_at: Some(at(4)),
            ..Deployment::new(
                DeploymentId::of_execution("arn:x"),
                DeploymentKind::Deploy { environment: "logs".into(), stack: "ci-logs".parse().unwrap() },
                "arn:x",
                "2.1.3".parse().unwrap(),
                "ci".parse().unwrap(),
                Location { account: "222222222222".parse().unwrap(), region: "eu-west-1".parse().unwrap() },
                Path::Delivery,
                at(0),
            )
        }
    }

    #[test]
    fn the_story_of_a_failure_names_the_first_cause_with_its_line() {
        let text = story(&deployment(), None, &[]).join("\n");
        assert!(text.starts_with("logs 2.1.3 to ci: failed\n"), "{text}");
        assert!(text.contains("1970-01-01 00:00:00Z, took 4.0 s"), "{text}");
        assert!(text.contains("StackFailed: the stack rolled back"), "{text}");
        assert!(
            text.contains("template line 12: Queue (AWS::SQS::Queue) CREATE_FAILED: no such policy"),
            "{text}"
        );
    }

    #[test]
    fn the_journal_is_told_in_order() {
        let deployment = deployment();
        let step = |number: u32, note: &str| Step {
            deployment: deployment.id.clone(),
            number,
            note: note.into(),
            at: jiff::Timestamp::from_second(number.into()).unwrap(),
        };
        let text = story(&deployment, None, &[step(1, "plan"), step(2, "execute")]).join("\n");
        assert!(text.ends_with("  journal\n    00:00:01.000  plan\n    00:00:02.000  execute"), "{text}");
    }
}
