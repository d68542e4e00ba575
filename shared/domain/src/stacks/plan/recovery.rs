//! Rows of the table that repair a stack. Each is tried once without loss; losing a resource needs an approval.

use super::{
    LatestOperation, LiveResource, Plan, PlanInput, Recovery, Remains, StackSnapshot, UNREAD, blockers,
    human, look_again, operation_key, sentence, unread,
};
use crate::model::ids::DeploymentId;
use crate::model::resource_change::NESTED_STACK;
use crate::model::token::{client_token, is_client_token};
use crate::records::{NamedResource, Operation, OperationKind, Proposal, ProposedAction};
use jiff::Timestamp;

/// Longest time that a deployment waits for an operation of another caller, in seconds: longer than most updates take.
pub const OTHERS_SECONDS_MAX: i64 = 2 * 60 * 60;

/// Maximum number of times that one deployment starts the same kind of recovery.
const ATTEMPTS_MAX: u32 = 3;

/// Deletes a placeholder that an earlier deployment left, if it is empty.
pub(super) fn clear_placeholder(stack: &StackSnapshot) -> Plan {
    let Some(remains) = &stack.remains else { return unread(stack) };
    match remains.resources.iter().find(|resource| resource.survives()) {
        Some(resource) => human(
            stack,
            format!("it should be empty, but holds {}; inspect it, then deploy again", resource.logical_id),
        ),
        None => recover(stack, OperationKind::Clear, "an earlier deployment left it empty"),
    }
}

/// Deletes a stack that was never stable, so that it can be created again.
pub(super) fn clear(stack: &StackSnapshot, known: &PlanInput<'_>) -> Plan {
    match may_be_cleared(stack, known) {
        Err(why) => Plan::NeedsHuman { why },
        Ok(_) => recover(stack, OperationKind::Clear, "its creation failed and it was never stable"),
    }
}

/// Deletes a never-stable stack whose deletion failed or will fail: once without retaining anything, then without the
/// undeletable resources if the approver allows it.
pub(super) fn clear_undeletable(stack: &StackSnapshot, known: &PlanInput<'_>) -> Plan {
    match may_be_cleared(stack, known) {
        Err(why) => Plan::NeedsHuman { why },
        Ok(_) if !was_tried(stack, known, OperationKind::Clear, &[]) => recover(
            stack,
            OperationKind::Clear,
            "it was never stable, and is deleted once without retaining anything",
        ),
        Ok(remains) => retain(stack, known, remains, OperationKind::Clear),
    }
}

/// Returns the stack's contents if none of them must be preserved, else the reason why an operator must look.
fn may_be_cleared<'a>(stack: &'a StackSnapshot, known: &PlanInput<'_>) -> Result<&'a Remains, String> {
    if known.was_stable(stack) {
        return Err(sentence(
            stack,
            "the ledger says that it was stable once, so Lockstep does not delete it; repair it, or take it \
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
            "protected resources survive in it: {}; save their data, then: \
             aws cloudformation delete-stack --stack-name {}",
            held.join(", "),
            stack.arn
        ),
    ))
}

/// Handles a failed deletion: the undeletable resources are retained if the approver allows it.
pub(super) fn retain(
    stack: &StackSnapshot,
    known: &PlanInput<'_>,
    remains: &Remains,
    operation: OperationKind,
) -> Plan {
    let undeletable = remains.undeletable();
    if undeletable.is_empty() {
        // ListStackResources may lag behind DescribeStacks.
        return look_again(
            stack,
            "its deletion failed, and none of its own resources shows the reason; see its events",
        );
    }
    on_approval(stack, known, ProposedAction::Retain, undeletable, operation)
}

/// Rolls back a failed update if the stack has a stable state to return to. CloudFormation would delete a stack that
/// has none.
pub(super) fn roll_back(stack: &StackSnapshot, known: &PlanInput<'_>) -> Plan {
    match (known.was_stable(stack), stack.was_stable) {
        (true, _) | (_, Some(true)) if stack.is_express => replay(stack, known),
        (true, _) | (_, Some(true)) => {
            once(stack, known, OperationKind::Rollback, "its update failed half-way")
        }
        (false, Some(false)) => clear(stack, known),
        (false, None) => human(
            stack,
            "its update failed, and its events do not show if it was ever stable: a rollback deletes a stack that never \
             was; look at its events, then: aws cloudformation rollback-stack",
        ),
    }
}

/// Updates a stack that failed in express mode to what it ran last, in the same mode.
///
/// CloudFormation refuses RollbackStack for it, and each operation of the standard mode, until an operation of the express
/// mode has completed. It also refuses replacements then, so the release that is deployed comes afterwards:
/// <https://github.com/aws/aws-cdk-cli/issues/1739>, <https://github.com/aws/aws-cdk-cli/pull/1970>.
fn replay(stack: &StackSnapshot, known: &PlanInput<'_>) -> Plan {
    let why =
        "its update failed in express mode, which no rollback undoes, and what it ran last is deployed again";
    if known.was_stable(stack) && known.has_release {
        return once(stack, known, OperationKind::Replay, why);
    }
    human(
        stack,
        format!(
            "its update failed in express mode, which no rollback undoes, and the ledger has no release that it ran; {}",
            express_advice(&stack.arn)
        ),
    )
}

