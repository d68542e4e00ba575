//! Decision table: the snapshot of a stack determines the next operation on it.
//!
//! [`plan`] is the table of the design, section 6, as one match. The first matching row wins, and every row that needs
//! more than a line is a function of [`recovery`]. [`teardown`] and [`destroy`] are the tables for stacks that must be
//! deleted. [`operation_state`] returns how one of Lockstep's own operations ended. The statuses are those of
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_Stack.html>.

mod ending;
mod policies;
mod recovery;
mod removal;
mod status;

use crate::model::ids::{Digest, LogicalId};
use crate::model::policies::Policies;
use crate::records::{NamedResource, Operation, OperationKind, Proposal};
use crate::stacks::diagnosis::StackEvent;
use crate::stacks::identity::{StackIdentity, Tags};
use crate::stacks::protected::is_protected;
pub use ending::{OperationState, Progress, operation_state};
pub use policies::policies;
pub use recovery::{OTHERS_SECONDS_MAX, express_advice, intend};
pub use removal::{Destroy, destroy, destroyed, teardown};
pub use status::{Phase, StackStatus};
use std::collections::BTreeSet;

/// State of a stack at the moment it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackSnapshot {
    /// ARN of the stack.
    pub arn: String,
    /// Status of the stack.
    pub status: StackStatus,
    /// Tags of the stack. CloudFormation need not show them before the stack was created.
    pub tags: Tags,
    /// ARN of the root stack if this is a nested stack; `None` for a root stack.
    pub parent: Option<String>,
    /// Initiator of the newest operation on the stack.
    pub newest: LatestOperation,
    /// Contents of the stack. Read only where [`StackStatus::contents_decide`] requires it, and for a stack that must
    /// be deleted.
    pub remains: Option<Remains>,
    /// True if the events show that the stack was stable once. Read only where [`StackStatus::history_decides`]
    /// requires it; `None` if the events do not reach back to the creation.
    pub was_stable: Option<bool>,
    /// True if CloudFormation refuses to delete the stack.
    pub termination_protection: bool,
    /// True if the last operation ran in express mode. RollbackStack then refuses a failed stack.
    pub is_express: bool,
}

/// Initiator of the newest operation on a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LatestOperation {
    /// The events do not show the operation yet.
    Unseen,
    /// An initiator that gave no client request token, so not Lockstep.
    Nameless,
    /// The initiator that gave this client request token.
    Named(String),
}

impl LatestOperation {
    /// Returns the initiator of the operation that led to `status`; `event` is the newest event about the stack itself.
    ///
    /// Returns `Unseen` if the stack runs an operation while its newest event is an ended one. The event then belongs
    /// to the operation before, or the stack has ended since.
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

/// Contents of a stack that may have to be deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remains {
    /// Resources of the stack, nested ones included.
    pub resources: Vec<LiveResource>,
    /// Change sets of a stack that was not created yet.
    pub change_sets: Vec<HeldChangeSet>,
    /// Resources that deletion policies retain, nested stacks included; `None` if the policies could not be read.
    pub policies: Option<Policies>,
}

/// A change set of a stack that was not created yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldChangeSet {
    /// Name of the change set.
    pub name: String,
    /// Tags that the stack gets from the change set.
    pub tags: Tags,
}

impl Remains {
    /// Returns the surviving protected resources: protected by type, or named by `protect`.
    fn protected(&self, protect: &BTreeSet<LogicalId>) -> Vec<NamedResource> {
        let named = |resource: &LiveResource| {
            resource.logical_id.parse::<LogicalId>().is_ok_and(|id| protect.contains(&id))
        };
        let held = self.resources.iter().filter(|resource| resource.survives());
        named_resources(held.filter(|resource| named(resource) || is_protected(&resource.resource_type)))
    }

    /// Returns the buckets of a test stack that failed to be deleted. Only buckets whose name CloudFormation derived
    /// from the stack's name count; Lockstep must not empty others.
    fn full_buckets(&self) -> Vec<String> {
        let stuck = self.resources.iter().filter(|resource| {
            resource.resource_type == "AWS::S3::Bucket" && resource.status == "DELETE_FAILED"
        });
        let prefix = format!("{}-", crate::model::ids::TEST);
        stuck.map(|bucket| bucket.physical_id.clone()).filter(|name| name.starts_with(&prefix)).collect()
    }

