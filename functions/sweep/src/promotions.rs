//! Image promotions whose execution ended without closing them, because it was stopped or ran out of time. No
//! other function withdraws what they shared.

use crate::context::SweepContext;
use crate::report;
use lockstep_aws::functions::Called;
use lockstep_domain::delivery::sweep;
use lockstep_domain::messages::image::Request;
use lockstep_domain::model::caught_error::CaughtError;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::records::{Deployment, Image, PromoteImageBody, Record as _, SweepReport};
use serde_json::json;
use std::time::Duration;

/// The function that runs every promotion of an image.
const FUNCTION: &str = "lockstep-promotion-image";

/// Timeout of a call of that function: a little longer than the function's own.
const PATIENCE: Duration = Duration::from_secs(110);

/// The most images that are read.
const IMAGES: usize = 10_000;

/// Examines every promotion that copies or shares an image. The index only lists the images, so each is read
/// again.
pub async fn sweep(context: &impl SweepContext, report: &mut SweepReport) -> Result<(), Failure> {
    let listed = context.ledger().list_kind::<Image>(IMAGES).await?;
    for listed in listed.iter().filter(|listed| !sweep::promotions(&listed.record).is_empty()) {
        let Some(image) = context.ledger().get::<Image>(&listed.record.key()).await? else { continue };
        for id in sweep::promotions(&image.record) {
            let outcome = sweep_promotion(context, report, &id).await;
            report::go_on(report, &format!("the promotion {id}"), outcome);
        }
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
    let request = json!(Request::Abandon { promotion: id.clone() });
    match context.call(FUNCTION, &request, PATIENCE).await? {
        Called::Answered { error: None, .. } => {
            let place = &promotion.location;
            report.abandoned.push(format!(
                "{image}@{} to account {}, {}: its execution had ended",
                promotion.version, place.account, place.region
            ));
            Ok(())
        }
        Called::Answered { error: Some(error), payload, .. } => {
            let caught = CaughtError { error, cause: String::from_utf8_lossy(&payload).into_owned() };
            Err(Failure::rejected(format!("{FUNCTION} cannot abandon it: {}", caught.sentence())))
        }
        // The next sweep finds the promotion closed, or asks again.
        Called::Silent => Ok(()),
        Called::Absent => Err(Failure::not_found(format!("there is no function {FUNCTION}"))),
    }
}
