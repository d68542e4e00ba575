//! Asking a person, and what the answer does.
//!
//! A question names the change set (or the action on a stack) and the artifact it is about; an answer that names others
//! is refused. Nobody's environment is held while a person thinks.

use crate::model::error::{Failure, FailureKind};
use crate::model::ids::{DeploymentId, Digest};
use crate::model::operator_action::REASON_CHARS;
use crate::records::{Approval, Decision, Deployment, DeploymentState, Proposal, ProposedAction, Subject};
use crate::stacks::change_set_review;
use jiff::Timestamp;
use std::collections::BTreeSet;

/// The key of the wait for question `number` of a deployment.
pub fn operation(deployment: &DeploymentId, number: u32) -> String {
    format!("approval#{deployment}#{number}")
}

/// The deployment and the number of the question that [`operation`] made a key of; nothing for a key of another kind.
pub fn of_operation(operation: &str) -> Option<(DeploymentId, u32)> {
    let (deployment, number) = operation.strip_prefix("approval#")?.split_once('#')?;
    Some((deployment.parse().ok()?, number.parse().ok()?))
}

/// The last question, if it is open.
pub fn open_question(deployment: &Deployment) -> Option<&Approval> {
    deployment.approvals.last().filter(|question| question.decision.is_none())
}

/// The deployment with a question about its proposal, else about its change set. One that asks already is left as it is.
pub fn ask(
    deployment: &Deployment,
    stage_wants_approval: bool,
    now: Timestamp,
) -> Result<Deployment, Failure> {
    match deployment.state {
        DeploymentState::AwaitingApproval => return Ok(deployment.clone()),
        DeploymentState::Running => {}
        _ => {
            return Err(Failure::new(
                FailureKind::Superseded,
                format!("deployment {} is closed already", deployment.id),
            ));
        }
    }
    let missing = |what| Failure::bug(format!("deployment {} asks without {what}", deployment.id));
    let (subject, reasons) = match (&deployment.proposal, &deployment.change_set) {
        (Some(proposal), _) => (Subject::Proposal(proposal.clone()), vec![reason(proposal)]),
        (None, Some(change_set)) => {
            let reasons = change_set_review::reasons(change_set, stage_wants_approval);
            (Subject::ChangeSet(change_set.clone()), reasons)
        }
        (None, None) => return Err(missing("a change set")),
    };
    if reasons.is_empty() {
        return Err(missing("a reason"));
    }
    let question = Approval {
        number: deployment.approvals.last().map_or(1, |last| last.number + 1),
        reasons,
        subject,
        digest: deployment.digest.clone(),
        asked_at: now,
        decision: None,
        decided_by: None,
        reason: None,
        decided_at: None,
    };
    let mut asking = deployment.clone();
    asking.approvals.push(question);
    asking.state = DeploymentState::AwaitingApproval;
    Ok(asking)
}

/// Why a person must allow what is proposed.
fn reason(proposal: &Proposal) -> String {
    let names = proposal.names().join(", ");
    let stack = &proposal.stack;
    let left = match proposal.left_behind().join(", ").as_str() {
        "" => String::new(),
        left => format!("; deletion policies leave behind {left}"),
    };
    match (proposal.action, names.as_str()) {
        (ProposedAction::Delete, "") => {
            format!("the stack {stack} would be deleted; it holds nothing that is protected{left}")
        }
        (ProposedAction::Delete, _) => {
            format!(
                "the stack {stack} would be deleted, and with it what its protected resources hold: {names}{left}"
            )
        }
        (ProposedAction::Retain, _) => format!(
            "the stack {stack} would be deleted without {names}, which could not be deleted and would belong to nobody"
        ),
        (ProposedAction::Skip, _) => format!(
            "the rollback of the stack {stack} would be finished without {names}, which could not be rolled back and \
             would differ from what CloudFormation believes"
        ),
    }
}

/// What a person allowed this deployment to do with its stack, not too long ago.
pub fn allowed(deployment: &Deployment, now: Timestamp) -> Vec<Proposal> {
    let approved = deployment
        .approvals
        .iter()
        .filter(|approval| approval.allows(now) && approval.digest == deployment.digest);
    approved
        .filter_map(|approval| match &approval.subject {
            Subject::Proposal(proposal) => Some(proposal.clone()),
            Subject::ChangeSet(_) => None,
        })
        .collect()
}

