//! The parameters that name images. The function of images of a path sets those of its accounts; the sweep asks it to
//! repair them.

use crate::context::SweepContext;
use crate::owners;
use lockstep_domain::images::channels::leading;
use lockstep_domain::messages::image::{Followed, Request};
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::ImageName;
use lockstep_domain::model::location::Location;
use lockstep_domain::records::SweepReport;
use lockstep_runtime::retention::Inventory;
use std::collections::BTreeSet;

/// Has the parameters of one location repaired. A location without a stage keeps its parameters.
pub async fn sweep(
    context: &impl SweepContext,
    report: &mut SweepReport,
    found: &Inventory,
    location: &Location,
) -> Result<(), Failure> {
    let Some(stage) = leading(&found.stages, location) else { return Ok(()) };
    let images: BTreeSet<ImageName> = found.versions.iter().map(|version| version.name.clone()).collect();
    let images = images.into_iter().collect();
    let request = Request::Channels { images, stage: Some(stage.name.clone()) };
    // Without a reply, the next sweep asks again.
    let followed = owners::ask::<Followed>(context, &owners::of_images(stage.path()), &request).await?;
    report.parameters.extend(followed.into_iter().flat_map(|followed| followed.parameters));
    Ok(())
}
