//! Charters: what the authority fixed when a deployment began.

use lockstep_aws::ledger::Ledger;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::records::{Charter, Deployment, Publication, PublishImageBody};

/// Returns the charter of the deployment, or fails with `NotFound`: a deployment about an image has none.
pub async fn charter(ledger: &Ledger, id: &DeploymentId) -> Result<Charter, Failure> {
    let what = format!("the charter of deployment {id}");
    Ok(ledger.expect::<Charter>(&Charter::key_of(id), &what).await?.record)
}

/// Confirms that the deployment is as it was begun. The publication of an image has a record of its own. A copy and a
/// build of an image have neither: they hold no environment and earn no evidence.
///
/// # Errors
/// `Rejected` if a fact of the deployment differs from what the authority recorded. The functions of a path write the
/// deployment.
pub async fn ensure_as_begun(ledger: &Ledger, deployment: &Deployment) -> Result<(), Failure> {
    if let Some(PublishImageBody { image, .. }) = deployment.publication() {
        let (stage, id) = (&deployment.stage, &deployment.id);
        let what = format!("the publication of {image} in {stage}");
        return ledger
            .expect::<Publication>(&Publication::key_of(stage, image, id), &what)
            .await?
            .record
            .check(deployment);
    }
    match deployment.stack() {
        Some(_) => charter(ledger, &deployment.id).await?.check(deployment),
        None => Ok(()),
    }
}
