//! What is found of a stack decides what is done with it.
//!
//! [`plan`] is the table of the design, section 6, as one match; first match wins. [`destroy`] is the same for
//! throw-away stacks, [`outcome`] says how an operation of ours ended. The statuses are those of
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_Stack.html>.

mod status;

use crate::ids::Digest;
use crate::protected::is_protected;
use crate::token::{client_token, is_client_token};
pub use status::{Phase, StackStatus};

/// A stack as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Its ARN.
    pub arn: String,
    /// Its status.
    pub status: StackStatus,
    /// The root of a nested stack; none for a root stack.
    pub parent: Option<String>,
    /// The client request token of the newest operation on it, if one was given and its events are visible.
    pub token: Option<String>,
    /// What is in it; read only where [`StackStatus::may_be_remains`] says that it decides something.
    pub remains: Option<Remains>,
}

/// What a stack that may have to be removed holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remains {
    /// Its resources, nested ones included.
    pub resources: Vec<LiveResource>,
    /// The names of its change sets.
    pub change_sets: Vec<String>,
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
}

/// What the ledger knows of the stack, and what is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The stack that the environment's record names.
    pub environment_stack: Option<&'a str>,
    /// Whether that stack was ever stable.
    pub ever_stable: bool,
    /// The stack that this deployment made a change set on.
    pub deployment_stack: Option<&'a str>,
    /// The names that this deployment gives to its change sets, one for each attempt.
    pub change_sets: &'a [String],
    /// The token of this deployment's journalled operation.
    pub operation_token: Option<&'a str>,
    /// The digests of the template and the parameters that the environment runs, if it runs something.
    pub deployed: Option<(&'a Digest, &'a Digest)>,
    /// The digests of the template and the parameters that it is to run.
    pub wanted: (&'a Digest, &'a Digest),
}

/// Whether a change set creates a stack or updates one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeSetKind {
    /// There is no stack.
    Create,
    /// There is one.
    Update,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Make a change set.
    CreateChangeSet(ChangeSetKind),
    /// Delete what is left of a stack that was never stable.
    Clear {
        /// Its ARN: a name could belong to another stack by now.
        arn: String,
        /// Why, for the journal.
        why: String,
    },
    /// Wait for an operation of ours that is running.
    Adopt {
        /// What to wait for, see [`operation_key`].
        key: String,
    },
    /// The stack runs what is wanted: touch nothing.
    NoChanges,
    /// No rule may decide.
    NeedsHuman {
        /// The state and the next step, as a sentence.
        why: String,
    },
    /// An operation runs whose events are not visible yet: look again soon.
    Wait,
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
pub fn plan(found: Option<&Observed>, known: &Known<'_>) -> Plan {
    use StackStatus as S;
    let Some(stack) = found else { return Plan::CreateChangeSet(ChangeSetKind::Create) };
    if stack.status == S::DeleteComplete {
        return Plan::CreateChangeSet(ChangeSetKind::Create);
    }
    if let Some(parent) = &stack.parent {
        return human(stack, format!("it is nested in {parent}; give the component another name"));
    }
    if !is_ours(stack, known) {
        return human(
            stack,
            "Lockstep did not make it and will not take it over; delete or rename it, or give the component \
             another name",
        );
    }
    match &stack.status {
        S::DeleteComplete => Plan::CreateChangeSet(ChangeSetKind::Create),
        // A person may have thought for days about the change set that made this placeholder, or we crashed over it.
        S::ReviewInProgress if holds_our_change_set(stack, known) => {
            Plan::CreateChangeSet(ChangeSetKind::Create)
        }
        S::ReviewInProgress => clear_review(stack),
        S::CreateFailed | S::RollbackComplete => clear_failed(stack, known),
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
        | S::ImportRollbackInProgress => adopt(stack, known),
        S::RollbackFailed => human(
            stack,
            format!(
                "its creation failed and could not be undone{}; remove what blocks it and delete the stack: \
                 aws cloudformation delete-stack --stack-name {}",
                blockers(stack),
                stack.arn
            ),
        ),
        S::DeleteFailed => human(
            stack,
            format!(
                "it could not be deleted{}; remove what blocks it and delete the stack: \
                 aws cloudformation delete-stack --stack-name {}",
                blockers(stack),
                stack.arn
            ),
        ),
        S::UpdateFailed => human(
            stack,
            format!(
                "its update failed and was not rolled back; roll it back: \
                 aws cloudformation rollback-stack --stack-name {} (only if it was stable before: \
                 a stack that never was is deleted by that)",
                stack.arn
            ),
        ),
        S::UpdateRollbackFailed => human(
            stack,
            format!(
                "its rollback failed; mend what its events name, then: \
                 aws cloudformation continue-update-rollback --stack-name {}. Never delete it",
                stack.arn
            ),
        ),
        S::ImportRollbackFailed => human(
            stack,
            format!(
                "an import could not be undone; see its events: \
                 aws cloudformation describe-stack-events --stack-name {}",
                stack.arn
            ),
        ),
        S::Unknown(_) => {
            human(stack, "Lockstep does not know this status; look at the stack, then deploy again")
        }
    }
}

