//! What is found of a stack decides what is done with it.
//!
//! [`plan`] is the table of the design, section 6, as one match; first match wins, and every row that needs more than a
//! line is a function of [`recovery`]. [`teardown`] and [`destroy`] are the same for stacks that are to go, [`outcome`]
//! says how an operation of ours ended. The statuses are those of
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_Stack.html>.

mod ending;
mod policies;
mod recovery;
mod removal;
mod status;

use crate::model::ids::{Digest, LogicalId};
use crate::model::policies::Policies;
use crate::model::token::is_client_token;
use crate::records::{NamedResource, Operation, OperationKind, Proposal};
use crate::stacks::diagnosis::StackEvent;
use crate::stacks::protected::is_protected;
pub use ending::{Outcome, Progress, outcome};
pub use policies::policies;
pub use recovery::{OTHERS_SECONDS_MAX, intend};
pub use removal::{Destroy, destroy, destroyed, teardown};
pub use status::{Phase, StackStatus};
use std::collections::BTreeSet;

/// A stack as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackSnapshot {
    /// Its ARN.
    pub arn: String,
    /// Its status.
    pub status: StackStatus,
    /// The root of a nested stack; none for a root stack.
    pub parent: Option<String>,
    /// Who began the newest operation on it.
    pub newest: LatestOperation,
    /// What is in it; read only where [`StackStatus::contents_decide`] says so, and for a stack that is to go.
    pub remains: Option<Remains>,
    /// Whether its events show that it ever was stable; read only where [`StackStatus::history_decides`] says so, and
    /// none if they do not reach back to its creation.
    pub was_stable: Option<bool>,
    /// Whether CloudFormation refuses to delete it.
    pub termination_protection: bool,
}

/// Who began the newest operation on a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LatestOperation {
    /// Its events do not show it yet.
    Unseen,
    /// Somebody who gave no client request token: not us.
    Nameless,
    /// Whoever gave this client request token.
    Named(String),
}

impl LatestOperation {
    /// Who began the operation that brought a stack to `status`; `event` is the newest about the stack itself.
    ///
    /// A stack that runs while its newest event has ended is described by neither: the event is of the operation before,
    /// or the stack has ended since.
    pub fn of(status: &StackStatus, event: Option<&StackEvent>) -> Self {
        let Some(event) = event else { return Self::Unseen };
        let event_runs = StackStatus::parse(&event.status).phase() == Phase::Running;
        if status.phase() == Phase::Running && !event_runs {
            return Self::Unseen;
        }
        event.token.clone().map_or(Self::Nameless, Self::Named)
    }

    fn token(&self) -> Option<&str> {
        match self {
            Self::Named(token) => Some(token),
            Self::Unseen | Self::Nameless => None,
        }
    }
}

/// What a stack that may have to be removed holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remains {
    /// Its resources, nested ones included.
    pub resources: Vec<LiveResource>,
    /// The names of its change sets.
    pub change_sets: Vec<String>,
    /// What deletion policies keep, those of nested stacks too; nothing if that could not be read.
    pub policies: Option<Policies>,
}

impl Remains {
    /// What is protected and still there: by its type, or because `protect` names it.
    fn protected(&self, protect: &BTreeSet<LogicalId>) -> Vec<NamedResource> {
        let named = |resource: &LiveResource| {
            resource.logical_id.parse::<LogicalId>().is_ok_and(|id| protect.contains(&id))
        };
        let held = self.resources.iter().filter(|resource| resource.survives());
        named_resources(held.filter(|resource| named(resource) || is_protected(&resource.resource_type)))
    }

    /// The buckets of a throw-away stack that refused to be deleted, by the names CloudFormation made from the stack's:
    /// others are not ours to empty.
    fn full_buckets(&self) -> Vec<String> {
        let stuck = self.resources.iter().filter(|resource| {
            resource.resource_type == "AWS::S3::Bucket" && resource.status == "DELETE_FAILED"
        });
        let prefix = format!("{}-", crate::model::ids::TEST);
        stuck.map(|bucket| bucket.physical_id.clone()).filter(|name| name.starts_with(&prefix)).collect()
    }

    /// The stack's own resources that refused to be deleted: what RetainResources may name.
    fn undeletable(&self) -> Vec<NamedResource> {
        let own = self.resources.iter().filter(|resource| !resource.logical_id.contains('.'));
        named_resources(own.filter(|resource| resource.status == "DELETE_FAILED"))
    }
}

fn named_resources<'a>(resources: impl Iterator<Item = &'a LiveResource>) -> Vec<NamedResource> {
    let mut named: Vec<NamedResource> = resources.map(LiveResource::named).collect();
    named.sort();
    named
}

