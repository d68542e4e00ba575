//! Deletion of stacks: teardown for good, and removal after a test.

use super::recovery::{is_tried_enough, recover, retain, wait, was_tried};
use super::{
    LatestOperation, Phase, Plan, PlanInput, REMEDY, Recovery, Remains, StackSnapshot, StackStatus, blockers,
    foreign, human, not_ours, operation_key, sentence, unknown, unread,
};
use crate::model::token::{client_token, is_client_token};
use crate::records::{OperationKind, Proposal, ProposedAction};

/// Returns the next step to delete the stack of an environment for good.
///
/// A stack that was ever stable, or that holds a protected resource, is deleted only if an approval names each
/// protected resource. `is_test_stack` is true for a stack of the stage `test`, whose contents are never worth
/// preserving.
pub fn teardown(found: Option<&StackSnapshot>, known: &PlanInput<'_>, is_test_stack: bool) -> Plan {
    let Some(stack) = found.filter(|stack| stack.status != StackStatus::DeleteComplete) else {
        return Plan::Gone;
    };
    if let Some(refusal) = not_ours(stack, known) {
        return refusal;
    }
    match stack.status.phase() {
        Phase::Running => return wait(stack, known),
        Phase::Unknown => return unknown(stack),
        Phase::Ended => {}
    }
    if stack.termination_protection {
        return human(
            stack,
            format!(
                "its termination protection is on, and Lockstep never lifts it: aws cloudformation \
                 update-termination-protection --no-enable-termination-protection --stack-name {}, then tear it down \
                 again",
                stack.arn
            ),
        );
    }
    let Some(remains) = &stack.remains else { return unread(stack) };
    let resources = remains.protected(known.protect);
    let is_nothing = !known.was_stable(stack) && !stack.status.proves_stability() && resources.is_empty();
    let proposal = Proposal {
        stack: stack.arn.clone(),
        action: ProposedAction::Delete,
        resources,
        policies: remains.policies.clone(),
    };
    if !is_test_stack && !is_nothing && !known.allows(&proposal) {
        return Plan::Ask(proposal);
    }
    if !was_tried(stack, known, OperationKind::Delete, &[]) {
        return recover(stack, OperationKind::Delete, "it is torn down");
    }
    let empty = if is_test_stack { remains.full_buckets() } else { Vec::new() };
    if !empty.is_empty() && !is_tried_enough(stack, known, OperationKind::Delete) {
        return Plan::Recover(Recovery {
            arn: stack.arn.clone(),
            operation: OperationKind::Delete,
            allowed: None,
            empty,
            why: "its buckets were full".to_owned(),
        });
    }
    if is_test_stack || stack.status != StackStatus::DeleteFailed {
        return human(stack, what_blocks(stack));
    }
    retain(stack, known, remains, OperationKind::Delete)
}

/// Next step to delete a test stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destroy {
    /// The stack does not exist.
    Gone,
    /// Delete the stack.
    Delete {
        /// ARN of the stack.
        arn: String,
        /// Client request token. It remains the same until a deletion has visibly failed.
        token: String,
        /// Buckets that must be emptied first: they were full at the attempt before.
        empty: Vec<String>,
    },
    /// One of Lockstep's own operations runs on the stack. Delete the stack afterwards, unless the operation is its
    /// deletion.
    Wait {
        /// Key of the callback.
        key: String,
    },
    /// An operation runs whose events are not visible yet: look again soon.
    LookAgain,
    /// No rule applies; an operator must act.
    NeedsHuman {
        /// State and next step, as a sentence.
        why: String,
    },
}

/// Maximum number of deletions of one stack in its life.
const MAX_DELETIONS: u32 = 20;

/// Number of deletions after which full buckets no longer justify another one: something keeps filling them.
const EMPTIED_MAX: u32 = 2;

/// Returns the next step to delete the test stack that was found.
///
/// The stack's own events are the record of the attempts, because no deployment runs this operation. Callers must pass
/// only stacks of the stage `test`: the function does not check if the stack was ever stable.
pub fn destroy(found: Option<&StackSnapshot>, known: &PlanInput<'_>) -> Destroy {
    let Some(stack) = found.filter(|stack| stack.status != StackStatus::DeleteComplete) else {
        return Destroy::Gone;
    };
    if let Some(parent) = &stack.parent {
        return Destroy::NeedsHuman { why: sentence(stack, format!("it is nested in {parent}")) };
    }
    if let Some(why) = foreign(stack, known) {
        return Destroy::NeedsHuman { why: sentence(stack, format!("{why}; {REMEDY}")) };
    }
    let last = stack.newest.token().and_then(|token| deletion_attempt(&stack.arn, token));
    match (stack.status.phase(), &stack.newest) {
        (Phase::Running, LatestOperation::Unseen) => Destroy::LookAgain,
        (Phase::Running, LatestOperation::Named(token)) if is_client_token(token) => {
            Destroy::Wait { key: operation_key(&stack.arn, token) }
        }
        (Phase::Running, LatestOperation::Named(_) | LatestOperation::Nameless) => Destroy::NeedsHuman {
            why: sentence(
                stack,
                "another caller started this operation; delete the stack after it has ended",
            ),
        },
        (Phase::Unknown, _) => Destroy::NeedsHuman {
            why: sentence(stack, "Lockstep does not know this status; inspect the stack"),
        },
        // A new request after a failed deletion runs one more plain deletion, which never retains or forces anything.
        _ if last.is_some_and(|n| n >= MAX_DELETIONS) => undeletable(stack),
        _ => {
            let attempt = last.map_or(1, |n| n + 1);
            let empty = stack.remains.as_ref().map(Remains::full_buckets).unwrap_or_default();
            Destroy::Delete { arn: stack.arn.clone(), token: deletion_token(&stack.arn, attempt), empty }
        }
    }
}

/// Returns how the deletion of a test stack ended.
pub fn destroyed(found: Option<&StackSnapshot>) -> Destroy {
    match found {
        None => Destroy::Gone,
        Some(stack) => match stack.status {
            StackStatus::DeleteComplete => Destroy::Gone,
            StackStatus::DeleteFailed if can_be_emptied(stack) => Destroy::LookAgain,
            StackStatus::DeleteFailed => undeletable(stack),
            _ => Destroy::LookAgain,
        },
    }
}

/// Returns true if full buckets blocked the deletion, and they were not emptied twice already.
fn can_be_emptied(stack: &StackSnapshot) -> bool {
    let attempt = stack.newest.token().and_then(|token| deletion_attempt(&stack.arn, token));
    let is_early = attempt.is_some_and(|attempt| attempt <= EMPTIED_MAX);
    is_early && stack.remains.as_ref().is_some_and(|remains| !remains.full_buckets().is_empty())
}

fn undeletable(stack: &StackSnapshot) -> Destroy {
    Destroy::NeedsHuman { why: sentence(stack, what_blocks(stack)) }
}

fn what_blocks(stack: &StackSnapshot) -> String {
    format!(
        "it could not be deleted{}; remove what blocks it, then: aws cloudformation delete-stack --stack-name {}",
        blockers(stack),
        stack.arn
    )
}

fn deletion_token(arn: &str, attempt: u32) -> String {
    client_token(arn, "destroy", attempt)
}

fn deletion_attempt(arn: &str, token: &str) -> Option<u32> {
    (1..=MAX_DELETIONS).find(|n| deletion_token(arn, *n) == token)
}
