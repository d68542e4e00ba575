//! Images: the ones that a deployment lacks, and revocations.

use crate::context::LedgerContext;
use lockstep_aws::ledger::Inserted;
use lockstep_domain::delivery::gate::missing_images;
use lockstep_domain::delivery::stages::Stage;
use lockstep_domain::messages::ledger::MissingImage;
use lockstep_domain::messages::operator::Applied;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::ImageName;
use lockstep_domain::model::operator_action::OperatorAction;
use lockstep_domain::model::token::client_token;
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{Image, ImageVersion, Release, Revocation};

/// Returns the images of `release` that the account of `stage` lacks, each with the name of the execution that copies it
/// there.
pub async fn missing(
    context: &impl LedgerContext,
    execution: &str,
    release: &Release,
    stage: &Stage,
) -> Result<Vec<MissingImage>, Failure> {
    let (target, mut known) = (stage.location(), Vec::new());
    for locked in release.image_lock.0.values() {
        let key = Image::key_of(&locked.name, &locked.version, &target, stage.path());
        known.extend(context.ledger().get::<Image>(&key).await?.map(|image| image.record));
    }
    let missing = missing_images(release, &known, &target).into_iter().map(|image| MissingImage {
        image: image.name.clone(),
        version: image.version.clone(),
        execution: client_token(execution, &format!("image/{}@{}", image.name, image.version), 1),
    });
    Ok(missing.collect())
}

/// Revokes a version, so that no release may use it any more. Running instances are not affected. A second
/// revocation keeps the first reason.
pub async fn revoke(
    context: &impl LedgerContext,
    image: &ImageName,
    version: &Version,
    action: &OperatorAction,
) -> Result<Applied, Failure> {
    let key = ImageVersion::key_of(image, version);
    context.ledger().expect::<ImageVersion>(&key, &format!("image {image}@{version}")).await?;
    let inserted = context.ledger().insert(&Revocation::new(image, version, action)).await?;
    Ok(Applied { version: 1, changed: matches!(inserted, Inserted::New(_)) })
}
