//! CloudFormation of one account and region.
//!
//! [`Stacks`] is the port, [`CloudFormation`] its adapter. Every list is read to the last page. A stack that does not
//! exist is a result; a read that failed is a failure and never absence.

pub mod detection;
pub(crate) mod read;
#[cfg(test)]
mod tests;

use crate::aws::Aws;
use crate::failure::failure;
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::types::{
    Capability, ChangeSetType, DeploymentConfig, DeploymentConfigMode, DeploymentMode, EventFilter,
    OperationEvent, Parameter, Tag, TemplateStage,
};
use jiff::Timestamp;
use lockstep_domain::model::error::Failure;
use lockstep_domain::stacks::change_set_review::ProposedChange;
use lockstep_domain::stacks::diagnosis::StackEvent;
use lockstep_domain::stacks::identity::Tags;
use lockstep_domain::stacks::plan::{ChangeSetKind, LiveResource, StackStatus};
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// A stack as DescribeStacks shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// Its ARN.
    pub arn: String,
    /// Its status.
    pub status: StackStatus,
    /// The parent stack, if the stack is nested.
    pub parent: Option<String>,
    /// Its tags.
    pub tags: Tags,
    /// Its parameters. CloudFormation masks the values of those with `NoEcho`.
    pub parameters: BTreeMap<String, String>,
    /// Its outputs.
    pub outputs: BTreeMap<String, String>,
    /// The export names of its outputs, by output key.
    pub exports: BTreeMap<String, String>,
    /// Time of the last update; `None` if it was never updated.
    pub last_updated: Option<Timestamp>,
    /// True if CloudFormation refuses to delete it. Lockstep never changes this setting.
    pub termination_protection: bool,
    /// True if its last operation ran in express mode.
    pub is_express: bool,
}

/// Form of the template of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateForm {
    /// As it was submitted.
    Submitted,
    /// With macros expanded.
    Expanded,
}

impl TemplateForm {
    /// Returns the stage of CloudFormation that has this form.
    fn stage(self) -> TemplateStage {
        match self {
            Self::Submitted => TemplateStage::Original,
            Self::Expanded => TemplateStage::Processed,
        }
    }
}

/// Source from which CloudFormation reads a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateSource {
    /// The URL of an object: at most 1 MB.
    Url(String),
    /// The text itself, at most 51,200 bytes: only for stacks that exist before the bucket does.
    Body(String),
}

impl TemplateSource {
    /// Returns the two parameters of a call: the URL and the text.
    fn parts(&self) -> (Option<String>, Option<String>) {
        match self {
            Self::Url(url) => (Some(url.clone()), None),
            Self::Body(body) => (None, Some(body.clone())),
        }
    }
}

/// Request for a change set. Equal requests with the same token make one change set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewChangeSet {
    /// The stack's name.
    pub stack: String,
    /// The change set's name.
    pub name: String,
    /// The client token.
    pub token: String,
    /// The kind: creates or updates the stack.
    pub kind: ChangeSetKind,
    /// The template's source.
    pub template: TemplateSource,
    /// The parameters.
    pub parameters: BTreeMap<String, String>,
    /// The stack's tags, in a fixed order.
    pub tags: Vec<(String, String)>,
    /// The capabilities that the template may use.
    pub capabilities: Vec<&'static str>,
    /// The role that CloudFormation assumes; empty means the caller's permissions.
    pub role: String,
    /// True if it imports existing resources that have a literal name and a retaining deletion policy in the template
    /// (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-automatically.html>).
    pub imports_existing: bool,
    /// True if it also reverts changes made outside of CloudFormation. It then reports no changes of nested stacks.
    pub revert_drift: bool,
    /// True if it also reports the changes of nested stacks.
    pub with_nested: bool,
    /// The description, visible in the console.
    pub description: String,
}

/// Request for an update in express mode, of a stack whose last express operation failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// ARN of the stack.
    pub arn: String,
    /// Client token.
    pub token: String,
    /// Source of the template.
    pub template: TemplateSource,
    /// Parameters. The tags of the stack remain.
    pub parameters: BTreeMap<String, String>,
    /// Capabilities that the template may use.
    pub capabilities: Vec<&'static str>,
    /// Role that CloudFormation assumes; empty means the caller's permissions.
    pub role: String,
}

/// Result of a request for a change set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// CloudFormation creates it.
    Begun,
    /// A change set of that name exists.
    Exists,
}

