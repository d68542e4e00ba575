//! Images: the ones that a deployment lacks, and revocations.

use crate::context::LedgerContext;
use lockstep_aws::ledger::Order;
use lockstep_domain::delivery::gate::missing_images;
use lockstep_domain::images::lifecycle;
use lockstep_domain::messages::ledger::MissingImage;
use lockstep_domain::messages::operator::Applied;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::ImageName;
use lockstep_domain::model::location::Location;
use lockstep_domain::model::operator_action::OperatorAction;
use lockstep_domain::model::token::client_token;
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{Image, ImageVersion, Release};

/// The most accounts and regions that one version of an image is in.
const COPIES: usize = 1000;

/// Returns the images of `release` that `target` lacks, each with the name of the execution that copies it
/// there.
pub async fn missing(
    context: &impl LedgerContext,
    execution: &str,
    release: &Release,
    target: &Location,
) -> Result<Vec<MissingImage>, Failure> {
    let mut known = Vec::new();
    for locked in release.image_lock.0.values() {
        let partition = Image::version_of(&locked.name, &locked.version);
        let found = context.ledger().list::<Image>(&partition, Order::Oldest, COPIES).await?;
        known.extend(found.into_iter().map(|image| image.record));
    }
    let missing = missing_images(release, &known, target).into_iter().map(|image| MissingImage {
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
    let stored = context.ledger().expect::<ImageVersion>(&key, &format!("image {image}@{version}")).await?;
    let applied = |rev: u64, changed| Applied { version: u32::try_from(rev).unwrap_or(u32::MAX), changed };
    match lifecycle::revoke(&stored.record, action) {
        Some(revoked) => Ok(applied(context.ledger().replace(&stored, revoked).await?.rev(), true)),
        None => Ok(applied(stored.rev(), false)),
    }
}
