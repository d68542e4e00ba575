//! Questions to approvers, and the effect of their answers.
//!
//! A question names the artifact and the change set, stack action or build that it is about. An answer that names others is
//! refused. The deployment holds its environment while its question is open: see [`queue`](crate::delivery::queue).

use crate::delivery::answers::Jury;
use crate::delivery::approval_rule::Verdict;
use crate::images::build_permission;
use crate::model::canonical::canonical_json;
use crate::model::error::{Failure, FailureKind};
use crate::model::ids::{DeploymentId, Digest};
use crate::model::operator_action::REASON_CHARS;
use crate::model::person::Caller;
use crate::records::{
    AnswerKind, Approval, ApprovalDecision, Charter, Decision, Deployment, DeploymentState, GivenAnswer,
    Proposal, ProposedAction, PublishSubject, Subject,
};
use crate::stacks::change_set_review;
use jiff::Timestamp;
use std::collections::BTreeSet;

/// The beginning of the key of each callback of a question.
const PREFIX: &str = "approval#";

/// Returns the key of the callback for question `number` of a deployment.
pub fn operation(deployment: &DeploymentId, number: u32) -> String {
    format!("{PREFIX}{deployment}#{number}")
}

/// Returns the deployment and the question's number from a key of [`operation`]; `None` for a key of another kind.
pub fn of_operation(operation: &str) -> Option<(DeploymentId, u32)> {
    let (deployment, number) = operation.strip_prefix(PREFIX)?.split_once('#')?;
    Some((deployment.parse().ok()?, number.parse().ok()?))
}

/// Returns true if `operation` is the callback of a question, or claims to be one.
pub fn is_question(operation: &str) -> bool {
    operation.starts_with(PREFIX)
}

/// Returns the last question of a deployment, if none of its `decisions` decides it.
pub fn open_question<'a>(deployment: &'a Deployment, decisions: &[ApprovalDecision]) -> Option<&'a Approval> {
    deployment.approvals.last().filter(|question| decision_on(decisions, question.number).is_none())
}

/// Returns the decision on question `number`, if its answers decided it.
pub fn decision_on(decisions: &[ApprovalDecision], number: u32) -> Option<&ApprovalDecision> {
    decisions.iter().find(|decision| decision.question.number == number && decision.is_decided())
}

/// Returns the answers to question `number`, oldest first.
pub fn answers_to(decisions: &[ApprovalDecision], number: u32) -> &[GivenAnswer] {
    let found = decisions.iter().find(|decision| decision.question.number == number);
    found.map_or(&[], |decision| &decision.answers)
}

/// Adds a question about the deployment's proposal, or else about its change set. A deployment with an open question is
/// returned unchanged.
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
    let proposal = deployment.stack().and_then(|stack| stack.proposal.as_ref());
    let change_set = deployment.deploy().and_then(|deploy| deploy.change_set.as_ref());
    if let Some(publication) = deployment.publication() {
        let subject = PublishSubject {
            image: publication.image.clone(),
            version: deployment.version.clone(),
            location: deployment.location.clone(),
            ami: publication.ami.clone(),
        };
        let reason = format!("the stage {} asks for an approval", deployment.stage);
        return asked(deployment, Subject::Publish(Box::new(subject)), vec![reason], now);
    }
    let (subject, reasons) = match (deployment.build(), proposal, change_set) {
        (Some(build), _, _) => {
            let subject = build.subject(deployment);
            let reason = build_permission::reason(&subject);
            (Subject::Build(Box::new(subject)), vec![reason])
        }
        (None, Some(proposal), _) => (Subject::Proposal(proposal.clone()), vec![reason(proposal)]),
        (None, None, Some(change_set)) => {
            let reasons = change_set_review::reasons(change_set, stage_wants_approval);
            (Subject::ChangeSet(change_set.clone()), reasons)
        }
        (None, None, None) => return Err(missing("a change set")),
    };
    if reasons.is_empty() {
        return Err(missing("a reason"));
    }
    asked(deployment, subject, reasons, now)
}