/// Progress of a change set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeSetState {
    /// CloudFormation creates it.
    InProgress,
    /// Complete and executable.
    Ready,
    /// An execution runs or ended, with or without success.
    Executed,
    /// Empty: the stack already matches.
    Empty,
    /// Superseded by a change of the stack, or being deleted: it can never be executed.
    Obsolete,
    /// The creation failed; the text is CloudFormation's.
    Failed(String),
}

/// A change set as DescribeChangeSet shows it, with all its pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeSetView {
    /// Its ARN.
    pub arn: String,
    /// Its stack's ARN.
    pub stack_arn: String,
    /// The description that its creator gave it.
    pub description: String,
    /// The tags that the stack gets from it.
    pub tags: Tags,
    /// Its progress.
    pub state: ChangeSetState,
    /// The changes it would make to its own stack; `None` if they could not be read.
    pub changes: Option<Vec<ProposedChange>>,
}

/// Result of a request to execute a change set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Execution {
    /// An execution runs, or ran: the token was accepted before.
    Accepted,
    /// It cannot be executed, or no longer: read its state and the stack's.
    Refused,
}

/// The operations of CloudFormation that Lockstep needs. `stack` is a name or, once known, an ARN.
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait Stacks {
    /// Returns the stack, or `None` if it does not exist.
    async fn describe(&self, stack: &str) -> Result<Option<Stack>, Failure>;

    /// Returns the stack's events, newest first. Reads a page at a time until `enough` accepts all events read so far.
    async fn events(
        &self,
        stack: &str,
        enough: &dyn Fn(&[StackEvent]) -> bool,
    ) -> Result<Vec<StackEvent>, Failure>;

    /// Returns the stack's own resources, without those of nested stacks.
    async fn resources(&self, stack: &str) -> Result<Vec<LiveResource>, Failure>;

    /// Returns the template that the stack runs, in this form.
    async fn template(&self, stack: &str, form: TemplateForm) -> Result<String, Failure>;

    /// Returns the names of the stack's change sets.
    async fn change_sets(&self, stack: &str) -> Result<Vec<String>, Failure>;

    /// Returns the names of the stacks that import `export`.
    async fn importers(&self, export: &str) -> Result<Vec<String>, Failure>;

    /// Returns the findings of CloudFormation's validation of the change set with this ARN, one sentence each.
    async fn validation_failures(&self, change_set: &str) -> Result<Vec<String>, Failure>;

    /// Returns the warnings of CloudFormation's validation of the change set with this ARN, one sentence each. They prevent
    /// nothing.
    async fn validation_warnings(&self, change_set: &str) -> Result<Vec<String>, Failure>;

    /// Returns the findings of CloudFormation's validation in the operation `token` of a stack, one sentence each.
    /// CloudFormation validates before it touches a resource, so no resource event reports these failures.
    async fn failed_validations(&self, stack: &str, token: &str) -> Result<Vec<String>, Failure>;

    /// Starts the creation of a change set. Undone by [`Stacks::delete_change_set`], for a new stack by
    /// [`Stacks::delete_stack`].
    async fn create_change_set(&self, wanted: &NewChangeSet) -> Result<Creation, Failure>;

    /// Returns the change set, or `None` if it does not exist; `change_set` is its name or its ARN.
    async fn describe_change_set(
        &self,
        stack: &str,
        change_set: &str,
    ) -> Result<Option<ChangeSetView>, Failure>;

    /// Deletes a change set, which need not exist.
    async fn delete_change_set(&self, stack: &str, change_set: &str) -> Result<(), Failure>;

    /// Executes the change set of this ARN. If it fails, CloudFormation rolls it back and deletes every new resource
    /// regardless of its deletion policy, since a retained name would block the next attempt.
    async fn execute_change_set(&self, change_set: &str, token: &str) -> Result<Execution, Failure>;

    /// Starts the deletion of the stack of this ARN, which need not exist. This cannot be undone. `retain` names the
    /// logical ids of its own resources to keep; CloudFormation accepts them only for a stack whose deletion failed
    /// before.
    async fn delete_stack(
        &self,
        arn: &str,
        token: &str,
        role: &str,
        retain: &[String],
    ) -> Result<(), Failure>;

    /// Starts a rollback of a stack in CREATE_FAILED or UPDATE_FAILED to its last stable state. CloudFormation
    /// *deletes* a stack that has none: check first. This cannot be undone.
    async fn rollback_stack(&self, arn: &str, token: &str, role: &str) -> Result<(), Failure>;

    /// Starts an update in express mode that CloudFormation does not roll back. This cannot be undone.
    async fn replay(&self, replay: &Replay) -> Result<(), Failure>;

    /// Continues a rollback that failed, without the resources in `skip` (`NestedStackName.LogicalId`). This cannot be
    /// undone.
    async fn continue_update_rollback(
        &self,
        arn: &str,
        token: &str,
        role: &str,
        skip: &[String],
    ) -> Result<(), Failure>;

    /// Cancels a running update; CloudFormation rolls it back. The update may have ended already: read the stack's
    /// status.
    async fn cancel_update_stack(&self, arn: &str, token: &str) -> Result<(), Failure>;
}

