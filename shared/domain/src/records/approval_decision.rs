//! The answers of approvers to a question of a deployment.

use super::{Approval, Decision, GivenAnswer, Key, Partition, Record, Table};
use crate::model::ids::DeploymentId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The answers to one question, with the question as the approvers answered it, and the decision that follows.
///
/// Only the function that approvers call writes this record. So no function that acts on a deployment can answer its
/// question, or change what an answer covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalDecision {
    /// The deployment.
    pub deployment: DeploymentId,
    /// The question, as it was when the first approver answered it.
    pub question: Approval,
    /// Every answer, oldest first. The last one decided.
    pub answers: Vec<GivenAnswer>,
    /// The decision, once the answers pass the rule of the stage or one refuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// End of an approval: the first of the needed answers expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Timestamp>,
}

impl ApprovalDecision {
    /// Validity of an approval, in hours. The state that the approver saw changes over time.
    pub const VALID_HOURS: i64 = 24;

    /// Returns the key of the answer to question `number` of a deployment.
    pub fn key_of(deployment: &DeploymentId, number: u32) -> Key {
        Key::new(Table::Approvals, format!("APPROVAL#{deployment}"), format!("QUESTION#{number:04}"))
    }

    /// Returns the partition and sort-key prefix of every answer to a deployment, oldest question first.
    pub fn all_of(deployment: &DeploymentId) -> Partition {
        Partition::new(Table::Approvals, format!("APPROVAL#{deployment}"), "QUESTION#")
    }

    /// Returns true if the answers decided the question.
    pub fn is_decided(&self) -> bool {
        self.decision.is_some()
    }

    /// Returns the last answer. It decided, if there is a decision.
    pub fn last(&self) -> Option<&GivenAnswer> {
        self.answers.last()
    }

    /// Returns the ARN of the approver who gave the last answer.
    pub fn by(&self) -> &str {
        self.last().map_or("another approver", |answer| &answer.by.arn)
    }

    /// Returns the reason of the last answer, if it has one.
    pub fn reason(&self) -> Option<&str> {
        self.last()?.reason.as_deref()
    }

    /// Returns true if the decision approves and is still valid at `now`.
    pub fn allows(&self, now: Timestamp) -> bool {
        self.decision == Some(Decision::Approve) && self.valid_until.is_some_and(|end| now < end)
    }
}

impl Record for ApprovalDecision {
    const KIND: &'static str = "APPROVAL";
    const TABLES: &'static [Table] = &[Table::Approvals];

    fn key(&self) -> Key {
        Self::key_of(&self.deployment, self.question.number)
    }

    fn listed_at(&self) -> Option<String> {
        Some(self.last().map_or(self.question.asked_at, |answer| answer.at).to_string())
    }
}
