//! Conversion of CloudFormation's responses to the domain's types.

use super::{ChangeSetState, ChangeSetView, Stack};
use aws_sdk_cloudformation::operation::describe_change_set::{
    DescribeChangeSetError, DescribeChangeSetOutput,
};
use aws_sdk_cloudformation::operation::list_imports::ListImportsError;
use aws_sdk_cloudformation::types::{
    ChangeSetStatus, ChangeType, DeploymentConfigMode, ExecutionStatus, HookFailureMode, OperationEvent,
    ResourceAttribute, ResourceChange, Tag,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use jiff::Timestamp;
use lockstep_domain::model::drift_status::DriftStatus;
use lockstep_domain::model::error::Failure;
use lockstep_domain::stacks::change_set_review::ProposedChange;
use lockstep_domain::stacks::diagnosis::StackEvent;
use lockstep_domain::stacks::identity::Tags;
use lockstep_domain::stacks::plan::{LiveResource, StackStatus};
use std::collections::BTreeSet;

/// Returns true if the service reported that the stack does not exist.
///
/// There is no code for it: the code is `ValidationError`, so only the message distinguishes it
/// (<https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html>).
pub(super) fn is_absent<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    error.as_service_error().is_some_and(|refused| {
        refused.code() == Some("ValidationError")
            && refused.message().is_some_and(|message| message.contains("does not exist"))
    })
}

/// Returns true if the change set does not exist. A change set of a deleted stack does not exist either.
pub(super) fn has_no_change_set(error: &SdkError<DescribeChangeSetError, HttpResponse>) -> bool {
    error.as_service_error().is_some_and(DescribeChangeSetError::is_change_set_not_found_exception)
        || is_absent(error)
}

/// Returns true if no stack imports the export. ListImports reports that as an error that only its text distinguishes.
pub(super) fn is_not_imported(error: &SdkError<ListImportsError, HttpResponse>) -> bool {
    error.as_service_error().is_some_and(|refused| {
        refused.code() == Some("ValidationError")
            && refused.message().is_some_and(|message| message.contains("is not imported by any stack"))
    })
}

/// Returns true if the event is a finding of CloudFormation's validation that only warns.
pub(super) fn is_warning(event: &OperationEvent) -> bool {
    event.validation_failure_mode() == Some(&HookFailureMode::Warn)
}

/// Returns one failure of CloudFormation's validation before an operation, as a sentence; `None` for other events.
pub(super) fn validation_failure(event: &OperationEvent) -> Option<String> {
    let why = event.validation_status_reason().or(event.resource_status_reason())?;
    let place = event.validation_path().map_or_else(String::new, |path| format!(", {path}"));
    Some(match event.logical_resource_id() {
        Some(resource) => {
            format!("{resource} ({}{place}): {why}", event.resource_type().unwrap_or("of unknown type"))
        }
        None => why.to_owned(),
    })
}

/// Returns the events of the operation `token`. Not every event carries a token. Without one, those of the newest
/// operation count, since the stack has just ended it.
pub(super) fn of_the_operation<'a>(
    events: &'a [OperationEvent],
    token: &str,
) -> impl Iterator<Item = &'a OperationEvent> {
    let newest = events.iter().max_by_key(|event| event.timestamp().map(|at| (at.secs(), at.subsec_nanos())));
    let newest = newest.and_then(OperationEvent::operation_id).map(str::to_owned);
    let token = token.to_owned();
    events.iter().filter(move |event| match event.client_request_token().filter(|token| !token.is_empty()) {
        Some(given) => given == token,
        None => event.operation_id() == newest.as_deref(),
    })
}

pub(super) fn stack(found: &aws_sdk_cloudformation::types::Stack) -> Result<Stack, Failure> {
    let (Some(arn), Some(status)) = (found.stack_id(), found.stack_status()) else {
        return Err(Failure::bug("DescribeStacks answered a stack without an id or a status"));
    };
    let parameters = found.parameters().iter();
    let outputs = found.outputs().iter();
    let exports = found.outputs().iter();
    Ok(Stack {
        arn: arn.to_owned(),
        status: StackStatus::parse(status.as_str()),
        parent: found.root_id().or(found.parent_id()).filter(|id| !id.is_empty()).map(str::to_owned),
        tags: tags(found.tags()),
        parameters: parameters
            .filter_map(|found| {
                Some((found.parameter_key()?.to_owned(), found.parameter_value()?.to_owned()))
            })
            .collect(),
        outputs: outputs
            .filter_map(|output| Some((output.output_key()?.to_owned(), output.output_value()?.to_owned())))
            .collect(),
        exports: exports
            .filter_map(|output| Some((output.output_key()?.to_owned(), output.export_name()?.to_owned())))
            .collect(),
        last_updated: found.last_updated_time().and_then(time),
        termination_protection: found.enable_termination_protection().unwrap_or_default(),
        is_express: found.deployment_config().and_then(|config| config.mode())
            == Some(&DeploymentConfigMode::Express),
    })
}