/// Maximum number of event pages to read, with a hundred events each.
const EVENT_PAGES_MAX: usize = 100;

/// CloudFormation in the account and region of an [`Aws`].
pub struct CloudFormation {
    aws: Aws,
    client: OnceLock<Client>,
}

impl CloudFormation {
    /// Creates the client in the account and region of `aws`.
    pub fn new(aws: &Aws) -> Self {
        Self { aws: aws.clone(), client: OnceLock::new() }
    }

    pub(crate) fn client(&self) -> &Client {
        self.client.get_or_init(|| Client::new(self.aws.sdk_config()))
    }

    /// Returns every failed event of a stack's operations or of a change set, newest first.
    async fn failed_events(
        &self,
        stack: Option<&str>,
        change_set: Option<&str>,
    ) -> Result<Vec<OperationEvent>, Failure> {
        let failed = EventFilter::builder().failed_events(true).build();
        let mut found = Vec::new();
        let mut next = None;
        loop {
            let request = self.client().describe_events().filters(failed.clone()).set_next_token(next);
            let request = request.set_stack_name(stack.map(str::to_owned));
            let page = request.set_change_set_name(change_set.map(str::to_owned)).send().await;
            let about = change_set.or(stack).unwrap_or_default();
            let page = page.map_err(|error| failure("DescribeEvents", about, &error))?;
            found.extend(page.operation_events.unwrap_or_default());
            next = page.next_token;
            if next.is_none() {
                return Ok(found);
            }
        }
    }
}

/// Returns the role to name in a call: `None` if it is empty.
fn named(role: &str) -> Option<String> {
    (!role.is_empty()).then(|| role.to_owned())
}

impl Stacks for CloudFormation {
    async fn describe(&self, stack: &str) -> Result<Option<Stack>, Failure> {
        match self.client().describe_stacks().stack_name(stack).send().await {
            Ok(answer) => match answer.stacks() {
                [found] => read::stack(found).map(Some),
                other => Err(Failure::bug(format!("DescribeStacks {stack} answered {} stacks", other.len()))),
            },
            Err(error) if read::is_absent(&error) => Ok(None),
            Err(error) => Err(failure("DescribeStacks", stack, &error)),
        }
    }

    async fn events(
        &self,
        stack: &str,
        enough: &dyn Fn(&[StackEvent]) -> bool,
    ) -> Result<Vec<StackEvent>, Failure> {
        let mut events = Vec::new();
        let mut next = None;
        // Beyond the bound, an old operation only looks as if it had left no trace. It is then started again with its
        // own token, which CloudFormation knows.
        for _ in 0..EVENT_PAGES_MAX {
            let request = self.client().describe_stack_events().stack_name(stack).set_next_token(next);
            let page = match request.send().await {
                Ok(page) => page,
                Err(error) if read::is_absent(&error) => return Ok(events),
                Err(error) => return Err(failure("DescribeStackEvents", stack, &error)),
            };
            for event in page.stack_events() {
                events.push(read::event(event)?);
            }
            next = page.next_token;
            if next.is_none() || enough(&events) {
                break;
            }
        }
        Ok(events)
    }

    async fn resources(&self, stack: &str) -> Result<Vec<LiveResource>, Failure> {
        let mut resources = Vec::new();
        let mut next = None;
        loop {
            let request = self.client().list_stack_resources().stack_name(stack).set_next_token(next);
            let page = request.send().await.map_err(|error| failure("ListStackResources", stack, &error))?;
            resources.extend(page.stack_resource_summaries().iter().map(read::resource));
            next = page.next_token;
            if next.is_none() {
                return Ok(resources);
            }
        }
    }

    async fn template(&self, stack: &str, form: TemplateForm) -> Result<String, Failure> {
        let request = self.client().get_template().stack_name(stack).template_stage(form.stage());
        let found = request.send().await.map_err(|error| failure("GetTemplate", stack, &error))?;
        Ok(found.template_body.unwrap_or_default())
    }