/// A resource of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveResource {
    /// The logical id, with those of nested stacks before it.
    pub logical_id: String,
    /// Its physical id; empty if it never got one.
    pub physical_id: String,
    /// Its type.
    pub resource_type: String,
    /// Its status, such as `DELETE_FAILED`.
    pub status: String,
}

impl LiveResource {
    /// Whether something of it may exist. Only what CloudFormation reports as deleted is gone.
    pub fn survives(&self) -> bool {
        self.status != "DELETE_COMPLETE" && !(self.physical_id.is_empty() && self.status == "CREATE_FAILED")
    }

    /// The resource as a proposal names it.
    pub fn named(&self) -> NamedResource {
        NamedResource {
            name: self.logical_id.clone(),
            resource_type: self.resource_type.clone(),
            physical_id: self.physical_id.clone(),
        }
    }
}

/// What the ledger knows of the stack, and what is wanted.
#[derive(Clone, Copy, Debug)]
pub struct PlanInput<'a> {
    /// The stack that the environment's record names.
    pub environment_stack: Option<&'a str>,
    /// Whether that stack was ever stable.
    pub ever_stable: bool,
    /// The stack that this deployment made a change set on.
    pub deployment_stack: Option<&'a str>,
    /// The names that this deployment gives to its change sets, one for each attempt.
    pub change_sets: &'a [String],
    /// This deployment's journalled operations, oldest first.
    pub operations: &'a [Operation],
    /// What a person allowed this deployment to do.
    pub allowed: &'a [Proposal],
    /// For how many seconds this deployment has waited for somebody else's operation.
    pub waited_seconds: i64,
    /// The logical ids that the manifest protects.
    pub protect: &'a BTreeSet<LogicalId>,
    /// The digests of the template and the parameters that the environment runs, if it runs something.
    pub deployed: Option<(&'a Digest, &'a Digest)>,
    /// The digests of the template and the parameters that it is to run.
    pub wanted: Option<(&'a Digest, &'a Digest)>,
}

impl PlanInput<'_> {
    /// Whether the ledger says that this very stack was stable once.
    fn was_stable(&self, stack: &StackSnapshot) -> bool {
        self.ever_stable && self.environment_stack == Some(&stack.arn)
    }

    /// Whether a person allowed what is proposed: exactly that, or more of the same.
    fn allows(&self, proposal: &Proposal) -> bool {
        self.allowed.iter().any(|allowed| allowed.covers(proposal))
    }
}

/// Whether a change set creates a stack or updates one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeSetKind {
    /// There is no stack.
    Create,
    /// There is one.
    Update,
}

/// An operation that brings a stack to where it can be planned for, or removes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// The stack's ARN: a name could belong to another stack by now.
    pub arn: String,
    /// What it is.
    pub operation: OperationKind,
    /// What a person allowed to retain or to skip for it.
    pub allowed: Option<Proposal>,
    /// The buckets of a throw-away stack that must be emptied first.
    pub empty: Vec<String>,
    /// Why, for the journal.
    pub why: String,
}

