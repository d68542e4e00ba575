//! The rows of the table that repair something: each is tried plainly once, and costs nothing without a person's word.

use super::{
    LatestOperation, LiveResource, Plan, PlanInput, Recovery, Remains, StackSnapshot, UNREAD, blockers,
    human, look_again, operation_key, sentence, unread,
};
use crate::model::ids::DeploymentId;
use crate::model::resource_change::NESTED_STACK;
use crate::model::token::{client_token, is_client_token};
use crate::records::{NamedResource, Operation, OperationKind, Proposal, ProposedAction};
use jiff::Timestamp;

/// How long a deployment waits for somebody else's operation, in seconds: longer than most updates take.
pub const OTHERS_SECONDS_MAX: i64 = 2 * 60 * 60;

/// How often one deployment begins the same kind of recovery.
const ATTEMPTS_MAX: u32 = 3;

/// A placeholder that an earlier deployment left: it holds nothing, and goes.
pub(super) fn clear_placeholder(stack: &StackSnapshot) -> Plan {
    let Some(remains) = &stack.remains else { return unread(stack) };
    match remains.resources.iter().find(|resource| resource.survives()) {
        Some(resource) => human(
            stack,
            format!(
                "it should be empty, yet holds {}; look at it before deploying again",
                resource.logical_id
            ),
        ),
        None => recover(stack, OperationKind::Clear, "an earlier deployment left it, empty"),
    }
}

/// A stack that never was stable and can only be deleted, so that it can be created again.
pub(super) fn clear(stack: &StackSnapshot, known: &PlanInput<'_>) -> Plan {
    match may_be_cleared(stack, known) {
        Err(why) => Plan::NeedsHuman { why },
        Ok(_) => recover(stack, OperationKind::Clear, "its creation failed and it was never stable"),
    }
}

/// The same where a deletion failed, or will: plainly once; what refuses is left behind only on a person's word.
pub(super) fn clear_undeletable(stack: &StackSnapshot, known: &PlanInput<'_>) -> Plan {
    match may_be_cleared(stack, known) {
        Err(why) => Plan::NeedsHuman { why },
        Ok(_) if !was_tried(stack, known, OperationKind::Clear, &[]) => {
            recover(stack, OperationKind::Clear, "it was never stable, and is deleted plainly once")
        }
        Ok(remains) => retain(stack, known, remains, OperationKind::Clear),
    }
}

/// What the stack holds, if nothing of it is worth keeping; else why a person must look.
fn may_be_cleared<'a>(stack: &'a StackSnapshot, known: &PlanInput<'_>) -> Result<&'a Remains, String> {
    if known.was_stable(stack) {
        return Err(sentence(
            stack,
            "the ledger says that it was stable once, so Lockstep does not delete it by itself; mend it, or take it \
             down with `lockstep teardown`",
        ));
    }
    let Some(remains) = &stack.remains else { return Err(sentence(stack, UNREAD)) };
    let held: Vec<String> = remains.protected(known.protect).into_iter().map(|held| held.name).collect();
    if held.is_empty() {
        return Ok(remains);
    }
    Err(sentence(
        stack,
        format!(
            "protected resources survive in it: {}; save what they hold, then: \
             aws cloudformation delete-stack --stack-name {}",
            held.join(", "),
            stack.arn
        ),
    ))
}

/// A deletion that failed plainly: what refused may be left behind, if a person says so.
pub(super) fn retain(
    stack: &StackSnapshot,
    known: &PlanInput<'_>,
    remains: &Remains,
    operation: OperationKind,
) -> Plan {
    let undeletable = remains.undeletable();
    if undeletable.is_empty() {
        // ListStackResources may lag behind DescribeStacks.
        return look_again(stack, "its deletion failed, and no resource of its own says why; see its events");
    }
    on_approval(stack, known, ProposedAction::Retain, undeletable, operation)
}