    /// Returns the stack's own resources that failed to be deleted, which RetainResources may name.
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
    /// Logical id, prefixed with the logical ids of the nested stacks around it.
    pub logical_id: String,
    /// Physical id; empty if the resource never got one.
    pub physical_id: String,
    /// Type of the resource.
    pub resource_type: String,
    /// Status of the resource, such as `DELETE_FAILED`.
    pub status: String,
}

impl LiveResource {
    /// Returns true if part of the resource may exist. Only `DELETE_COMPLETE`, or a failed creation without an id,
    /// proves that it does not.
    pub fn survives(&self) -> bool {
        self.status != "DELETE_COMPLETE" && !(self.physical_id.is_empty() && self.status == "CREATE_FAILED")
    }

    /// Returns the resource in the form that a proposal names.
    pub fn named(&self) -> NamedResource {
        NamedResource {
            name: self.logical_id.clone(),
            resource_type: self.resource_type.clone(),
            physical_id: self.physical_id.clone(),
        }
    }
}

/// Input of the plan: the ledger's records of the stack, and the wanted state.
#[derive(Clone, Copy, Debug)]
pub struct PlanInput<'a> {
    /// StackIdentity of the stack.
    pub identity: &'a StackIdentity,
    /// ARN of the stack that the environment's record names.
    pub environment_stack: Option<&'a str>,
    /// True if that stack was ever stable.
    pub ever_stable: bool,
    /// True if the ledger has the release that the stack ran last, with its parameters.
    pub has_release: bool,
    /// ARN of the stack on which this deployment made a change set.
    pub deployment_stack: Option<&'a str>,
    /// Names that this deployment gives to its change sets, one for each attempt.
    pub change_sets: &'a [String],
    /// Recorded operations of this deployment, oldest first.
    pub operations: &'a [Operation],
    /// Proposals that were approved for this deployment.
    pub allowed: &'a [Proposal],
    /// Seconds that this deployment has waited for an operation of another caller.
    pub waited_seconds: i64,
    /// Logical ids that the manifest protects.
    pub protect: &'a BTreeSet<LogicalId>,
    /// Digests of the template and the parameters that the environment runs; `None` if it runs nothing.
    pub deployed: Option<(&'a Digest, &'a Digest)>,
    /// Digests of the template and the parameters that the environment must run.
    pub wanted: Option<(&'a Digest, &'a Digest)>,
}

impl PlanInput<'_> {
    /// Returns true if the ledger records that exactly this stack was stable once.
    fn was_stable(&self, stack: &StackSnapshot) -> bool {
        self.ever_stable && self.environment_stack == Some(&stack.arn)
    }

    /// Returns true if an approved proposal covers `proposal`: the same resources, or more.
    fn allows(&self, proposal: &Proposal) -> bool {
        self.allowed.iter().any(|allowed| allowed.covers(proposal))
    }
}

/// Kind of a change set: it creates a stack or updates one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeSetKind {
    /// The stack does not exist.
    Create,
    /// The stack exists.
    Update,
}

/// An operation that makes a stack deployable again, or deletes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// ARN of the stack. Its name could belong to another stack by now.
    pub arn: String,
    /// Kind of the operation.
    pub operation: OperationKind,
    /// Approved proposal with the resources to retain or to skip.
    pub allowed: Option<Proposal>,
    /// Buckets of a test stack that must be emptied first.
    pub empty: Vec<String>,
    /// Reason, for the deployment log.
    pub why: String,
}

impl Recovery {
    /// Returns the names of the resources that the operation retains or skips.
    pub fn without(&self) -> Vec<String> {
        self.allowed.as_ref().map(Proposal::names).unwrap_or_default()
    }
}