fn tags(found: &[Tag]) -> Tags {
    found.iter().filter_map(|tag| Some((tag.key()?.to_owned(), tag.value()?.to_owned()))).collect()
}

pub(super) fn event(found: &aws_sdk_cloudformation::types::StackEvent) -> Result<StackEvent, Failure> {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let (Some(stack_arn), Some(at)) = (found.stack_id(), found.timestamp().and_then(time)) else {
        return Err(Failure::bug("DescribeStackEvents answered an event without a stack or a time"));
    };
    Ok(StackEvent {
        stack_arn: stack_arn.to_owned(),
        logical_id: text(found.logical_resource_id()),
        physical_id: text(found.physical_resource_id()),
        resource_type: text(found.resource_type()),
        status: text(found.resource_status().map(|status| status.as_str())),
        reason: text(found.resource_status_reason()),
        token: found.client_request_token().filter(|token| !token.is_empty()).map(str::to_owned),
        at,
    })
}

pub(super) fn resource(found: &aws_sdk_cloudformation::types::StackResourceSummary) -> LiveResource {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    LiveResource {
        logical_id: text(found.logical_resource_id()),
        physical_id: text(found.physical_resource_id()),
        resource_type: text(found.resource_type()),
        status: text(found.resource_status().map(|status| status.as_str())),
    }
}

pub(super) fn change_set(found: &DescribeChangeSetOutput) -> Result<ChangeSetView, Failure> {
    let (Some(arn), Some(stack_arn), Some(status)) =
        (found.change_set_id(), found.stack_id(), found.status())
    else {
        return Err(Failure::bug("DescribeChangeSet answered without an id, a stack or a status"));
    };
    let reason = found.status_reason().unwrap_or_default();
    Ok(ChangeSetView {
        arn: arn.to_owned(),
        stack_arn: stack_arn.to_owned(),
        description: found.description().unwrap_or_default().to_owned(),
        tags: tags(found.tags()),
        state: state(status, found.execution_status(), reason),
        changes: found.changes().iter().map(proposed).collect(),
    })
}

fn state(status: &ChangeSetStatus, execution: Option<&ExecutionStatus>, reason: &str) -> ChangeSetState {
    match (status, execution) {
        (ChangeSetStatus::CreatePending | ChangeSetStatus::CreateInProgress, _) => ChangeSetState::InProgress,
        (ChangeSetStatus::CreateComplete, Some(execution)) => match execution {
            ExecutionStatus::Available => ChangeSetState::Ready,
            ExecutionStatus::ExecuteInProgress
            | ExecutionStatus::ExecuteComplete
            | ExecutionStatus::ExecuteFailed => ChangeSetState::Executed,
            ExecutionStatus::Obsolete => ChangeSetState::Obsolete,
            // Between complete and available there is a short interval.
            ExecutionStatus::Unavailable => ChangeSetState::InProgress,
            other => ChangeSetState::Failed(format!("its execution status is {}", other.as_str())),
        },
        (ChangeSetStatus::Failed, _) if means_no_changes(reason) => ChangeSetState::Empty,
        (ChangeSetStatus::Failed, _) => ChangeSetState::Failed(reason.to_owned()),
        (
            ChangeSetStatus::DeletePending
            | ChangeSetStatus::DeleteInProgress
            | ChangeSetStatus::DeleteComplete
            | ChangeSetStatus::DeleteFailed,
            _,
        ) => ChangeSetState::Obsolete,
        (other, _) => ChangeSetState::Failed(format!("its status is {}: {reason}", other.as_str())),
    }
}

/// Returns true if the reason means an empty change set. CloudFormation has no status for it: the change set failed,
/// and only the reason distinguishes it.
pub(crate) fn means_no_changes(reason: &str) -> bool {
    reason.contains("didn't contain changes") || reason.contains("No updates are to be performed")
}

/// Returns the proposed change; `None` if it is not a readable change of a resource. The whole change set then counts
/// as unreadable.
fn proposed(change: &aws_sdk_cloudformation::types::Change) -> Option<ProposedChange> {
    if change.r#type().is_some_and(|kind| *kind != ChangeType::Resource) {
        return None;
    }
    let change = change.resource_change()?;
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    Some(ProposedChange {
        logical_id: change.logical_resource_id()?.to_owned(),
        physical_id: text(change.physical_resource_id()),
        resource_type: change.resource_type()?.to_owned(),
        action: change.action()?.as_str().to_owned(),
        replacement: text(change.replacement().map(|replacement| replacement.as_str())),
        policy_action: text(change.policy_action().map(|action| action.as_str())),
        properties: properties(change),
        tags_only: !change.scope().is_empty()
            && change.scope().iter().all(|part| *part == ResourceAttribute::Tags),
        change_set: change.change_set_id().filter(|id| !id.is_empty()).map(str::to_owned),
        drift: change.resource_drift_status().map(|status| DriftStatus::parse(status.as_str())),
    })
}

