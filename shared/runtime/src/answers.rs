//! Answers of approvers to the questions of a deployment.

use lockstep_aws::ledger::{Ledger, Versioned};
use lockstep_domain::model::error::Failure;
use lockstep_domain::records::{ApprovalDecision, Deployment};

/// Returns the record of the answers to the last question of a deployment, if there is one.
pub async fn to_last_question(
    ledger: &Ledger,
    deployment: &Deployment,
) -> Result<Option<Versioned<ApprovalDecision>>, Failure> {
    let Some(question) = deployment.approvals.last() else { return Ok(None) };
    ledger.get(&ApprovalDecision::key_of(&deployment.id, question.number)).await
}
