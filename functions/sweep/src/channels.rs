//! The parameters that name images. The function of images of a path sets those of its accounts; the sweep asks it to
//! repair them.

use crate::context::SweepContext;
use crate::images::Inventory;
use crate::promotions::asked;
use lockstep_domain::images::channels::leading;
use lockstep_domain::messages::image::{Followed, Request};
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::ImageName;
use lockstep_domain::model::location::Location;
use lockstep_domain::records::SweepReport;
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
    // Without an answer, the next sweep asks again.
    let Some(payload) = asked(context, stage.path(), &request).await? else { return Ok(()) };
    let followed: Followed = serde_json::from_slice(&payload)
        .map_err(|error| Failure::bug("the function of images sent an unknown response").caused_by(&error))?;
    report.parameters.extend(followed.parameters);
    Ok(())
}
