//! Causes of a failed stack operation: the events that really failed, oldest first.
//!
//! CloudFormation lists events newest first and mixes causes with consequences. It marks the resources that it stopped
//! because of the first failure as failed, reports a failed nested stack both inside and outside, and repeats the
//! failures at the stack itself.

mod denial;

use crate::records::FailedEvent;
use crate::stacks::template::Template;
use jiff::Timestamp;
use std::collections::BTreeSet;

pub use denial::denial;

/// Maximum number of events that are kept. The first ones are kept, because they are the cause.
pub const MAX_EVENTS: usize = 20;

/// Maximum length of a kept reason, in characters. The record holds many reasons.
const MAX_REASON_CHARS: usize = 1000;

/// An event of a stack, as DescribeStackEvents returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackEvent {
    /// ARN of the stack that the event belongs to.
    pub stack_arn: String,
    /// Logical id of the resource; the stack's name for the stack itself.
    pub logical_id: String,
    /// Physical id of the resource; the stack's ARN for the stack itself.
    pub physical_id: String,
    /// Type of the resource.
    pub resource_type: String,
    /// Status of the resource.
    pub status: String,
    /// Reason, if CloudFormation gives one.
    pub reason: String,
    /// Client request token of the operation.
    pub token: Option<String>,
    /// Time of the event.
    pub at: Timestamp,
}

impl StackEvent {
    /// Returns true if the event is about the stack itself.
    pub fn is_about_the_stack(&self) -> bool {
        self.physical_id == self.stack_arn
    }

    fn failed(&self) -> bool {
        self.status.ends_with("_FAILED")
    }

    /// Returns true if the resource failed only because another one had failed before. CloudFormation gives a stopped
    /// resource the status of a real failure, so only the reason shows the difference (`Resource creation cancelled`).
    fn was_cancelled(&self) -> bool {
        self.reason.starts_with("Resource ") && self.reason.trim_end_matches('.').ends_with("cancelled")
    }

    /// Returns the ARN of the nested stack that this event is about.
    fn nested_stack(&self) -> Option<&str> {
        let nested =
            self.resource_type == crate::model::resource_change::NESTED_STACK && !self.is_about_the_stack();
        (nested && self.physical_id.starts_with("arn:")).then_some(self.physical_id.as_str())
    }
}

/// Events of one stack, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// Logical ids of the nested stacks above the stack and its own; empty for the root.
    pub path: Vec<String>,
    /// Events of the stack.
    pub events: Vec<StackEvent>,
}

impl Stream {
    /// Keeps the events of the operation `token`, which began at `since`.
    ///
    /// Events of nested stacks may carry no token; for those the time decides.
    pub fn of_operation(mut self, token: &str, since: Timestamp) -> Self {
        let nested = !self.path.is_empty();
        self.events.retain(|event| match &event.token {
            Some(other) => other == token,
            None => nested && event.at >= since,
        });
        self
    }

    /// Returns the nested stacks that failed in this stack, with their paths. Their own events hold the cause.
    pub fn failed_nested_stacks(&self) -> Vec<(Vec<String>, String)> {
        let mut seen = BTreeSet::new();
        let failed = self.events.iter().filter(|event| event.failed() && !event.was_cancelled());
        failed
            .filter_map(|event| Some((event, event.nested_stack()?)))
            .filter(|(_, arn)| seen.insert(*arn))
            .map(|(event, arn)| {
                let mut path = self.path.clone();
                path.push(event.logical_id.clone());
                (path, arn.to_owned())
            })
            .collect()
    }
}

/// Returns the real causes, oldest first, at most [`MAX_EVENTS`]. `streams` are those of the root and of every failed
/// nested stack, each reduced to the operation.
pub fn diagnose(streams: &[Stream], template: Option<&Template>) -> Vec<FailedEvent> {
    let explained: BTreeSet<&[String]> = streams
        .iter()
        .filter(|stream| stream.events.iter().any(is_cause))
        .map(|stream| stream.path.as_slice())
        .collect();
    let mut causes = Vec::new();
    for stream in streams {
        // Events are newest first within a stream, so the stable sort by time below needs them reversed.
        for event in stream.events.iter().rev().filter(|event| is_cause(event)) {
            let mut path = stream.path.clone();
            path.push(event.logical_id.clone());
            if event.nested_stack().is_none() || !explained.contains(path.as_slice()) {
                causes.push(failed_event(event, &path, template));
            }
        }
    }
    if causes.is_empty() {
        causes.extend(streams.first().and_then(stack_failure).map(|e| failed_event(e, &[], template)));
    }
    causes.sort_by_key(|cause| cause.at);
    causes.truncate(MAX_EVENTS);
    causes
}

fn is_cause(event: &StackEvent) -> bool {
    event.failed() && !event.was_cancelled() && !event.is_about_the_stack()
}