/// Whether we made the stack: the ledger names it, or its newest operation or all its change sets are named by us.
fn is_ours(stack: &Observed, known: &Known<'_>) -> bool {
    let arn = Some(stack.arn.as_str());
    known.environment_stack == arn
        || known.deployment_stack == arn
        || stack.token.as_deref().is_some_and(|token| is_our_token(token, known))
        || (stack.status == StackStatus::ReviewInProgress
            && stack.remains.as_ref().is_some_and(|remains| {
                !remains.change_sets.is_empty()
                    && remains.change_sets.iter().all(|name| is_client_token(name))
            }))
}

fn holds_our_change_set(stack: &Observed, known: &Known<'_>) -> bool {
    let held = stack.remains.iter().flat_map(|remains| &remains.change_sets);
    held.into_iter().any(|name| known.change_sets.contains(name))
}

/// Whether we started it: this deployment, or another of ours, which may have died.
fn is_our_token(token: &str, known: &Known<'_>) -> bool {
    known.operation_token == Some(token) || is_client_token(token)
}

fn clear_review(stack: &Observed) -> Plan {
    let Some(remains) = &stack.remains else { return unread(stack) };
    match remains.resources.iter().find(|resource| resource.survives()) {
        Some(resource) => human(
            stack,
            format!(
                "it should be empty, yet holds {}; look at it before deploying again",
                resource.logical_id
            ),
        ),
        None => Plan::Clear {
            arn: stack.arn.clone(),
            why: "an earlier deployment left the stack in REVIEW_IN_PROGRESS, empty".into(),
        },
    }
}

fn clear_failed(stack: &Observed, known: &Known<'_>) -> Plan {
    if known.ever_stable && known.environment_stack == Some(&stack.arn) {
        return human(stack, "the ledger says that it was stable once, so Lockstep will not delete it");
    }
    let Some(remains) = &stack.remains else { return unread(stack) };
    let held: Vec<&str> = remains
        .resources
        .iter()
        .filter(|resource| resource.survives() && is_protected(&resource.resource_type))
        .map(|resource| resource.logical_id.as_str())
        .collect();
    if !held.is_empty() {
        return human(
            stack,
            format!(
                "its creation failed, and protected resources survive in it: {}; save what they hold, then: \
                 aws cloudformation delete-stack --stack-name {}",
                held.join(", "),
                stack.arn
            ),
        );
    }
    Plan::Clear {
        arn: stack.arn.clone(),
        why: format!("its creation failed ({}) and it was never stable", stack.status),
    }
}

fn update(stack: &Observed, known: &Known<'_>) -> Plan {
    let same_stack = known.environment_stack == Some(&stack.arn);
    if same_stack && known.deployed == Some(known.wanted) {
        Plan::NoChanges
    } else {
        Plan::CreateChangeSet(ChangeSetKind::Update)
    }
}

fn adopt(stack: &Observed, known: &Known<'_>) -> Plan {
    match stack.token.as_deref() {
        None => Plan::Wait,
        Some(token) if is_our_token(token, known) => Plan::Adopt { key: operation_key(&stack.arn, token) },
        Some(_) => human(stack, "somebody else started that; when it is over, deploy again"),
    }
}

fn unread(stack: &Observed) -> Plan {
    human(stack, "what it holds could not be read, so nothing may be deleted")
}

fn human(stack: &Observed, what: impl AsRef<str>) -> Plan {
    Plan::NeedsHuman { why: sentence(stack, what) }
}

fn sentence(stack: &Observed, what: impl AsRef<str>) -> String {
    format!("The stack {} is {}: {}.", stack.arn, stack.status, what.as_ref())
}

/// The resources that could not be deleted, as the middle of a sentence; empty if they were not read.
fn blockers(stack: &Observed) -> String {
    let resources = stack.remains.iter().flat_map(|remains| &remains.resources);
    let names: Vec<&str> =
        resources.filter(|r| r.status == "DELETE_FAILED").map(|r| r.logical_id.as_str()).collect();
    if names.is_empty() { String::new() } else { format!(" because of {}", names.join(", ")) }
}