/// Returns the deployment with one more question.
fn asked(
    deployment: &Deployment,
    subject: Subject,
    reasons: Vec<String>,
    now: Timestamp,
) -> Result<Deployment, Failure> {
    let question = Approval {
        number: deployment.approvals.last().map_or(1, |last| last.number + 1),
        reasons,
        subject,
        digest: deployment.digest().cloned(),
        asked_at: now,
        shown: None,
    };
    let shown = shown(deployment, &question)?;
    let mut asking = deployment.clone();
    asking.approvals.push(Approval { shown: Some(shown), ..question });
    asking.state = DeploymentState::AwaitingApproval;
    Ok(asking)
}

/// Returns the digest of all that a question shows: its subject with values and access, its reasons, and the facts with
/// which the deployment began, such as its starter, its overrides and a break-glass.
pub fn shown(deployment: &Deployment, question: &Approval) -> Result<Digest, Failure> {
    let question = Approval { shown: None, ..question.clone() };
    let glass = deployment.deploy().and_then(|deploy| deploy.break_glass.as_ref());
    let facts = (&deployment.id, &deployment.starter, Charter::of(deployment), glass);
    let json = serde_json::to_value((question, facts));
    let json = json.map_err(|error| Failure::bug("a question cannot be written").caused_by(&error))?;
    Ok(Digest::of(canonical_json(json).as_bytes()))
}

/// Returns the reason for which a proposal needs an approval.
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
            "the stack {stack} would be deleted without {names}, which could not be deleted and would belong to no stack"
        ),
        (ProposedAction::Skip, _) => format!(
            "the rollback of the stack {stack} would be finished without {names}, which could not be rolled back and \
             would differ from CloudFormation's record"
        ),
    }
}

/// Returns the proposals that an approver approved for this deployment and artifact, if the approval is still valid.
/// `decisions` are those on the deployment.
pub fn allowed(deployment: &Deployment, decisions: &[ApprovalDecision], now: Timestamp) -> Vec<Proposal> {
    let approved = decisions
        .iter()
        .filter(|decision| decision.allows(now) && decision.question.digest.as_ref() == deployment.digest());
    approved
        .filter_map(|decision| match &decision.question.subject {
            Subject::Proposal(proposal) => Some(proposal.clone()),
            Subject::ChangeSet(_) | Subject::Build(_) | Subject::Publish(_) => None,
        })
        .collect()
}

/// Answer of an approver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalAnswer<'a> {
    /// Key of the subject that was shown to the approver, see [`Subject::key`].
    pub subject: &'a str,
    /// Digest of the artifact that was shown to the approver, if there was one.
    pub digest: Option<&'a Digest>,
    /// Digest of all that was shown to the approver, see [`shown`].
    pub shown: &'a Digest,
    /// Names of the resources that the approver gives up, or of the unexamined nested stacks that the approver allows.
    pub names: &'a [String],
    /// The answer.
    pub kind: AnswerKind,
    /// The approver's reason.
    pub reason: Option<&'a str>,
    /// The approver, from IAM.
    pub by: &'a Caller,
}

/// Effect of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decided {
    /// The answer decides: write the answers, then complete the deployment's callback.
    Now(Box<ApprovalDecision>),
    /// The answer counts, and more are needed: write the answers. The text says which.
    Waits(Box<ApprovalDecision>, String),
    /// A repeated answer: complete the callback again, in case its completion was lost.
    Before,
}

