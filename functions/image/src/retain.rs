//! Records of images that retire. The sweep finds what is due and proposes it; the owner of a record looks itself and
//! changes it.

use crate::context::ImageContext;
use lockstep_aws::ec2::Images as _;
use lockstep_domain::images::lifecycle::apply;
use lockstep_domain::images::retention::{self, Presence};
use lockstep_domain::installation::target_roles::TargetRole;
use lockstep_domain::messages::image::{Forgotten, Retained};
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::ImageName;
use lockstep_domain::model::image_version_state::ImageVersionState;
use lockstep_domain::model::location::Location;
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{Image, ImageState, ImageVersion};
use lockstep_runtime::{images, retention as due};

/// Session name that the other account sees in CloudTrail.
const SESSION: &str = "lockstep-retention";

/// Handles `retain`: takes the step of the version that is due by the ledger now, whatever the caller found.
///
/// The response has the state that follows. It shows the caller if that is the step which it proposed.
///
/// # Errors
/// `Rejected` on the promotion path, which owns no versions.
pub async fn retain<C: ImageContext>(
    context: &C,
    image: &ImageName,
    version: &Version,
) -> Result<Retained, Failure> {
    if context.path() != DeploymentPath::Delivery {
        return Err(Failure::rejected("versions of images belong to lockstep-delivery-image"));
    }
    let (ledger, now) = (context.ledger(), context.now());
    let undone = Retained { state: None };
    // The index only lists the version, so the record itself is read. No step changes a version in another state.
    let Some(stored) = ledger.get::<ImageVersion>(&ImageVersion::key_of(image, version)).await? else {
        return Ok(undone);
    };
    if !matches!(
        stored.record.state,
        ImageVersionState::Usable | ImageVersionState::Retiring | ImageVersionState::Discarding
    ) {
        return Ok(undone);
    }
    let Some(found) = due::inventory(ledger).await? else { return Ok(undone) };
    let planned = due::due(ledger, &found, now).await?.into_iter();
    let is_it = |planned: &retention::Planned| planned.image == *image && planned.version == *version;
    let Some(planned) = planned.into_iter().find(is_it) else { return Ok(undone) };
    let is_somewhere = !images::everywhere(ledger, &found.stages, image, version).await?.is_empty();
    let Some(change) = retention::change(&planned.step, &stored.record, is_somewhere, now) else {
        return Ok(undone);
    };
    // Another writer was faster, and the step does not apply any more.
    let Ok(next) = apply(&stored.record, &change) else { return Ok(undone) };
    let state = Some(next.state);
    if next != stored.record {
        ledger.replace(&stored, next).await?;
    }
    Ok(Retained { state })
}

/// Handles `forget`: deletes the record of an image of this path, once EC2 says that the image is gone.
pub async fn forget<C: ImageContext>(
    context: &C,
    image: &ImageName,
    version: &Version,
    location: &Location,
) -> Result<Forgotten, Failure> {
    let key = Image::key_of(image, version, location, context.path());
    let Some(stored) = context.ledger().get::<Image>(&key).await? else {
        return Ok(Forgotten { why_not: None });
    };
    let closed = images::version(context.ledger(), image, version).await?;
    let presence = match &stored.record.ami {
        Some(ami) => {
            let images = context.images(TargetRole::ImageTarget, location, SESSION).await?;
            if images.describe(ami).await?.is_some() { Presence::There } else { Presence::Gone }
        }
        None if stored.record.state == ImageState::Promoting => Presence::Copied,
        None => Presence::Gone,
    };
    let why_not = retention::why_record_stays(closed.map(|found| found.record.state), presence);
    if why_not.is_none() {
        context.ledger().remove(&stored).await?;
    }
    Ok(Forgotten { why_not })
}