/// Next step for a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Create a change set.
    CreateChangeSet(ChangeSetKind),
    /// Start this operation, wait for its end, and plan again.
    Recover(Recovery),
    /// Wait for Lockstep's own running operation.
    Adopt {
        /// Key of the callback, see [`operation_key`].
        key: String,
    },
    /// Wait for an operation that another caller started.
    AwaitOther {
        /// Key of the callback. No event completes it: after the timeout of the waiting state, the plan is made again.
        key: String,
    },
    /// Ask the approver to allow this proposal.
    Ask(Proposal),
    /// The stack runs the wanted state: change nothing.
    NoChanges,
    /// The stack does not exist, and must not exist.
    Gone,
    /// No rule applies; an operator must act.
    NeedsHuman {
        /// State and next step, as a sentence.
        why: String,
    },
    /// An operation runs whose events are not visible yet: plan again soon.
    Wait,
    /// The stack's status and its resources are inconsistent, which can last for a moment: plan again soon.
    LookAgain {
        /// Missing information, as a sentence.
        why: String,
    },
}

/// Returns the callback key for the operation `token` on the stack `arn`. Both are needed because a stack outlives its
/// operations.
pub fn operation_key(arn: &str, token: &str) -> String {
    format!("{arn}#{token}")
}

/// Returns the stack's ARN in an [`operation_key`].
pub fn stack_of_key(key: &str) -> &str {
    key.split_once('#').map_or(key, |(arn, _)| arn)
}

/// Returns the next step for the stack that was found.
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
        // The approval of the change set that made this placeholder may have taken days, or the function crashed after
        // making it.
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

/// Returns a refusal if Lockstep must not change the stack at all; `None` if it may.
fn not_ours(stack: &StackSnapshot, known: &PlanInput<'_>) -> Option<Plan> {
    if let Some(parent) = &stack.parent {
        return Some(human(stack, format!("it is nested in {parent}; give the component another name")));
    }
    let why = foreign(stack, known)?;
    Some(human(stack, format!("{why}; {REMEDY}")))
}

/// Remedy for a foreign stack, as the end of a sentence.
const REMEDY: &str = "give the component or its environment another name, delete the stack, or import its resources into a \
                      stack of another name";

/// Returns the reason why the stack is foreign; `None` if it is the environment's own, which its tags or the ledger
/// prove.
fn foreign(stack: &StackSnapshot, known: &PlanInput<'_>) -> Option<String> {
    let arn = Some(stack.arn.as_str());
    let is_recorded = known.environment_stack == arn || known.deployment_stack == arn;
    let why = known.identity.mismatch(&stack.tags, is_recorded)?;
    let is_placeholder = stack.tags.is_empty() && holds_only_own_change_sets(stack, known);
    (!is_placeholder)
        .then(|| format!("Lockstep did not make it for this environment and will not touch it: {why}"))
}

/// Returns true for the placeholder of a new stack, if this environment's deployments made all of its change sets.
fn holds_only_own_change_sets(stack: &StackSnapshot, known: &PlanInput<'_>) -> bool {
    let held = stack.remains.as_ref().map_or(&[][..], |remains| &remains.change_sets);
    let is_own = |held: &HeldChangeSet| {
        known.change_sets.contains(&held.name) || known.identity.mismatch(&held.tags, false).is_none()
    };
    stack.status == StackStatus::ReviewInProgress && !held.is_empty() && held.iter().all(is_own)
}

fn holds_our_change_set(stack: &StackSnapshot, known: &PlanInput<'_>) -> bool {
    let held = stack.remains.iter().flat_map(|remains| &remains.change_sets);
    held.into_iter().any(|held| known.change_sets.contains(&held.name))
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
    human(stack, "Lockstep does not know this status; inspect the stack, then deploy again")
}

/// Reason for refusing a deletion when the contents are unknown.
const UNREAD: &str = "its contents could not be read, so Lockstep deletes nothing";

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

/// Returns the resources that could not be deleted, as the middle of a sentence; empty if the resources were not read.
fn blockers(stack: &StackSnapshot) -> String {
    let resources = stack.remains.iter().flat_map(|remains| &remains.resources);
    let names: Vec<&str> =
        resources.filter(|r| r.status == "DELETE_FAILED").map(|r| r.logical_id.as_str()).collect();
    if names.is_empty() { String::new() } else { format!(" because of {}", names.join(", ")) }
}

#[cfg(test)]
mod tests;
