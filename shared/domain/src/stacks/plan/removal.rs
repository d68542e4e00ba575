//! Stacks that are to go: torn down for good, or thrown away after a test.

use super::recovery::{is_tried_enough, recover, retain, wait, was_tried};
use super::{
    LatestOperation, Phase, Plan, PlanInput, Recovery, Remains, StackSnapshot, StackStatus, blockers, human,
    is_ours, not_ours, operation_key, sentence, unknown, unread,
};
use crate::model::token::{client_token, is_client_token};
use crate::records::{OperationKind, Proposal, ProposedAction};

/// What is to be done to delete the stack of an environment for good.
///
/// A stack that ever was stable, or that holds something protected, is deleted only if a person allowed that, naming
/// each protected resource. `is_thrown_away` says that it is one of the stage `test`, of which nothing is worth keeping.
pub fn teardown(found: Option<&StackSnapshot>, known: &PlanInput<'_>, is_thrown_away: bool) -> Plan {
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
    if !is_thrown_away && !is_nothing && !known.allows(&proposal) {
        return Plan::Ask(proposal);
    }
    if !was_tried(stack, known, OperationKind::Delete, &[]) {
        return recover(stack, OperationKind::Delete, "it is torn down");
    }
    let empty = if is_thrown_away { remains.full_buckets() } else { Vec::new() };
    if !empty.is_empty() && !is_tried_enough(stack, known, OperationKind::Delete) {
        return Plan::Recover(Recovery {
            arn: stack.arn.clone(),
            operation: OperationKind::Delete,
            allowed: None,
            empty,
            why: "its buckets were full".to_owned(),
        });
    }
    if is_thrown_away || stack.status != StackStatus::DeleteFailed {
        return human(stack, what_blocks(stack));
    }
    retain(stack, known, remains, OperationKind::Delete)
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
        /// The buckets that must be emptied first: they were full when it was tried before.
        empty: Vec<String>,
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

/// After how many deletions full buckets are no excuse any more: something keeps filling them.
const EMPTIED_MAX: u32 = 2;

/// What is to be done to get rid of the throw-away stack that was found.
///
/// The stack's own events are the journal of the attempts, since no deployment carries this out. Only stacks of the
/// stage `test` may be given: nothing here asks whether the stack was ever stable.
pub fn destroy(found: Option<&StackSnapshot>, known: &PlanInput<'_>) -> Destroy {
    let Some(stack) = found.filter(|stack| stack.status != StackStatus::DeleteComplete) else {
        return Destroy::Gone;
    };
    if stack.parent.is_some() || !is_ours(stack, known) {
        return Destroy::NeedsHuman {
            why: sentence(stack, "Lockstep did not make it and will not delete it"),
        };
    }
    let last = stack.newest.token().and_then(|token| deletion_attempt(&stack.arn, token));
    match (stack.status.phase(), &stack.newest) {
        (Phase::Running, LatestOperation::Unseen) => Destroy::LookAgain,
        (Phase::Running, LatestOperation::Named(token)) if is_client_token(token) => {
            Destroy::Wait { key: operation_key(&stack.arn, token) }
        }
        (Phase::Running, LatestOperation::Named(_) | LatestOperation::Nameless) => Destroy::NeedsHuman {
            why: sentence(stack, "somebody else started that; when it is over, delete the stack"),
        },
        (Phase::Unknown, _) => Destroy::NeedsHuman {
            why: sentence(stack, "Lockstep does not know this status; look at the stack"),
        },
        // Asked for anew after a failed deletion: a plain one more, never retaining or forcing anything.
        _ if last.is_some_and(|n| n >= MAX_DELETIONS) => undeletable(stack),
        _ => {
            let attempt = last.map_or(1, |n| n + 1);
            let empty = stack.remains.as_ref().map(Remains::full_buckets).unwrap_or_default();
            Destroy::Delete { arn: stack.arn.clone(), token: deletion_token(&stack.arn, attempt), empty }
        }
    }
}

/// How the deletion of a throw-away stack ended.
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

/// Whether it was full buckets that blocked the deletion, and they were not emptied twice already.
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
