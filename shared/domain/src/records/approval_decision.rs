//! The answer of an approver to a question of a deployment.

use super::{Approval, Decision, Key, Partition, Record, Table};
use crate::model::ids::DeploymentId;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

/// The answer to one question, with the question as the approver answered it.
///
/// Only the function that approvers call writes this record. So no function that acts on a deployment can answer its
/// question, or change what an answer covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalDecision {
    /// The deployment.
    pub deployment: DeploymentId,
    /// The question, as it was when the approver answered it.
    pub question: Approval,
    /// The decision.
    pub decision: Decision,
    /// ARN of the approver, from IAM.
    pub by: String,
    /// The approver's reason, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Time of the answer.
    pub at: Timestamp,
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

    /// Returns true if the decision approves and is still valid at `now`.
    pub fn allows(&self, now: Timestamp) -> bool {
        let is_valid = self.at.checked_add(Self::VALID_HOURS.hours()).is_ok_and(|end| now < end);
        self.decision == Decision::Approve && is_valid
    }
}

impl Record for ApprovalDecision {
    const KIND: &'static str = "APPROVAL";
    const TABLES: &'static [Table] = &[Table::Approvals];

    fn key(&self) -> Key {
        Self::key_of(&self.deployment, self.question.number)
    }

    fn listed_at(&self) -> Option<String> {
        Some(self.at.to_string())
    }
}
