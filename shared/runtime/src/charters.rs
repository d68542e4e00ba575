//! Charters: what the authority fixed when a deployment began.

use lockstep_aws::ledger::Ledger;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::records::{Charter, Deployment};

/// Returns the charter of the deployment, or fails with `NotFound`: a deployment about an image has none.
pub async fn charter(ledger: &Ledger, id: &DeploymentId) -> Result<Charter, Failure> {
    let what = format!("the charter of deployment {id}");
    Ok(ledger.expect::<Charter>(&Charter::key_of(id), &what).await?.record)
}

/// Confirms that the deployment is as it was begun. A deployment about an image has no charter: it holds no environment and earns
/// no evidence.
///
/// # Errors
/// `Rejected` if a fact of the deployment differs from its charter. The functions of a path write the deployment.
pub async fn ensure_as_begun(ledger: &Ledger, deployment: &Deployment) -> Result<(), Failure> {
    match deployment.stack() {
        Some(_) => charter(ledger, &deployment.id).await?.check(deployment),
        None => Ok(()),
    }
}