/// What is to be done to get rid of a throw-away stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destroy {
    /// It is not there.
    Gone,
    /// Delete it.
    Delete {
        /// Its ARN.
        arn: String,
        /// The client request token: the same until a deletion was seen to have failed.
        token: String,
    },
    /// An operation of ours runs on it; delete it afterwards, if that is not what the operation does.
    Wait {
        /// What to wait for.
        key: String,
    },
    /// An operation runs whose events are not visible yet: look again soon.
    LookAgain,
    /// No rule may decide.
    NeedsHuman {
        /// The state and the next step, as a sentence.
        why: String,
    },
}

/// How often a stack's deletion may be tried in its life.
const MAX_DELETIONS: u32 = 20;

/// What is to be done to get rid of the throw-away stack that was found.
///
/// The stack's own events are the journal of the attempts, since no deployment carries this out. Only stacks of the
/// stage `test` may be given: nothing here asks whether the stack was ever stable.
pub fn destroy(found: Option<&Observed>, known: &Known<'_>) -> Destroy {
    let Some(stack) = found.filter(|stack| stack.status != StackStatus::DeleteComplete) else {
        return Destroy::Gone;
    };
    if stack.parent.is_some() || !is_ours(stack, known) {
        return Destroy::NeedsHuman {
            why: sentence(stack, "Lockstep did not make it and will not delete it"),
        };
    }
    let last = stack.token.as_deref().and_then(|token| deletion_attempt(&stack.arn, token));
    match (stack.status.phase(), stack.token.as_deref()) {
        (Phase::Running, None) => Destroy::LookAgain,
        (Phase::Running, Some(token)) if is_our_token(token, known) => {
            Destroy::Wait { key: operation_key(&stack.arn, token) }
        }
        (Phase::Running, Some(_)) => Destroy::NeedsHuman {
            why: sentence(stack, "somebody else started that; when it is over, delete the stack"),
        },
        (Phase::Unknown, _) => Destroy::NeedsHuman {
            why: sentence(stack, "Lockstep does not know this status; look at the stack"),
        },
        // Asked for anew after a failed deletion: a plain one more, never retaining or forcing anything.
        _ if last.is_some_and(|n| n >= MAX_DELETIONS) => undeletable(stack),
        _ => {
            let attempt = last.map_or(1, |n| n + 1);
            Destroy::Delete { arn: stack.arn.clone(), token: deletion_token(&stack.arn, attempt) }
        }
    }
}

/// How the deletion of a throw-away stack ended.
pub fn destroyed(found: Option<&Observed>) -> Destroy {
    match found {
        None => Destroy::Gone,
        Some(stack) => match stack.status {
            StackStatus::DeleteComplete => Destroy::Gone,
            StackStatus::DeleteFailed => undeletable(stack),
            _ => Destroy::LookAgain,
        },
    }
}

fn undeletable(stack: &Observed) -> Destroy {
    let why = format!(
        "it could not be deleted{}; remove what blocks it, then: aws cloudformation delete-stack --stack-name {}",
        blockers(stack),
        stack.arn
    );
    Destroy::NeedsHuman { why: sentence(stack, why) }
}

fn deletion_token(arn: &str, attempt: u32) -> String {
    client_token(arn, "destroy", attempt)
}

fn deletion_attempt(arn: &str, token: &str) -> Option<u32> {
    (1..=MAX_DELETIONS).find(|n| deletion_token(arn, *n) == token)
}

/// How an operation of ours stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The stack shows no trace of it: the call did not reach CloudFormation.
    NotStarted,
    /// It runs.
    Running,
    /// It did what it should.
    Succeeded,
    /// It did not; a completed rollback is a failure too.
    Failed {
        /// The status it ended in.
        status: StackStatus,
    },
}

/// What the stack's own events say of one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The newest status that the operation gave the root stack; none if it gave it none.
    pub of_operation: Option<StackStatus>,
    /// Whether no other operation came after it.
    pub is_newest: bool,
    /// The status that the stack is in now; none if the stack is gone.
    pub now: Option<StackStatus>,
}

/// How the operation stands that executes our change set.
///
/// The stack's status alone would call yesterday's UPDATE_COMPLETE the success of an operation that never began; so
/// it is judged by its own events, and only once the stack agrees with them.
pub fn outcome(progress: &Progress) -> Outcome {
    let Some(status) = &progress.of_operation else { return Outcome::NotStarted };
    if status.phase() == Phase::Running || (progress.is_newest && progress.now.as_ref() != Some(status)) {
        return Outcome::Running;
    }
    match status {
        StackStatus::CreateComplete | StackStatus::UpdateComplete => Outcome::Succeeded,
        other => Outcome::Failed { status: other.clone() },
    }
}

#[cfg(test)]
mod tests;