/// A failed update that was not rolled back: rolled back if there is something to go back to. CloudFormation would
/// delete a stack that has no stable state.
pub(super) fn roll_back(stack: &StackSnapshot, known: &PlanInput<'_>) -> Plan {
    match (known.was_stable(stack), stack.was_stable) {
        (true, _) | (_, Some(true)) => {
            once(stack, known, OperationKind::Rollback, "its update failed half-way")
        }
        (false, Some(false)) => clear(stack, known),
        (false, None) => human(
            stack,
            "its update failed, and whether it ever was stable cannot be told: a stack that never was is deleted by a \
             rollback; look at its events, then: aws cloudformation rollback-stack",
        ),
    }
}

/// A rollback that failed: continued plainly once, then without what refuses, if a person says so. Never deleted.
pub(super) fn finish_rollback(stack: &StackSnapshot, known: &PlanInput<'_>) -> Plan {
    if !was_tried(stack, known, OperationKind::ContinueRollback, &[]) {
        return recover(
            stack,
            OperationKind::ContinueRollback,
            "its rollback failed, and is continued plainly once",
        );
    }
    let Some(remains) = &stack.remains else {
        return human(stack, "its rollback failed, and what it holds could not be read");
    };
    let stuck = stuck_in_rollback(&remains.resources);
    if stuck.is_empty() {
        return look_again(
            stack,
            format!(
                "its rollback failed, and no resource says why; mend what its events name, then: \
                 aws cloudformation continue-update-rollback --stack-name {}. Never delete it",
                stack.arn
            ),
        );
    }
    on_approval(stack, known, ProposedAction::Skip, stuck, OperationKind::ContinueRollback)
}

/// The fewest resources that a rollback must skip: those that failed themselves, not the nested stacks around them.
/// Names are those of ContinueUpdateRollback's ResourcesToSkip: `NestedStackName.LogicalId` below the root.
fn stuck_in_rollback(resources: &[LiveResource]) -> Vec<NamedResource> {
    let failed = |resource: &&LiveResource| resource.status == "UPDATE_FAILED";
    let inner = |outer: &LiveResource| {
        let prefix = format!("{}.", outer.logical_id);
        resources.iter().filter(failed).any(|resource| resource.logical_id.starts_with(&prefix))
    };
    let mut stuck: Vec<NamedResource> = resources
        .iter()
        .filter(failed)
        .filter(|resource| resource.resource_type != NESTED_STACK || !inner(resource))
        .map(|resource| NamedResource { name: name_to_skip(resource, resources), ..resource.named() })
        .collect();
    stuck.sort();
    stuck
}

fn name_to_skip(resource: &LiveResource, resources: &[LiveResource]) -> String {
    let Some((path, own)) = resource.logical_id.rsplit_once('.') else { return resource.logical_id.clone() };
    let parent = resources.iter().find(|candidate| candidate.logical_id == path);
    let stack = parent.and_then(|parent| parent.physical_id.split('/').nth(1));
    stack.map_or_else(|| resource.logical_id.clone(), |stack| format!("{stack}.{own}"))
}

/// An operation that runs: ours is adopted, somebody else's waited for, but not for ever.
pub(super) fn wait(stack: &StackSnapshot, known: &PlanInput<'_>) -> Plan {
    match &stack.newest {
        LatestOperation::Unseen => Plan::Wait,
        LatestOperation::Named(token) if is_client_token(token) => {
            Plan::Adopt { key: operation_key(&stack.arn, token) }
        }
        LatestOperation::Named(_) | LatestOperation::Nameless
            if known.waited_seconds >= OTHERS_SECONDS_MAX =>
        {
            human(
                stack,
                format!(
                    "somebody else began that, and it runs for more than {} hours; when it is over, deploy again",
                    OTHERS_SECONDS_MAX / 3600
                ),
            )
        }
        LatestOperation::Named(token) => Plan::AwaitOther { key: operation_key(&stack.arn, token) },
        LatestOperation::Nameless => Plan::AwaitOther { key: operation_key(&stack.arn, "somebody-else") },
    }
}

