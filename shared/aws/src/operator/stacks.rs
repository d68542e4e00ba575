//! Stacks for an installer: applied, awaited, deleted.
//!
//! Every operation is a change set. It imports retained resources of an earlier installation
//! (`ImportExistingResources`), and a failed operation keeps no new resource (`RetainExceptOnCreate`). An installation
//! that failed can therefore be run again.

mod waiting;

use crate::aws::Aws;
use crate::cloudformation::{
    ChangeSetState, ChangeSetView, CloudFormation, Execution, NewChangeSet, Stack, Stacks, TemplateSource,
};
use crate::failure::failure;
use aws_sdk_cloudformation::types::Parameter;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::token::client_token;
use lockstep_domain::stacks::diagnosis::{self, StackEvent, Stream};
use lockstep_domain::stacks::plan::{ChangeSetKind, LiveResource, Phase, StackStatus};
use std::collections::BTreeMap;
use std::time::Duration;
pub use waiting::{RealTime, Time};

/// The shortest and the longest pause between two reads of a stack.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// Desired state of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// The template's source; CloudFormation accepts 51,200 bytes directly and 1 MB from S3.
    pub template: TemplateSource,
    /// The parameters, all of them.
    pub parameters: BTreeMap<String, String>,
}

/// Result of an apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The stack was created.
    Created,
    /// The stack was updated.
    Updated,
    /// The stack already matched.
    Unchanged,
}

/// A stack after [`Installer::apply`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The result.
    pub applied: Applied,
    /// The stack.
    pub stack: Stack,
    /// The existing resources that were imported into the stack, each with its type and its name.
    pub imported: Vec<String>,
}

/// Installs stacks in one account and region.
pub struct Installer<S = CloudFormation, T = RealTime> {
    stacks: S,
    time: T,
}

impl Installer {
    /// Creates the installer of the account and region of `aws`.
    pub fn new(aws: &Aws) -> Self {
        Self { stacks: CloudFormation::new(aws), time: RealTime::default() }
    }

    /// Returns the parameters a stack was last given; empty if there is no such stack.
    pub async fn parameters(&self, name: &str) -> Result<BTreeMap<String, String>, Failure> {
        let answer = match self.stacks.client().describe_stacks().stack_name(name).send().await {
            Ok(answer) => answer,
            Err(_) if self.stacks.describe(name).await?.is_none() => return Ok(BTreeMap::new()),
            Err(error) => return Err(failure("DescribeStacks", name, &error)),
        };
        let parameters = answer.stacks().iter().flat_map(|stack| stack.parameters());
        let pair = |parameter: &Parameter| {
            Some((parameter.parameter_key()?.to_owned(), parameter.parameter_value()?.to_owned()))
        };
        Ok(parameters.filter_map(pair).collect())
    }

    /// Returns the names of every stack that is not deleted and begins with `prefix`.
    pub async fn names(&self, prefix: &str) -> Result<Vec<String>, Failure> {
        let mut names = Vec::new();
        let mut next = None;
        loop {
            let request = self.stacks.client().describe_stacks().set_next_token(next);
            let page = request.send().await.map_err(|error| failure("DescribeStacks", "*", &error))?;
            let found = page.stacks().iter().filter_map(|stack| stack.stack_name());
            names.extend(found.filter(|name| name.starts_with(prefix)).map(str::to_owned));
            next = page.next_token;
            if next.is_none() {
                return Ok(names);
            }
        }
    }
}

impl<S: Stacks, T: Time> Installer<S, T> {
    /// Creates an installer of the stacks behind a port, with its own clock.
    pub fn of(stacks: S, time: T) -> Self {
        Self { stacks, time }
    }

    /// Creates or updates a stack and waits for the end, at most for `patience`.
    ///
    /// It first deletes a stack whose creation failed, since such a stack holds no data. It first continues a rollback
    /// that is stuck.
    ///
    /// # Errors
    /// `StackFailed` with the first resource that really failed; `StackNeedsHuman` if the stack is in a state that no
    /// update leaves; `Transient` if it takes longer.
    pub async fn apply(&self, wanted: &Wanted, patience: Duration) -> Result<Done, Failure> {
        let deadline = self.time.now() + patience;
        let found = self.usable(&wanted.name, deadline).await?;
        let kind = found.as_ref().map_or(ChangeSetKind::Create, |_| ChangeSetKind::Update);
        let Some(change_set) = self.change_set(wanted, kind, deadline).await? else {
            let stack = self.existing(&wanted.name).await?;
            return Ok(Done { applied: Applied::Unchanged, stack, imported: Vec::new() });
        };
        let token = client_token(&wanted.name, "install", unique());
        if self.stacks.execute_change_set(&change_set.arn, &token).await? == Execution::Refused {
            let why = format!("stack {}: another writer changed it meanwhile", wanted.name);
            return Err(Failure::new(FailureKind::Transient, why));
        }
        self.begun(&change_set.stack_arn, &token, deadline).await?;
        let stack = self.settled(&change_set.stack_arn, deadline).await?;
        let stack = stack.ok_or_else(|| {
            Failure::new(FailureKind::StackFailed, format!("stack {} vanished", wanted.name))
        })?;
        match stack.status {
            StackStatus::CreateComplete | StackStatus::UpdateComplete | StackStatus::ImportComplete => {
                let applied = match kind {
                    ChangeSetKind::Create => Applied::Created,
                    ChangeSetKind::Update => Applied::Updated,
                };
                Ok(Done { applied, stack, imported: imported(&change_set) })
            }
            _ => Err(self.explain(&wanted.name, &stack, &token).await),
        }
    }