    async fn change_sets(&self, stack: &str) -> Result<Vec<String>, Failure> {
        let mut names = Vec::new();
        let mut next = None;
        loop {
            let request = self.client().list_change_sets().stack_name(stack).set_next_token(next);
            let page = request.send().await.map_err(|error| failure("ListChangeSets", stack, &error))?;
            let found = page.summaries().iter();
            names.extend(found.map(|summary| summary.change_set_name().unwrap_or_default().to_owned()));
            next = page.next_token;
            if next.is_none() {
                return Ok(names);
            }
        }
    }

    async fn importers(&self, export: &str) -> Result<Vec<String>, Failure> {
        let mut importers = Vec::new();
        let mut next = None;
        loop {
            let request = self.client().list_imports().export_name(export).set_next_token(next);
            let page = match request.send().await {
                Ok(page) => page,
                Err(error) if read::is_not_imported(&error) => return Ok(importers),
                Err(error) => return Err(failure("ListImports", export, &error)),
            };
            importers.extend(page.imports().iter().cloned());
            next = page.next_token;
            if next.is_none() {
                return Ok(importers);
            }
        }
    }

    async fn validation_failures(&self, change_set: &str) -> Result<Vec<String>, Failure> {
        let events = self.failed_events(None, Some(change_set)).await?;
        Ok(events.iter().filter_map(read::validation_failure).collect())
    }

    async fn validation_warnings(&self, change_set: &str) -> Result<Vec<String>, Failure> {
        let events = self.failed_events(None, Some(change_set)).await?;
        let warnings = events.iter().filter(|event| read::is_warning(event));
        Ok(warnings.filter_map(read::validation_failure).collect())
    }

    async fn failed_validations(&self, stack: &str, token: &str) -> Result<Vec<String>, Failure> {
        let events = self.failed_events(Some(stack), None).await?;
        Ok(read::of_the_operation(&events, token).filter_map(read::validation_failure).collect())
    }

    async fn create_change_set(&self, wanted: &NewChangeSet) -> Result<Creation, Failure> {
        let kind = match wanted.kind {
            ChangeSetKind::Create => ChangeSetType::Create,
            ChangeSetKind::Update => ChangeSetType::Update,
        };
        let parameters = wanted.parameters.iter();
        let parameters =
            parameters.map(|(k, v)| Parameter::builder().parameter_key(k).parameter_value(v).build());
        let tags = wanted.tags.iter().map(|(k, v)| Tag::builder().key(k).value(v).build());
        let capabilities = wanted.capabilities.iter().map(|name| Capability::from(*name));
        let (url, body) = wanted.template.parts();
        // A change set that reverts drift includes no nested stacks.
        let request = self
            .client()
            .create_change_set()
            .set_deployment_mode(wanted.revert_drift.then_some(DeploymentMode::RevertDrift))
            .stack_name(&wanted.stack)
            .change_set_name(&wanted.name)
            .client_token(&wanted.token)
            .change_set_type(kind)
            .set_template_url(url)
            .set_template_body(body)
            .set_parameters(Some(parameters.collect()))
            .set_tags(Some(tags.collect()))
            .set_capabilities(Some(capabilities.collect()))
            .set_role_arn(named(&wanted.role))
            .set_import_existing_resources(wanted.imports_existing.then_some(true))
            .description(&wanted.description)
            .include_nested_stacks(wanted.with_nested && !wanted.revert_drift);
        match request.send().await {
            Ok(_) => Ok(Creation::Begun),
            Err(error)
                if error.as_service_error().is_some_and(|refused| refused.is_already_exists_exception()) =>
            {
                Ok(Creation::Exists)
            }
            Err(error) => Err(failure("CreateChangeSet", &wanted.stack, &error)),
        }
    }

    async fn describe_change_set(
        &self,
        stack: &str,
        change_set: &str,
    ) -> Result<Option<ChangeSetView>, Failure> {
        let mut view: Option<ChangeSetView> = None;
        let mut next = None;
        loop {
            // An ARN identifies the stack; a name needs the stack's name as well.
            let stack = (!change_set.starts_with("arn:")).then(|| stack.to_owned());
            let request = self.client().describe_change_set().set_stack_name(stack);
            let page = match request.change_set_name(change_set).set_next_token(next).send().await {
                Ok(page) => page,
                Err(error) if read::has_no_change_set(&error) => return Ok(None),
                Err(error) => return Err(failure("DescribeChangeSet", change_set, &error)),
            };
            let read = read::change_set(&page)?;
            view = Some(match view {
                None => read,
                // The first page's changes precede those of the next page; one unreadable page makes all unreadable.
                Some(first) => ChangeSetView {
                    changes: first.changes.zip(read.changes).map(|(mut all, more)| {
                        all.extend(more);
                        all
                    }),
                    ..first
                },
            });
            next = page.next_token;
            if next.is_none() {
                return Ok(view);
            }
        }
    }