/// Returns the stack's own failure when none of its resources failed: a refused template, a missing permission.
fn stack_failure(root: &Stream) -> Option<&StackEvent> {
    let own = root.events.iter().rev().filter(|event| event.is_about_the_stack() && !event.reason.is_empty());
    own.filter(|event| event.failed() || event.status.contains("ROLLBACK")).find(|e| !e.was_cancelled())
}

fn failed_event(event: &StackEvent, path: &[String], template: Option<&Template>) -> FailedEvent {
    // A nested stack has a template of its own, so the line is that of the nested stack in this template.
    let line = path.first().and_then(|own| template.and_then(|template| template.line_of(own)));
    FailedEvent {
        logical_id: if path.is_empty() { event.logical_id.clone() } else { path.join(".") },
        resource_type: event.resource_type.clone(),
        status: event.status.clone(),
        reason: event.reason.chars().take(MAX_REASON_CHARS).collect(),
        denied: denial(&event.reason),
        line,
        at: event.at,
    }
}

/// Returns one failure as a sentence; `file` is the template's name.
pub fn sentence(event: &FailedEvent, file: &str) -> String {
    let place = event.line.map_or_else(String::new, |line| format!(", {file}:{line}"));
    let what = match event.status.as_str() {
        "CREATE_FAILED" => "failed to create".to_owned(),
        "UPDATE_FAILED" => "failed to update".to_owned(),
        "DELETE_FAILED" => "failed to delete".to_owned(),
        "IMPORT_FAILED" => "failed to be imported".to_owned(),
        other => format!("failed ({other})"),
    };
    let reason = if event.reason.is_empty() { "CloudFormation gives no reason" } else { &event.reason };
    let advice = event.denied.as_ref().map_or_else(String::new, |denied| format!("; {}", denied.advice()));
    format!("{} ({}{place}) {what}: {reason}{advice}", event.logical_id, event.resource_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "arn:aws:cloudformation:eu-west-1:111111111111:stack/ci-logs/0";
    const CHILD: &str = "arn:aws:cloudformation:eu-west-1:111111111111:stack/ci-logs-Child-1/0";
    const CANCELLED: &str = "Resource creation cancelled";

    fn event(second: i64, logical_id: &str, status: &str, reason: &str) -> StackEvent {
        StackEvent {
            stack_arn: ROOT.into(),
            logical_id: logical_id.into(),
            physical_id: String::new(),
            resource_type: "AWS::SQS::Queue".into(),
            status: status.into(),
            reason: reason.into(),
            token: Some("token".into()),
            at: Timestamp::from_second(second).unwrap(),
        }
    }

    fn about_the_stack(second: i64, status: &str, reason: &str) -> StackEvent {
        StackEvent {
            physical_id: ROOT.into(),
            resource_type: crate::model::resource_change::NESTED_STACK.into(),
            ..event(second, "ci-logs", status, reason)
        }
    }

    fn nested(second: i64, status: &str, reason: &str) -> StackEvent {
        StackEvent { physical_id: CHILD.into(), ..about_the_stack(second, status, reason) }
    }

    fn root(events: Vec<StackEvent>) -> Stream {
        Stream { path: vec![], events }
    }

    fn causes(streams: &[Stream]) -> Vec<String> {
        diagnose(streams, None).iter().map(|e| format!("{}: {}", e.logical_id, e.reason)).collect()
    }

    #[test]
    fn the_first_failure_is_first_and_stopped_resources_are_omitted() {
        let events = vec![
            about_the_stack(
                6,
                "ROLLBACK_IN_PROGRESS",
                "The following resource(s) failed to create: [A, B, C].",
            ),
            event(5, "C", "CREATE_FAILED", CANCELLED),
            event(4, "B", "CREATE_FAILED", "name taken"),
            event(3, "A", "CREATE_FAILED", "limit reached"),
            event(2, "A", "CREATE_IN_PROGRESS", ""),
        ];
        assert_eq!(causes(&[root(events)]), ["A: limit reached", "B: name taken"]);
    }

    /// Row 23 of the failure modes.
    #[test]
    fn a_denial_by_a_stack_policy_is_the_reported_cause() {
        let denied =
            "Action denied by stack policy: Statement [#1] does not allow [Update:*] for resource [Archive];";
        let events = vec![
            about_the_stack(
                3,
                "UPDATE_ROLLBACK_IN_PROGRESS",
                "The following resource(s) failed to update: [Archive].",
            ),
            event(2, "Archive", "UPDATE_FAILED", denied),
        ];
        assert_eq!(causes(&[root(events)]), [format!("Archive: {denied}")]);
    }

    #[test]
    fn a_reason_that_only_mentions_cancelling_is_kept() {
        let events = vec![event(1, "A", "CREATE_FAILED", "The order was cancelled by the owner")];
        assert_eq!(causes(&[root(events)]).len(), 1);
    }

    #[test]
    fn failures_inside_a_nested_stack_replace_the_failure_of_the_stack() {
        let outer =
            root(vec![StackEvent { logical_id: "Child".into(), ..nested(5, "CREATE_FAILED", "Embedded") }]);
        assert_eq!(outer.failed_nested_stacks(), [(vec!["Child".to_owned()], CHILD.to_owned())]);
        let inner = Stream {
            path: vec!["Child".into()],
            events: vec![StackEvent {
                stack_arn: CHILD.into(),
                ..event(4, "Queue", "CREATE_FAILED", "name taken")
            }],
        };
        assert_eq!(causes(&[outer.clone(), inner]), ["Child.Queue: name taken"]);
        let silent = Stream { path: vec!["Child".into()], events: vec![] };
        assert_eq!(causes(&[outer, silent]), ["Child: Embedded"]);
    }

    #[test]
    fn failures_inside_a_nested_stack_get_the_line_of_the_nested_stack() {
        let text =
            "Resources:\n  Child:\n    Type: AWS::CloudFormation::Stack\n    Properties: {TemplateURL: x}\n";
        let template = Template::parse("template.yaml", text).unwrap();
        let inner = Stream {
            path: vec!["Child".into()],
            events: vec![event(4, "Queue", "CREATE_FAILED", "name taken")],
        };
        let causes = diagnose(&[root(vec![]), inner], Some(&template));
        assert_eq!((causes[0].logical_id.as_str(), causes[0].line), ("Child.Queue", Some(2)));
    }

    #[test]
    fn a_cancelled_nested_stack_is_skipped() {
        let outer = root(vec![nested(5, "CREATE_FAILED", CANCELLED)]);
        assert!(outer.failed_nested_stacks().is_empty());
    }

    #[test]
    fn the_failure_of_the_stack_is_used_when_no_resource_failed() {
        let events = vec![
            about_the_stack(3, "ROLLBACK_COMPLETE", ""),
            about_the_stack(2, "ROLLBACK_IN_PROGRESS", "not authorized to perform iam:PassRole"),
            about_the_stack(1, "CREATE_IN_PROGRESS", "User Initiated"),
        ];
        assert_eq!(causes(&[root(events)]), ["ci-logs: not authorized to perform iam:PassRole"]);
    }

    #[test]
    fn only_events_of_the_operation_count() {
        let since = Timestamp::from_second(10).unwrap();
        let older = StackEvent { token: Some("older".into()), ..event(1, "A", "CREATE_FAILED", "x") };
        let unnamed = StackEvent { token: None, ..event(11, "B", "CREATE_FAILED", "y") };
        let ours = event(12, "C", "CREATE_FAILED", "z");
        let of = |path: Vec<String>| {
            let stream = Stream { path, events: vec![ours.clone(), unnamed.clone(), older.clone()] };
            stream
                .of_operation("token", since)
                .events
                .iter()
                .map(|e| e.logical_id.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(of(vec![]), ["C"]);
        assert_eq!(of(vec!["Child".into()]), ["C", "B"]);
    }

    #[test]
    fn a_long_list_of_failures_is_truncated_at_its_end() {
        let events = (0..100).rev().map(|n| event(n, &format!("R{n}"), "CREATE_FAILED", &"x".repeat(5000)));
        let failed = diagnose(&[root(events.collect())], None);
        assert_eq!((failed.len(), failed[0].logical_id.as_str()), (MAX_EVENTS, "R0"));
        assert_eq!(failed[0].reason.len(), MAX_REASON_CHARS);
    }

    #[test]
    fn the_diagnosis_of_a_denied_call_names_the_missing_statement() {
        let reason = "User: arn:aws:sts::222222222222:assumed-role/lockstep-cloudformation/AWSCloudFormation is not \
            authorized to perform: sqs:TagQueue on resource: arn:aws:sqs:eu-west-1:222222222222:orders because no \
            identity-based policy allows the sqs:TagQueue action";
        let failed = diagnose(&[root(vec![event(1, "Queue", "CREATE_FAILED", reason)])], None);
        let causes = sentence(&failed[0], "template.yaml");
        assert!(
            causes.contains("the role lockstep-cloudformation lacks sqs:TagQueue on arn:aws:sqs:"),
            "{causes}"
        );
    }

    #[test]
    fn a_failure_becomes_a_sentence_with_its_line() {
        let failed = FailedEvent {
            logical_id: "Queue".into(),
            resource_type: "AWS::SQS::Queue".into(),
            status: "CREATE_FAILED".into(),
            reason: "name taken".into(),
            denied: None,
            line: Some(12),
            at: Timestamp::UNIX_EPOCH,
        };
        assert_eq!(
            sentence(&failed, "template.yaml"),
            "Queue (AWS::SQS::Queue, template.yaml:12) failed to create: name taken"
        );
        let elsewhere =
            FailedEvent { line: None, status: "UPDATE_FAILED".into(), reason: String::new(), ..failed };
        assert_eq!(
            sentence(&elsewhere, "template.yaml"),
            "Queue (AWS::SQS::Queue) failed to update: CloudFormation gives no reason"
        );
    }
}