    /// Deletes a stack, which need not exist, and waits for the end.
    ///
    /// # Errors
    /// `StackFailed` with the first resource that could not be deleted.
    pub async fn delete(&self, name: &str, patience: Duration) -> Result<(), Failure> {
        let Some(stack) = self.stacks.describe(name).await? else { return Ok(()) };
        let token = client_token(name, "delete", unique());
        self.stacks.delete_stack(&stack.arn, &token, "", &[]).await?;
        match self.settled(&stack.arn, self.time.now() + patience).await? {
            None => Ok(()),
            Some(left) if left.status == StackStatus::DeleteComplete => Ok(()),
            Some(left) => Err(self.explain(name, &left, &token).await),
        }
    }

    /// Returns the stack, if it exists.
    pub async fn find(&self, name: &str) -> Result<Option<Stack>, Failure> {
        self.stacks.describe(name).await
    }

    /// Returns the resources of a stack.
    pub async fn resources(&self, name: &str) -> Result<Vec<LiveResource>, Failure> {
        self.stacks.resources(name).await
    }

    /// Returns the names of the stack's change sets.
    pub async fn change_sets(&self, name: &str) -> Result<Vec<String>, Failure> {
        self.stacks.change_sets(name).await
    }

    async fn existing(&self, name: &str) -> Result<Stack, Failure> {
        let found = self.stacks.describe(name).await?;
        found.ok_or_else(|| Failure::not_found(format!("stack {name} does not exist")))
    }

    /// Returns the stack in a state that an update can leave, or `None` if it must be created.
    async fn usable(&self, name: &str, deadline: Duration) -> Result<Option<Stack>, Failure> {
        let Some(found) = self.settled(name, deadline).await? else { return Ok(None) };
        let left = deadline.saturating_sub(self.time.now());
        match found.status {
            // A failed or only reviewed creation, a deletion that is stuck: such a stack has no resource to update.
            StackStatus::RollbackComplete
            | StackStatus::CreateFailed
            | StackStatus::RollbackFailed
            | StackStatus::DeleteFailed
            | StackStatus::ReviewInProgress => {
                self.delete(name, left).await?;
                Ok(None)
            }
            StackStatus::UpdateRollbackFailed => {
                let token = client_token(name, "continue-rollback", unique());
                self.stacks.continue_update_rollback(&found.arn, &token, "", &[]).await?;
                match self.settled(name, deadline).await? {
                    Some(stack) if stack.status == StackStatus::UpdateRollbackFailed => {
                        Err(self.explain(name, &stack, &token).await)
                    }
                    other => Ok(other),
                }
            }
            _ => Ok(Some(found)),
        }
    }

    /// Creates a change set and waits until it is executable; returns `None` if it is empty.
    async fn change_set(
        &self,
        wanted: &Wanted,
        kind: ChangeSetKind,
        deadline: Duration,
    ) -> Result<Option<ChangeSetView>, Failure> {
        let name = client_token(&wanted.name, "change-set", unique());
        self.stacks.create_change_set(&wanted.change_set(&name, kind)).await?;
        let made = self.made(&wanted.name, &name, deadline).await?;
        match &made.state {
            ChangeSetState::Ready => Ok(Some(made)),
            ChangeSetState::Empty => {
                self.stacks.delete_change_set(&wanted.name, &made.arn).await?;
                Ok(None)
            }
            state => {
                let failure = self.refused(&wanted.name, &made.arn, state).await;
                // A remaining change set blocks no operation: the next run deletes it too.
                let _ = self.stacks.delete_change_set(&wanted.name, &made.arn).await;
                Err(failure)
            }
        }
    }

    /// Returns the change set once CloudFormation has created it.
    async fn made(&self, stack: &str, name: &str, deadline: Duration) -> Result<ChangeSetView, Failure> {
        let mut pause = PAUSE.0;
        loop {
            let view = self.stacks.describe_change_set(stack, name).await?;
            match view {
                Some(view) if view.state != ChangeSetState::InProgress => return Ok(view),
                Some(_) => {}
                None => {
                    let why = format!("stack {stack}: its change set {name} vanished");
                    return Err(Failure::new(FailureKind::StackFailed, why));
                }
            }
            pause = self.pause(pause, deadline, stack).await?;
        }
    }