    async fn delete_change_set(&self, stack: &str, change_set: &str) -> Result<(), Failure> {
        let stack = (!change_set.starts_with("arn:")).then(|| stack.to_owned());
        let request = self.client().delete_change_set().set_stack_name(stack).change_set_name(change_set);
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if read::is_absent(&error) => Ok(()),
            Err(error) => Err(failure("DeleteChangeSet", change_set, &error)),
        }
    }

    async fn execute_change_set(&self, change_set: &str, token: &str) -> Result<Execution, Failure> {
        let request = self.client().execute_change_set().change_set_name(change_set);
        match request.client_request_token(token).retain_except_on_create(true).send().await {
            Ok(_) => Ok(Execution::Accepted),
            Err(error) => match error.as_service_error() {
                Some(refused) if refused.is_token_already_exists_exception() => Ok(Execution::Accepted),
                Some(refused)
                    if refused.is_invalid_change_set_status_exception()
                        || refused.is_change_set_not_found_exception() =>
                {
                    Ok(Execution::Refused)
                }
                _ => Err(failure("ExecuteChangeSet", change_set, &error)),
            },
        }
    }

    async fn delete_stack(
        &self,
        arn: &str,
        token: &str,
        role: &str,
        retain: &[String],
    ) -> Result<(), Failure> {
        let request = self.client().delete_stack().stack_name(arn).client_request_token(token);
        let request = request.set_role_arn(named(role));
        let retain = (!retain.is_empty()).then(|| retain.to_vec());
        match request.set_retain_resources(retain).send().await {
            Ok(_) => Ok(()),
            Err(error) if read::is_absent(&error) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(refused) if refused.is_token_already_exists_exception() => Ok(()),
                _ => Err(failure("DeleteStack", arn, &error)),
            },
        }
    }

    async fn rollback_stack(&self, arn: &str, token: &str, role: &str) -> Result<(), Failure> {
        let request = self.client().rollback_stack().stack_name(arn).client_request_token(token);
        match request.set_role_arn(named(role)).send().await {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(refused) if refused.is_token_already_exists_exception() => Ok(()),
                _ => Err(failure("RollbackStack", arn, &error)),
            },
        }
    }

    async fn replay(&self, replay: &Replay) -> Result<(), Failure> {
        let parameters = replay.parameters.iter();
        let parameters =
            parameters.map(|(k, v)| Parameter::builder().parameter_key(k).parameter_value(v).build());
        let capabilities = replay.capabilities.iter().map(|name| Capability::from(*name));
        let (url, body) = replay.template.parts();
        let express = DeploymentConfig::builder().mode(DeploymentConfigMode::Express).disable_rollback(true);
        let request = self
            .client()
            .update_stack()
            .stack_name(&replay.arn)
            .client_request_token(&replay.token)
            .set_template_url(url)
            .set_template_body(body)
            .set_parameters(Some(parameters.collect()))
            .set_capabilities(Some(capabilities.collect()))
            .set_role_arn(named(&replay.role))
            .deployment_config(express.build());
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(refused) if refused.is_token_already_exists_exception() => Ok(()),
                _ => Err(failure("UpdateStack", &replay.arn, &error)),
            },
        }
    }

    async fn continue_update_rollback(
        &self,
        arn: &str,
        token: &str,
        role: &str,
        skip: &[String],
    ) -> Result<(), Failure> {
        let request = self.client().continue_update_rollback().stack_name(arn).client_request_token(token);
        let skip = (!skip.is_empty()).then(|| skip.to_vec());
        match request.set_role_arn(named(role)).set_resources_to_skip(skip).send().await {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(refused) if refused.is_token_already_exists_exception() => Ok(()),
                _ => Err(failure("ContinueUpdateRollback", arn, &error)),
            },
        }
    }

    async fn cancel_update_stack(&self, arn: &str, token: &str) -> Result<(), Failure> {
        match self.client().cancel_update_stack().stack_name(arn).client_request_token(token).send().await {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(refused) if refused.is_token_already_exists_exception() => Ok(()),
                _ => Err(failure("CancelUpdateStack", arn, &error)),
            },
        }
    }
}