/// What a person answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalAnswer<'a> {
    /// The key of what the person saw, see [`Subject::key`].
    pub subject: &'a str,
    /// The artifact's digest that the person saw, if there was one.
    pub digest: Option<&'a Digest>,
    /// What the person gives up, or allows though nobody looked into it, by name.
    pub names: &'a [String],
    /// The answer.
    pub decision: Decision,
    /// Why.
    pub reason: Option<&'a str>,
    /// The ARN of the person, as IAM says.
    pub by: &'a str,
}

/// What an answer does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decided {
    /// It is the first: write the deployment, then wake who waits.
    Now(Box<Deployment>),
    /// It was given before: wake who waits, in case nobody did.
    Before,
}

/// Applies an answer to the deployment's last question, whose number comes along.
///
/// What the person did not see they did not decide: an answer that names another change set or digest is a `Conflict`,
/// and so is one that contradicts the answer given, or comes after the deployment went on.
pub fn decide(
    deployment: &Deployment,
    answer: &ApprovalAnswer<'_>,
    now: Timestamp,
) -> Result<(u32, Decided), Failure> {
    let conflict = |message: String| Failure::new(FailureKind::Conflict, message);
    let Some(question) = deployment.approvals.last() else {
        return Err(conflict(format!("deployment {} asks nothing", deployment.id)));
    };
    if question.subject.key() != answer.subject || question.digest.as_ref() != answer.digest {
        return Err(conflict(format!(
            "deployment {} asks about `{}`, which is not what was shown; look at it again",
            deployment.id,
            question.subject.key()
        )));
    }
    match question.decision {
        Some(given) if given == answer.decision => return Ok((question.number, Decided::Before)),
        Some(given) => {
            let by = question.decided_by.as_deref().unwrap_or("somebody");
            return Err(conflict(format!("{by} decided otherwise already: {}", past(given))));
        }
        None => {}
    }
    if deployment.state != DeploymentState::AwaitingApproval {
        return Err(conflict(format!("deployment {} no longer waits for an answer", deployment.id)));
    }
    if answer.decision == Decision::Approve {
        every_name(&question.subject, answer.names)?;
    }
    let mut decided = deployment.clone();
    let number = question.number;
    if let Some(question) = decided.approvals.last_mut() {
        question.decision = Some(answer.decision);
        question.decided_by = Some(answer.by.to_owned());
        question.reason = answer.reason.map(|reason| reason.chars().take(REASON_CHARS).collect());
        question.decided_at = Some(now);
    }
    Ok((number, Decided::Now(Box::new(decided))))
}

/// What a proposal costs, and what nobody looked into, is approved name by name: a nod to a list that scrolled by is no
/// decision.
fn every_name(subject: &Subject, names: &[String]) -> Result<(), Failure> {
    let wanted: BTreeSet<String> = subject.names().into_iter().collect();
    let given: BTreeSet<String> = names.iter().cloned().collect();
    if wanted == given {
        return Ok(());
    }
    let wanted = if wanted.is_empty() {
        "there is none".to_owned()
    } else {
        wanted.into_iter().collect::<Vec<_>>().join(", ")
    };
    Err(Failure::rejected(match subject {
        Subject::ChangeSet(_) => {
            format!("name every nested stack that was not examined, and nothing else: {wanted}")
        }
        Subject::Proposal(proposal) => format!(
            "name every resource that is given up, and no other: {wanted} (the question is to {} {})",
            proposal.action.as_str(),
            proposal.stack
        ),
    }))
}

fn past(decision: Decision) -> &'static str {
    match decision {
        Decision::Approve => "approved",
        Decision::Refuse => "refused",
    }
}

/// Whether the deployment may go on after its question: yes, or `ApprovalRefused` with who and why.
pub fn verdict(deployment: &Deployment) -> Result<(), Failure> {
    let refused = |message: String| Err(Failure::new(FailureKind::ApprovalRefused, message));
    let Some(question) = deployment.approvals.last() else {
        return Err(Failure::bug(format!("deployment {} never asked", deployment.id)));
    };
    match question.decision {
        Some(Decision::Approve) => Ok(()),
        Some(Decision::Refuse) => {
            let by = question.decided_by.as_deref().unwrap_or("somebody");
            let why = question.reason.as_deref().map_or_else(String::new, |reason| format!(": {reason}"));
            refused(format!("{by} refused it{why}"))
        }
        None => refused("nobody answered in time".to_owned()),
    }
}

#[cfg(test)]
mod tests;