/// Decides about an answer to the deployment's last question, and returns the question's number. `given` is the record of
/// the answers to that question, if there is one. `jury` judges the answers.
///
/// An answer covers only the subject that was shown to the approver. The error `Conflict` rejects an answer that names
/// another change set or digest, contradicts the recorded decision, or comes after the deployment continued. An approval
/// that cannot count is `Rejected` with the reason.
pub fn decide(
    deployment: &Deployment,
    given: Option<&ApprovalDecision>,
    answer: &ApprovalAnswer<'_>,
    jury: &Jury<'_>,
    now: Timestamp,
) -> Result<(u32, Decided), Failure> {
    let question = shown_question(deployment, answer)?;
    if let Some((given, decision)) = given.and_then(|given| Some((given, given.decision?))) {
        return repeated(given, decision, answer.kind).map(|()| (question.number, Decided::Before));
    }
    if deployment.state != DeploymentState::AwaitingApproval {
        return Err(conflict(format!("deployment {} no longer waits for an answer", deployment.id)));
    }
    // The functions that act write the question on the deployment, and only approvers' answers what was answered.
    if given.is_some_and(|given| given.question != *question) {
        return Err(conflict(format!(
            "the question of deployment {} was changed since the first answer; refuse it, and deploy again",
            deployment.id
        )));
    }
    if answer.kind == AnswerKind::Approve {
        if build_permission::is_over(question, now) {
            let days = build_permission::OPEN_HOURS / 24;
            return Err(conflict(format!(
                "the question of deployment {} ended after {days} days",
                deployment.id
            )));
        }
        every_name(&question.subject, answer.names)?;
    }
    let last = GivenAnswer {
        by: answer.by.clone(),
        kind: answer.kind,
        reason: answer.reason.map(|reason| reason.chars().take(REASON_CHARS).collect()),
        at: now,
    };
    let answers = jury.admit(given.map_or(&[], |given| &given.answers), last)?;
    let verdict = jury.verdict(&answers, now);
    let answered = ApprovalDecision {
        deployment: deployment.id.clone(),
        question: question.clone(),
        answers,
        decision: None,
        valid_until: None,
    };
    Ok((question.number, judged(answered, verdict)))
}

fn conflict(message: String) -> Failure {
    Failure::new(FailureKind::Conflict, message)
}

/// Returns the last question if it is the one that was shown to the approver.
fn shown_question<'a>(
    deployment: &'a Deployment,
    answer: &ApprovalAnswer<'_>,
) -> Result<&'a Approval, Failure> {
    let Some(question) = deployment.approvals.last() else {
        return Err(conflict(format!("deployment {} has no question", deployment.id)));
    };
    let same = question.subject.key() == answer.subject && question.digest.as_ref() == answer.digest;
    if !same || shown(deployment, question)? != *answer.shown {
        return Err(conflict(format!(
            "deployment {} asks about `{}`, which is not what was shown; look at it again",
            deployment.id,
            question.subject.key()
        )));
    }
    Ok(question)
}

/// Accepts an answer after the decision if it says the same.
fn repeated(given: &ApprovalDecision, decision: Decision, kind: AnswerKind) -> Result<(), Failure> {
    match (decision, kind) {
        (Decision::Approve, AnswerKind::Approve) | (Decision::Refuse, AnswerKind::Refuse) => Ok(()),
        (Decision::Approve | Decision::Refuse, _) => {
            let word = past(decision);
            Err(conflict(format!("{} has already decided otherwise: {word}", given.by())))
        }
    }
}

/// Returns the answers with the decision of the verdict, if it decides.
fn judged(answered: ApprovalDecision, verdict: Verdict) -> Decided {
    let decided = |decision, valid_until| {
        Decided::Now(Box::new(ApprovalDecision { decision: Some(decision), valid_until, ..answered.clone() }))
    };
    match verdict {
        Verdict::Passed { until } => decided(Decision::Approve, Some(until)),
        Verdict::Refused { .. } => decided(Decision::Refuse, None),
        Verdict::Waits { more, why, .. } => {
            Decided::Waits(Box::new(answered), format!("{more} more must approve: {why}"))
        }
    }
}

/// Requires the names of all resources that a proposal gives up, and of all nested stacks that were not examined.
/// Typing each name prevents an approval of an unread list.
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
        Subject::Build(_) | Subject::Publish(_) => {
            "the question names nothing to give up; leave the names out".to_owned()
        }
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

/// Returns the outcome of the last question, whose recorded answer is `given`: `Ok` if approved, else `ApprovalRefused`
/// with the approver and the reason.
pub fn verdict(deployment: &Deployment, given: Option<&ApprovalDecision>) -> Result<(), Failure> {
    let refused = |message: String| Err(Failure::new(FailureKind::ApprovalRefused, message));
    if deployment.approvals.is_empty() {
        return Err(Failure::bug(format!("deployment {} never asked", deployment.id)));
    }
    match given.and_then(|given| Some((given, given.decision?))) {
        Some((_, Decision::Approve)) => Ok(()),
        Some((given, Decision::Refuse)) => {
            let why = given.reason().map_or_else(String::new, |reason| format!(": {reason}"));
            refused(format!("{} refused it{why}", given.by()))
        }
        None => refused("no approver answered in time".to_owned()),
    }
}

#[cfg(test)]
mod tests;
