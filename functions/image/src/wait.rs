//! Wait before anything is shared: for room in the target, or for a source that is not finished.

use crate::load::{Promotion, unusable};
use crate::room;
use crate::world::World;
use lockstep_domain::images::promotion::{Ami, AmiState};
use lockstep_domain::messages::Task;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::records::Image;
use lockstep_platform::ec2::Images;
use lockstep_platform::ports::WaitBook;

/// Serves `wait`: registers what the state waits for, or finds that it need not.
pub async fn wait<W: World>(world: &W, id: &DeploymentId, task: &Task) -> Result<(), Failure> {
    let promotion = Promotion::load_running(world, id).await?;
    match room::ask(world, id, promotion.target()).await? {
        Some((key, has_slot)) => {
            world.waits().register(&key, task).await?;
            // Whoever left may have woken nobody, since nobody waited yet.
            if has_slot { world.waits().wake(&key).await } else { Ok(()) }
        }
        // Who asked for no room waits for its source.
        None => wait_for_source(world, &promotion, task).await,
    }
}

async fn wait_for_source<W: World>(world: &W, promotion: &Promotion, task: &Task) -> Result<(), Failure> {
    let record = promotion.image_at(world, &promotion.source).await?;
    let ami = record.and_then(|record| record.record.ami);
    let ami = ami.ok_or_else(|| unusable(format!("the source of {} has no id", promotion.image)))?;
    let key = Image::arn(world.partition(), &promotion.source.region, &ami);
    world.waits().register(&key, task).await?;
    let images = world.source(&promotion.source, &promotion.session()).await?;
    match images.describe(&ami).await? {
        Some(Ami { state: AmiState::Pending, .. }) => Ok(()),
        _ => world.waits().wake(&key).await,
    }
}
