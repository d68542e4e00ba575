//! Verifies that the images of a release may be used at the location of a deployment.

use crate::context::ImageContext;
use crate::load::unusable;
use lockstep_aws::ec2::Images;
use lockstep_aws::scope;
use lockstep_domain::images::lifecycle::{Purpose, obstacle};
use lockstep_domain::images::promotion;
use lockstep_domain::installation::target_roles::TargetRole;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::model::image_lock::LockedImage;
use lockstep_domain::model::location::Location;
use lockstep_domain::records::{Deployment, Image};
use lockstep_runtime::{images, releases};

/// Handles `verify`. The failure names each image that may not be used.
pub async fn verify<C: ImageContext>(context: &C, id: &DeploymentId) -> Result<(), Failure> {
    let what = format!("the deployment {id}");
    let deployment = context.ledger().expect::<Deployment>(&Deployment::key_of(id), &what).await?.record;
    scope::about(&deployment);
    let component =
        deployment.component().ok_or_else(|| Failure::rejected(format!("{what} has no release")))?;
    let digest = deployment.digest().ok_or_else(|| Failure::rejected(format!("{what} has no artifact")))?;
    let release = releases::same_release(context.ledger(), component, &deployment.version, digest).await?;
    if release.image_lock.0.is_empty() {
        return Ok(());
    }
    let there = context.images(TargetRole::ImageTarget, &deployment.location, &id.session()).await?;
    let mut reasons = Vec::new();
    for locked in release.image_lock.0.values() {
        reasons.extend(why_not(context, &there, (&deployment.location, id.path()), locked).await?);
    }
    if reasons.is_empty() { Ok(()) } else { Err(unusable(reasons.join(" "))) }
}

/// Returns the reason why a locked image may not be used at `location`; `None` if it may.
///
/// The revocation is a record of the authority, and the image one of the path of the deployment. The state of the
/// version is one of the delivery path: on the promotion path, it adds a reason and replaces none.
async fn why_not<C: ImageContext>(
    context: &C,
    there: &C::Images,
    (location, path): (&Location, DeploymentPath),
    locked: &LockedImage,
) -> Result<Option<String>, Failure> {
    let (label, account) = (format!("The image {}@{}", locked.name, locked.version), &location.account);
    let ledger = context.ledger();
    let Some(version) = images::version(ledger, &locked.name, &locked.version).await? else {
        return Ok(Some(format!("{label} is not known to the ledger: import it.")));
    };
    if let Some(why) = obstacle(&version.record, Purpose::Run) {
        return Ok(Some(format!("{label} cannot be used: it is {why}.")));
    }
    let key = Image::key_of(&locked.name, &locked.version, location, path);
    let Some(record) = ledger.get::<Image>(&key).await?.map(|image| image.record) else {
        return Ok(Some(format!("{label} is not in account {account}: promote it first.")));
    };
    if record.source_ami != locked.source_ami || record.commit != locked.commit {
        return Ok(Some(format!("{label} in account {account} is not the one that was locked.")));
    }
    let found = match &record.ami {
        Some(ami) => there.describe(ami).await?,
        None => None,
    };
    Ok(promotion::unusable(&record, found.as_ref()))
}
