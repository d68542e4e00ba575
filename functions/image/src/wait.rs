//! Waits before anything is shared: for a copy slot in the target, or for a pending source.

use crate::context::ImageContext;
use crate::load::{self, Promotion, unusable};
use crate::room;
use lockstep_aws::ec2::Images;
use lockstep_domain::images::promotion::{Ami, AmiState};
use lockstep_domain::installation::target_roles::TargetRole;
use lockstep_domain::messages::Task;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::records::Image;

/// Handles `wait`: registers the callback of the state, and completes it at once if there is nothing to wait for.
pub async fn wait<C: ImageContext>(context: &C, id: &DeploymentId, task: &Task) -> Result<(), Failure> {
    let promotion = Promotion::load_running(context, id).await?;
    match room::ask(context, id, promotion.target()).await? {
        Some((key, has_slot)) => {
            context.callbacks().register(&key, task).await?;
            // The release of the slot may have come before this callback existed.
            if has_slot { context.callbacks().wake(&key).await } else { Ok(()) }
        }
        // A promotion without a slot request waits for its source.
        None => wait_for_source(context, &promotion, task).await,
    }
}

async fn wait_for_source<C: ImageContext>(
    context: &C,
    promotion: &Promotion,
    task: &Task,
) -> Result<(), Failure> {
    let known = load::everywhere(context, &promotion.image, &promotion.deployment.record.version).await?;
    let source = known.into_iter().find(|image| image.record.is_at(&promotion.source));
    let ami = source.and_then(|image| image.record.ami);
    let ami = ami.ok_or_else(|| unusable(format!("the source of {} has no id", promotion.image)))?;
    let key = Image::arn(context.partition(), &promotion.source.region, &ami);
    context.callbacks().register(&key, task).await?;
    let images = context.images(TargetRole::ImageSource, &promotion.source, &promotion.session()).await?;
    match images.describe(&ami).await? {
        Some(Ami { state: AmiState::Pending, .. }) => Ok(()),
        _ => context.callbacks().wake(&key).await,
    }
}
