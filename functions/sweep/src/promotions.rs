//! Image promotions whose execution ended without closing them, because it was stopped or ran out of time. No
//! other function withdraws what they shared.

use crate::context::SweepContext;
use crate::{owners, report};
use lockstep_domain::delivery::sweep;
use lockstep_domain::messages::image::Request;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::records::{Deployment, Image, ImageShare, PromoteImageBody, SweepReport};
use std::collections::BTreeSet;

/// Examines every promotion that copies or shares an image. The index may lag behind; the function of images reads the
/// promotion again before it undoes anything.
pub async fn sweep(context: &impl SweepContext, report: &mut SweepReport) -> Result<(), Failure> {
    let images = context.ledger().every_of_kind::<Image>().await?;
    let shares = context.ledger().every_of_kind::<ImageShare>().await?;
    let copying = images.iter().filter_map(|image| sweep::promotion_of(&image.record));
    let sharing = shares.into_iter().flat_map(|share| share.record.promotions);
    for id in copying.chain(sharing).collect::<BTreeSet<_>>() {
        let outcome = sweep_promotion(context, report, &id).await;
        report::go_on(report, &format!("the promotion {id}"), outcome);
    }
    Ok(())
}

async fn sweep_promotion(
    context: &impl SweepContext,
    report: &mut SweepReport,
    id: &DeploymentId,
) -> Result<(), Failure> {
    let Some(found) = context.ledger().get::<Deployment>(&Deployment::key_of(id)).await? else {
        return Ok(());
    };
    let promotion = found.record;
    let Some(PromoteImageBody { image, .. }) = promotion.promotion() else { return Ok(()) };
    if !sweep::is_dead_promotion(&promotion, context.executions().is_running(&promotion.execution).await) {
        return Ok(());
    }
    // Without a reply, the next sweep finds the promotion closed, or asks again.
    let abandon = Request::Abandon { promotion: id.clone() };
    let owner = owners::of_images(DeploymentPath::Promotion);
    if owners::send(context, &owner, &abandon).await?.is_some() {
        let place = &promotion.location;
        report.abandoned.push(format!(
            "{image}@{} to account {}, {}: its execution had ended",
            promotion.version, place.account, place.region
        ));
    }
    Ok(())
}