impl Recovery {
    /// The names of the resources that it retains or skips.
    pub fn without(&self) -> Vec<String> {
        self.allowed.as_ref().map(Proposal::names).unwrap_or_default()
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Make a change set.
    CreateChangeSet(ChangeSetKind),
    /// Begin this, wait for its end, and plan again.
    Recover(Recovery),
    /// Wait for an operation of ours that is running.
    Adopt {
        /// What to wait for, see [`operation_key`].
        key: String,
    },
    /// Wait for an operation that somebody else began.
    AwaitOther {
        /// What to wait for. No event ends it: the time-out of the wait makes us look.
        key: String,
    },
    /// Ask a person whether this may be done.
    Ask(Proposal),
    /// The stack runs what is wanted: touch nothing.
    NoChanges,
    /// There is no stack, and there is to be none.
    Gone,
    /// No rule may decide.
    NeedsHuman {
        /// The state and the next step, as a sentence.
        why: String,
    },
    /// An operation runs whose events are not visible yet: look again soon.
    Wait,
    /// The stack's status and its resources do not fit together, as they may for a moment: look again soon.
    LookAgain {
        /// What is missing, as a sentence.
        why: String,
    },
}

/// The key of the wait for the operation `token` on the stack `arn`: a stack outlives its operations.
pub fn operation_key(arn: &str, token: &str) -> String {
    format!("{arn}#{token}")
}

/// The stack's ARN in an [`operation_key`].
pub fn stack_of_key(key: &str) -> &str {
    key.split_once('#').map_or(key, |(arn, _)| arn)
}

/// What is to be done with what was found.
pub fn plan(found: Option<&StackSnapshot>, known: &PlanInput<'_>) -> Plan {
    use StackStatus as S;
    let Some(stack) = found else { return Plan::CreateChangeSet(ChangeSetKind::Create) };
    if stack.status == S::DeleteComplete {
        return Plan::CreateChangeSet(ChangeSetKind::Create);
    }
    if let Some(refusal) = not_ours(stack, known) {
        return refusal;
    }
    match &stack.status {
        S::DeleteComplete => Plan::CreateChangeSet(ChangeSetKind::Create),
        // A person may have thought for days about the change set that made this placeholder, or we crashed over it.
        S::ReviewInProgress if holds_our_change_set(stack, known) => {
            Plan::CreateChangeSet(ChangeSetKind::Create)
        }
        S::ReviewInProgress => recovery::clear_placeholder(stack),
        S::CreateFailed | S::RollbackComplete => recovery::clear(stack, known),
        S::RollbackFailed | S::DeleteFailed => recovery::clear_undeletable(stack, known),
        S::CreateComplete
        | S::UpdateComplete
        | S::UpdateRollbackComplete
        | S::ImportComplete
        | S::ImportRollbackComplete => update(stack, known),
        S::CreateInProgress
        | S::RollbackInProgress
        | S::DeleteInProgress
        | S::UpdateInProgress
        | S::UpdateCompleteCleanupInProgress
        | S::UpdateRollbackInProgress
        | S::UpdateRollbackCompleteCleanupInProgress
        | S::ImportInProgress
        | S::ImportRollbackInProgress => recovery::wait(stack, known),
        S::UpdateFailed => recovery::roll_back(stack, known),
        S::UpdateRollbackFailed => recovery::finish_rollback(stack, known),
        S::ImportRollbackFailed => human(
            stack,
            format!(
                "an import could not be undone; see its events: \
                 aws cloudformation describe-stack-events --stack-name {}",
                stack.arn
            ),
        ),
        S::Unknown(_) => unknown(stack),
    }
}

/// Why the stack may not be touched at all; nothing if it may.
fn not_ours(stack: &StackSnapshot, known: &PlanInput<'_>) -> Option<Plan> {
    if let Some(parent) = &stack.parent {
        return Some(human(stack, format!("it is nested in {parent}; give the component another name")));
    }
    let why = "Lockstep did not make it and will not touch it; delete or rename it, or give the component another name";
    (!is_ours(stack, known)).then(|| human(stack, why))
}

/// Whether we made the stack: the ledger names it, or its newest operation or all its change sets are named by us.
fn is_ours(stack: &StackSnapshot, known: &PlanInput<'_>) -> bool {
    let arn = Some(stack.arn.as_str());
    known.environment_stack == arn
        || known.deployment_stack == arn
        || stack.newest.token().is_some_and(is_client_token)
        || (stack.status == StackStatus::ReviewInProgress
            && stack.remains.as_ref().is_some_and(|remains| {
                !remains.change_sets.is_empty()
                    && remains.change_sets.iter().all(|name| is_client_token(name))
            }))
}

fn holds_our_change_set(stack: &StackSnapshot, known: &PlanInput<'_>) -> bool {
    let held = stack.remains.iter().flat_map(|remains| &remains.change_sets);
    held.into_iter().any(|name| known.change_sets.contains(name))
}

fn update(stack: &StackSnapshot, known: &PlanInput<'_>) -> Plan {
    let same_stack = known.environment_stack == Some(&stack.arn);
    if same_stack && known.deployed.is_some() && known.deployed == known.wanted {
        Plan::NoChanges
    } else {
        Plan::CreateChangeSet(ChangeSetKind::Update)
    }
}

fn unknown(stack: &StackSnapshot) -> Plan {
    human(stack, "Lockstep does not know this status; look at the stack, then try again")
}

/// Nothing is deleted on trust.
const UNREAD: &str = "what it holds could not be read, so nothing may be deleted";

fn unread(stack: &StackSnapshot) -> Plan {
    human(stack, UNREAD)
}

fn human(stack: &StackSnapshot, what: impl AsRef<str>) -> Plan {
    Plan::NeedsHuman { why: sentence(stack, what) }
}

fn look_again(stack: &StackSnapshot, what: impl AsRef<str>) -> Plan {
    Plan::LookAgain { why: sentence(stack, what) }
}

fn sentence(stack: &StackSnapshot, what: impl AsRef<str>) -> String {
    format!("The stack {} is {}: {}.", stack.arn, stack.status, what.as_ref())
}

/// The resources that could not be deleted, as the middle of a sentence; empty if they were not read.
fn blockers(stack: &StackSnapshot) -> String {
    let resources = stack.remains.iter().flat_map(|remains| &remains.resources);
    let names: Vec<&str> =
        resources.filter(|r| r.status == "DELETE_FAILED").map(|r| r.logical_id.as_str()).collect();
    if names.is_empty() { String::new() } else { format!(" because of {}", names.join(", ")) }
}

#[cfg(test)]
mod tests;
