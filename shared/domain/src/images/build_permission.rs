//! Permission to build an image in an account of the promotion path.
//!
//! A build runs code of the recipe's author in the account. A push must not do that by itself, so a person approves each
//! build there, unless an administrator chose automatic builds for the account. Accounts of the delivery path run code of
//! every push and need no permission.

use crate::delivery::approval_rule::ApprovalRule;
use crate::delivery::stages::{Stage, Stages};
use crate::model::build_policy::BuildPolicy;
use crate::model::deployment_path::DeploymentPath;
use crate::model::error::{Failure, FailureKind};
use crate::model::ids::AccountId;
use crate::records::{Approval, ApprovalDecision, BuildSubject, Decision, Deployment, Subject};
use jiff::{Timestamp, ToSpan};

/// Time for which the question about a build is open, in hours. The state that waits for the answer has the same limit.
pub const OPEN_HOURS: i64 = 14 * 24;

/// Returns the policy of builds in `account`; `None` if it is on the delivery path, or belongs to no stage.
///
/// The strictest value counts, should the stages disagree.
pub fn policy(stages: &Stages, account: &AccountId) -> Option<BuildPolicy> {
    let there = stages.iter().filter(|stage| stage.account == *account);
    let promoted = there.filter(|stage| stage.path() == DeploymentPath::Promotion);
    promoted.map(|stage| stage.builds.unwrap_or(BuildPolicy::Approved)).min()
}

/// Returns the rule for the approvers of a build in `account`: at least as strict as the rule of each stage there.
pub fn rule(stages: &Stages, account: &AccountId) -> ApprovalRule {
    let there = stages.iter().filter(|stage| stage.account == *account);
    strictest(there.map(Stage::approval_rule))
}

/// Returns the rule for the approvers of the question of `deployment`.
///
/// # Errors
/// `Rejected` if its stage does not exist any more.
pub fn rule_of_question(stages: &Stages, deployment: &Deployment) -> Result<ApprovalRule, Failure> {
    let stage = crate::delivery::gate::stage(stages, &deployment.stage)?;
    Ok(match deployment.build() {
        Some(_) => rule(stages, &deployment.location.account),
        None => stage.approval_rule(),
    })
}

/// Returns a rule that passes no answers that one of `rules` does not pass: the most approvals, everyone who is excluded
/// anywhere, and only the people of every list.
fn strictest(rules: impl IntoIterator<Item = ApprovalRule>) -> ApprovalRule {
    rules.into_iter().fold(ApprovalRule::confirmation(), |both, rule| ApprovalRule {
        from: match (both.from, rule.from) {
            (Some(one), Some(other)) => Some(one.intersection(&other).cloned().collect()),
            (one, other) => one.or(other),
        },
        count: both.count.max(rule.count),
        not: both.not.union(&rule.not).copied().collect(),
    })
}

/// Permission of a build that has not begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permission {
    /// The build may begin.
    Granted,
    /// A person must approve it.
    NeedsApproval,
    /// The build may never begin. The text is the reason, as a sentence.
    Refused(String),
}

/// Decides if `build`, the deployment of a build, may begin. `decision` is the record of the answers to its last question.
///
/// An approval covers exactly the recipe, base image and account of its question. All of them are fixed for the version, so
/// the approval does not expire. A refusal is final for the version.
pub fn permission(
    stages: &Stages,
    build: &Deployment,
    decision: Option<&ApprovalDecision>,
    now: Timestamp,
) -> Permission {
    let account = &build.location.account;
    match policy(stages, account) {
        None | Some(BuildPolicy::Automatic) => return Permission::Granted,
        Some(BuildPolicy::Approved) => {}
    }
    let subject = build.build().map(|body| Subject::Build(Box::new(body.subject(build))));
    let question = build.approvals.last().filter(|question| Some(&question.subject) == subject.as_ref());
    let Some(question) = question else { return askable(&rule(stages, account), account) };
    let answered = decision.filter(|decision| decision.question == *question);
    match answered.and_then(|answered| Some((answered, answered.decision?))) {
        Some((_, Decision::Approve)) => Permission::Granted,
        Some((answered, Decision::Refuse)) => Permission::Refused(refusal(answered)),
        None if is_over(question, now) => Permission::Refused(format!(
            "no approver answered within {} days, so the image is not built in account {account}",
            OPEN_HOURS / 24
        )),
        None => Permission::NeedsApproval,
    }
}

/// Returns the reason of the question about a build.
pub fn reason(build: &BuildSubject) -> String {
    let BuildSubject { image, version, repository, location, .. } = build;
    format!(
        "the image {image}@{version} cannot be copied to account {}, and its build runs code of {repository} there",
        location.account
    )
}

fn refusal(answered: &ApprovalDecision) -> String {
    let why = answered.reason().map_or_else(String::new, |reason| format!(": {reason}"));
    format!("{} refused the build{why}", answered.by())
}

/// Refuses a question that no answers could pass.
fn askable(rule: &ApprovalRule, account: &AccountId) -> Permission {
    match &rule.from {
        Some(from) if from.len() < rule.count as usize => Permission::Refused(format!(
            "the stages of account {account} have too few approvers in common ({} of {}), so no build can be approved there; \
             change `approval` of one of them",
            from.len(),
            rule.count
        )),
        Some(_) | None => Permission::NeedsApproval,
    }
}

/// Returns the failure of a build that may not begin; `Ok` if it may.
pub fn ensure_granted(permission: Permission) -> Result<(), Failure> {
    let refused = |why: String| Err(Failure::new(FailureKind::ApprovalRefused, why));
    match permission {
        Permission::Granted => Ok(()),
        Permission::NeedsApproval => refused("no person approved this build".to_owned()),
        Permission::Refused(why) => refused(why),
    }
}

/// Returns true if the question is about a build and was open for [`OPEN_HOURS`].
pub fn is_over(question: &Approval, now: Timestamp) -> bool {
    matches!(question.subject, Subject::Build(_))
        && question.asked_at.checked_add(OPEN_HOURS.hours()).is_ok_and(|end| end <= now)
}

#[cfg(test)]
mod tests;