/// Returns the names of the properties that change, and of the attributes (`UpdatePolicy`) beside them.
fn properties(change: &ResourceChange) -> Vec<String> {
    let mut names = BTreeSet::new();
    for target in change.details().iter().filter_map(|detail| detail.target()) {
        match (target.attribute(), target.name()) {
            (Some(ResourceAttribute::Properties), Some(name)) => drop(names.insert(name.to_owned())),
            (Some(ResourceAttribute::Properties), None) | (None, _) => {}
            (Some(attribute), _) => drop(names.insert(attribute.as_str().to_owned())),
        }
    }
    names.into_iter().collect()
}

fn time(at: &aws_smithy_types::DateTime) -> Option<Timestamp> {
    Timestamp::new(at.secs(), i32::try_from(at.subsec_nanos()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_cloudformation::types::{
        Change, ChangeAction, Replacement, ResourceChangeDetail, ResourceTargetDefinition,
    };
    use lockstep_domain::model::resource_change::Impact;
    use lockstep_domain::stacks::change_set_review::NestedChanges;

    fn ready(change: ResourceChange) -> DescribeChangeSetOutput {
        DescribeChangeSetOutput::builder()
            .change_set_id("arn:change-set")
            .stack_id("arn:stack")
            .status(ChangeSetStatus::CreateComplete)
            .execution_status(ExecutionStatus::Available)
            .changes(Change::builder().r#type(ChangeType::Resource).resource_change(change).build())
            .build()
    }

    fn modified(attribute: ResourceAttribute, name: Option<&str>) -> ResourceChange {
        let target = ResourceTargetDefinition::builder().attribute(attribute.clone());
        let target = target.set_name(name.map(str::to_owned)).build();
        ResourceChange::builder()
            .action(ChangeAction::Modify)
            .logical_resource_id("Bucket")
            .resource_type("AWS::S3::Bucket")
            .replacement(Replacement::True)
            .scope(attribute)
            .details(ResourceChangeDetail::builder().target(target).build())
            .build()
    }

    #[test]
    fn a_change_is_read_with_everything_the_guard_needs() {
        let view = change_set(&ready(modified(ResourceAttribute::Properties, Some("BucketName")))).unwrap();
        assert_eq!(view.state, ChangeSetState::Ready);
        let change = &view.changes.unwrap()[0];
        assert_eq!(change.properties, ["BucketName"]);
        assert!(!change.tags_only);
        assert_eq!(change.impact(&BTreeSet::new(), NestedChanges::NotNested), Impact::DataLoss);
    }

    #[test]
    fn a_change_of_tags_alone_is_recognised() {
        let view = change_set(&ready(modified(ResourceAttribute::Tags, None))).unwrap();
        assert!(view.changes.unwrap()[0].tags_only);
    }

    #[test]
    fn a_change_without_an_action_makes_the_change_set_unreadable() {
        let change =
            ResourceChange::builder().logical_resource_id("A").resource_type("AWS::S3::Bucket").build();
        assert_eq!(change_set(&ready(change)).unwrap().changes, None);
    }

    #[test]
    fn a_failed_change_set_is_empty_only_if_its_reason_says_so() {
        let failed = |reason| state(&ChangeSetStatus::Failed, Some(&ExecutionStatus::Unavailable), reason);
        let empty = "The submitted information didn't contain changes. Submit different information to create a change set.";
        assert_eq!(failed(empty), ChangeSetState::Empty);
        assert_eq!(failed("No updates are to be performed."), ChangeSetState::Empty);
        assert_eq!(failed("no such bucket"), ChangeSetState::Failed("no such bucket".into()));
        assert_eq!(failed(""), ChangeSetState::Failed(String::new()));
    }

    #[test]
    fn a_change_set_is_ready_only_when_it_is_complete_and_available() {
        for status in ChangeSetStatus::values() {
            for execution in ExecutionStatus::values() {
                let state = state(&(*status).into(), Some(&(*execution).into()), "");
                let expected = (*status, *execution) == ("CREATE_COMPLETE", "AVAILABLE");
                assert_eq!(state == ChangeSetState::Ready, expected, "{status} {execution}");
            }
        }
        let unknown = state(&"SOMETHING_NEW".into(), Some(&ExecutionStatus::Available), "");
        assert!(matches!(unknown, ChangeSetState::Failed(_)));
    }

    #[test]
    fn an_unknown_stack_status_is_read_as_unknown() {
        let found = aws_sdk_cloudformation::types::Stack::builder()
            .stack_id("arn:stack")
            .stack_status("SOMETHING_NEW".into())
            .root_id("")
            .build();
        let read = stack(&found).unwrap();
        assert_eq!((read.status, read.parent), (StackStatus::Unknown("SOMETHING_NEW".into()), None));
    }
}