    /// Returns the reason why CloudFormation did not create a change set.
    async fn refused(&self, stack: &str, change_set: &str, state: &ChangeSetState) -> Failure {
        let reason = match state {
            ChangeSetState::Failed(reason) => reason.clone(),
            other => format!("it is {other:?}"),
        };
        let found = self.stacks.validation_failures(change_set).await.unwrap_or_default();
        let why = if found.is_empty() { reason } else { found.join("; ") };
        Failure::new(FailureKind::StackFailed, format!("stack {stack} cannot be changed: {why}"))
    }

    /// Waits until the stack shows the operation `token`. Before that, its status is that of the previous operation.
    async fn begun(&self, stack: &str, token: &str, deadline: Duration) -> Result<(), Failure> {
        let ours = |events: &[StackEvent]| events.iter().any(|event| event.token.as_deref() == Some(token));
        let mut pause = PAUSE.0;
        while !ours(&self.stacks.events(stack, &ours).await?) {
            pause = self.pause(pause, deadline, stack).await?;
        }
        Ok(())
    }

    /// Returns the stack once no operation runs on it.
    async fn settled(&self, stack: &str, deadline: Duration) -> Result<Option<Stack>, Failure> {
        let mut pause = PAUSE.0;
        loop {
            let found = self.stacks.describe(stack).await?;
            match &found {
                Some(seen) if seen.status.phase() == Phase::Running => {}
                _ => return Ok(found),
            }
            pause = self.pause(pause, deadline, stack).await?;
        }
    }

    /// Waits before the next read of a stack; returns the pause after it.
    async fn pause(&self, pause: Duration, deadline: Duration, stack: &str) -> Result<Duration, Failure> {
        if self.time.now() + pause > deadline {
            let why =
                format!("stack {stack} is still busy; look at it with `aws cloudformation describe-stacks`");
            return Err(Failure::new(FailureKind::Transient, why));
        }
        self.time.pass(pause).await;
        Ok((pause * 3 / 2).min(PAUSE.1))
    }

    async fn explain(&self, name: &str, stack: &Stack, token: &str) -> Failure {
        let of_this =
            |events: &[StackEvent]| events.last().is_some_and(|event| event.token.as_deref() != Some(token));
        let events = match self.stacks.events(&stack.arn, &of_this).await {
            Ok(events) => events,
            Err(failure) => return failure,
        };
        let events = events.into_iter().filter(|event| event.token.as_deref() == Some(token)).collect();
        let causes = diagnosis::diagnose(&[Stream { path: Vec::new(), events }], None);
        let why = match causes.first() {
            Some(cause) => diagnosis::sentence(cause, "template"),
            None => self.invalid(&stack.arn, token).await,
        };
        Failure::new(FailureKind::StackFailed, format!("stack {name} is {}: {why}", stack.status.as_str()))
    }

    /// Returns the reason of a failed operation without a failed resource: CloudFormation's validation stopped it
    /// earlier.
    async fn invalid(&self, stack: &str, token: &str) -> String {
        match self.stacks.failed_validations(stack, token).await {
            Ok(found) if !found.is_empty() => found.join("; "),
            Ok(_) => format!(
                "CloudFormation gives no reason; look at `aws cloudformation describe-events --stack-name {stack}`"
            ),
            Err(failure) => {
                format!("no resource failed, and DescribeEvents cannot be read: {}", failure.chain())
            }
        }
    }
}

impl Wanted {
    fn change_set(&self, name: &str, kind: ChangeSetKind) -> NewChangeSet {
        NewChangeSet {
            stack: self.name.clone(),
            name: name.to_owned(),
            token: name.to_owned(),
            kind,
            template: self.template.clone(),
            parameters: self.parameters.clone(),
            tags: vec![("application".to_owned(), "lockstep".to_owned())],
            capabilities: vec!["CAPABILITY_NAMED_IAM"],
            role: String::new(),
            imports_existing: true,
            revert_drift: false,
            with_nested: true,
            description: "lockstep install".to_owned(),
        }
    }
}

/// Returns the resources that a change set imports.
fn imported(change_set: &ChangeSetView) -> Vec<String> {
    let changes = change_set.changes.iter().flatten().filter(|change| change.action == "Import");
    changes.map(|change| format!("{} {}", change.resource_type, change.physical_id)).collect()
}

/// Returns a number unique to this run: every run of an installer is an operation of its own.
fn unique() -> u32 {
    uuid::Uuid::new_v4().as_fields().0
}