/// What only a person may allow; carried out once they have, and only once.
fn on_approval(
    stack: &StackSnapshot,
    known: &PlanInput<'_>,
    action: ProposedAction,
    resources: Vec<NamedResource>,
    operation: OperationKind,
) -> Plan {
    let proposal = Proposal { stack: stack.arn.clone(), action, resources, policies: None };
    let without = proposal.names();
    if !known.allows(&proposal) {
        return Plan::Ask(proposal);
    }
    if was_tried(stack, known, operation, &without) {
        return human(
            stack,
            format!("it failed again{}, even without {}", blockers(stack), without.join(", ")),
        );
    }
    let why = format!("a person allowed to {} {}", action.as_str(), without.join(", "));
    Plan::Recover(Recovery {
        arn: stack.arn.clone(),
        operation,
        allowed: Some(proposal),
        empty: Vec::new(),
        why,
    })
}

fn once(stack: &StackSnapshot, known: &PlanInput<'_>, operation: OperationKind, why: &str) -> Plan {
    if was_tried(stack, known, operation, &[]) {
        return human(stack, format!("{why}, and it failed again; see its events"));
    }
    recover(stack, operation, why)
}

pub(super) fn recover(stack: &StackSnapshot, operation: OperationKind, why: &str) -> Plan {
    let why = why.to_owned();
    Plan::Recover(Recovery { arn: stack.arn.clone(), operation, allowed: None, empty: Vec::new(), why })
}

/// Whether this deployment did that to the stack already: it is the newest operation on it, or came before that one.
pub(super) fn was_tried(
    stack: &StackSnapshot,
    known: &PlanInput<'_>,
    operation: OperationKind,
    without: &[String],
) -> bool {
    if is_tried_enough(stack, known, operation) {
        return true;
    }
    let Some(newest) = stack.newest.token() else { return false };
    let Some(reached) = known.operations.iter().rposition(|begun| begun.token == newest) else {
        return false;
    };
    known.operations[..=reached]
        .iter()
        .any(|begun| is_that(begun, stack, operation) && begun.without == without)
}

/// Whether this deployment did that to the stack as often as it may.
pub(super) fn is_tried_enough(
    stack: &StackSnapshot,
    known: &PlanInput<'_>,
    operation: OperationKind,
) -> bool {
    known.operations.iter().filter(|begun| is_that(begun, stack, operation)).count() >= ATTEMPTS_MAX as usize
}

fn is_that(begun: &Operation, stack: &StackSnapshot, operation: OperationKind) -> bool {
    begun.operation == operation && begun.target == stack.arn
}

/// The journal's entry for a recovery that is about to be begun: the entry of an earlier try if CloudFormation shows no
/// trace of that, else the next attempt.
pub fn intend(
    deployment: &DeploymentId,
    recovery: &Recovery,
    stack: &StackSnapshot,
    operations: &[Operation],
    now: Timestamp,
) -> Operation {
    let without = recovery.without();
    let same = |begun: &&Operation| {
        (begun.operation, &begun.target, &begun.without) == (recovery.operation, &recovery.arn, &without)
    };
    // After an operation of somebody else our own may be over, or may never have come: its token is of no use.
    let unreached = |begun: &&Operation| match &stack.newest {
        LatestOperation::Unseen => true,
        LatestOperation::Nameless => false,
        LatestOperation::Named(token) => *token != begun.token && is_client_token(token),
    };
    if let Some(begun) = operations.last().filter(same).filter(unreached) {
        return begun.clone();
    }
    let before = operations.iter().filter(|begun| begun.operation == recovery.operation);
    let attempt = before.map(|begun| begun.attempt).max().unwrap_or(0) + 1;
    Operation {
        operation: recovery.operation,
        token: client_token(deployment.as_str(), step(recovery.operation), attempt),
        target: recovery.arn.clone(),
        attempt,
        without,
        at: now,
    }
}

fn step(operation: OperationKind) -> &'static str {
    match operation {
        OperationKind::Execute => "execute",
        OperationKind::Clear => "clear",
        OperationKind::Rollback => "rollback",
        OperationKind::ContinueRollback => "continue-rollback",
        OperationKind::Delete => "delete",
        OperationKind::Destroy => "destroy",
        OperationKind::Copy => "copy",
        OperationKind::Build => "build",
    }
}