/// Returns what a person does with a stack that failed in express mode. A parameter that the call does not name would get
/// its default.
pub fn express_advice(arn: &str) -> String {
    format!(
        "deploy the template that it ran last, then deploy again: aws cloudformation update-stack --stack-name {arn} \
         --deployment-config Mode=EXPRESS --template-url <template> --capabilities CAPABILITY_NAMED_IAM \
         CAPABILITY_AUTO_EXPAND --parameters ParameterKey=<each parameter>,UsePreviousValue=true"
    )
}

/// Finishes a failed rollback: continued once without skipping anything, then without the failing resources if the
/// approver allows it. The stack is never deleted.
pub(super) fn finish_rollback(stack: &StackSnapshot, known: &PlanInput<'_>) -> Plan {
    if !was_tried(stack, known, OperationKind::ContinueRollback, &[]) {
        return recover(
            stack,
            OperationKind::ContinueRollback,
            "its rollback failed, and is continued once without skipping anything",
        );
    }
    let Some(remains) = &stack.remains else {
        return human(stack, "its rollback failed, and its contents could not be read");
    };
    let stuck = stuck_in_rollback(&remains.resources);
    if stuck.is_empty() {
        return look_again(
            stack,
            format!(
                "its rollback failed, and no resource shows the reason; repair what its events name, then: \
                 aws cloudformation continue-update-rollback --stack-name {}. Never delete it",
                stack.arn
            ),
        );
    }
    on_approval(stack, known, ProposedAction::Skip, stuck, OperationKind::ContinueRollback)
}

/// Returns the fewest resources that a rollback must skip: those that failed themselves, not the nested stacks around
/// them. The names have the form of ContinueUpdateRollback's ResourcesToSkip: `NestedStackName.LogicalId` below the
/// root.
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

/// Waits for a running operation: adopts Lockstep's own, and waits a limited time for another caller's.
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
                    "another caller started this operation, and it has run for more than {} hours; deploy again after it has ended",
                    OTHERS_SECONDS_MAX / 3600
                ),
            )
        }
        LatestOperation::Named(token) => Plan::AwaitOther { key: operation_key(&stack.arn, token) },
        LatestOperation::Nameless => Plan::AwaitOther { key: operation_key(&stack.arn, "another-caller") },
    }
}

/// Plans an operation that needs an approval; it is started once the proposal is approved, and only once.
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
    let why = format!("an approver allowed to {} {}", action.as_str(), without.join(", "));
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

/// Returns true if this deployment already ran that operation on the stack: it is the newest operation, or came before
/// the newest.
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
    let Some(reached) = known.operations.iter().rposition(|earlier| earlier.token == newest) else {
        return false;
    };
    known.operations[..=reached]
        .iter()
        .any(|earlier| is_that(earlier, stack, operation) && earlier.without == without)
}

/// Returns true if this deployment has used all its attempts for that operation.
pub(super) fn is_tried_enough(
    stack: &StackSnapshot,
    known: &PlanInput<'_>,
    operation: OperationKind,
) -> bool {
    known.operations.iter().filter(|earlier| is_that(earlier, stack, operation)).count()
        >= ATTEMPTS_MAX as usize
}

fn is_that(earlier: &Operation, stack: &StackSnapshot, operation: OperationKind) -> bool {
    earlier.operation == operation && earlier.target == stack.arn
}

/// Returns the record of a recovery that is about to start. Reuses the record of an earlier attempt if CloudFormation
/// shows no trace of that attempt, else returns the next attempt.
pub fn intend(
    deployment: &DeploymentId,
    recovery: &Recovery,
    stack: &StackSnapshot,
    operations: &[Operation],
    now: Timestamp,
) -> Operation {
    let without = recovery.without();
    let same = |earlier: &&Operation| {
        (earlier.operation, &earlier.target, &earlier.without)
            == (recovery.operation, &recovery.arn, &without)
    };
    // After an operation of another caller, Lockstep's own may have ended or may never have arrived: its token is of no
    // use.
    let unreached = |earlier: &&Operation| match &stack.newest {
        LatestOperation::Unseen => true,
        LatestOperation::Nameless => false,
        LatestOperation::Named(token) => *token != earlier.token && is_client_token(token),
    };
    if let Some(earlier) = operations.last().filter(same).filter(unreached) {
        return earlier.clone();
    }
    let before = operations.iter().filter(|earlier| earlier.operation == recovery.operation);
    let attempt = before.map(|earlier| earlier.attempt).max().unwrap_or(0) + 1;
    Operation {
        operation: recovery.operation,
        token: client_token(deployment.as_str(), recovery.operation.into(), attempt),
        target: recovery.arn.clone(),
        attempt,
        without,
        at: now,
    }
}
