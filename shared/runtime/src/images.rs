//! Images: versions with their revocations, and the images of each path in their tables.

use lockstep_aws::ledger::{Ledger, Order, Versioned};
use lockstep_domain::delivery::stages::Stages;
use lockstep_domain::images::lifecycle::with_revocations;
use lockstep_domain::images::promotion::places;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::ImageName;
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{Image, ImageVersion, Record, Revocation};

/// Returns a version with its revocation, or `None` if it does not exist.
pub async fn version(
    ledger: &Ledger,
    image: &ImageName,
    version: &Version,
) -> Result<Option<Versioned<ImageVersion>>, Failure> {
    let Some(mut found) = ledger.get::<ImageVersion>(&ImageVersion::key_of(image, version)).await? else {
        return Ok(None);
    };
    found.record.revoked = revocation(ledger, image, version).await?;
    Ok(Some(found))
}

/// Returns the revocation of a version, or `None` if no administrator revoked it.
pub async fn revocation(
    ledger: &Ledger,
    image: &ImageName,
    version: &Version,
) -> Result<Option<Revocation>, Failure> {
    Ok(ledger.get(&Revocation::key_of(image, version)).await?.map(|found| found.record))
}

/// Returns at most `limit` versions of an image with their revocations, newest first.
pub async fn versions(
    ledger: &Ledger,
    image: &ImageName,
    limit: usize,
) -> Result<Vec<ImageVersion>, Failure> {
    let versions = plain(ledger.list(&ImageVersion::all_of(image), Order::Newest, limit).await?);
    let revocations = plain(ledger.every(&Revocation::all_of(image)).await?);
    Ok(with_revocations(versions, &revocations))
}

/// Returns the versions of every image with their revocations, from the index.
pub async fn every_version(ledger: &Ledger) -> Result<Vec<ImageVersion>, Failure> {
    let versions = plain(ledger.every_of_kind::<ImageVersion>().await?);
    Ok(with_revocations(versions, &plain(ledger.every_of_kind::<Revocation>().await?)))
}

/// Returns the images of a version in all accounts. Leaves out a record that the owner of its table may not make, see
/// [`places::of_its_path`].
pub async fn everywhere(
    ledger: &Ledger,
    stages: &Stages,
    image: &ImageName,
    version: &Version,
) -> Result<Vec<Versioned<Image>>, Failure> {
    let mut found = Vec::new();
    for path in DeploymentPath::ALL {
        let listed: Vec<Versioned<Image>> = ledger.every(&Image::version_of(image, version, path)).await?;
        found.extend(listed.into_iter().filter(|image| places::of_its_path(&image.record, path, stages)));
    }
    Ok(found)
}

fn plain<T: Record>(found: Vec<Versioned<T>>) -> Vec<T> {
    found.into_iter().map(|found| found.record).collect()
}
