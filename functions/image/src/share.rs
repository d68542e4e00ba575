//! Share the image and each of its snapshots with the target account, and take that back.

use crate::journal::note;
use crate::load::{Promotion, unusable};
use crate::world::World;
use lockstep_domain::error::{Failure, FailureKind};
use lockstep_domain::ids::{DeploymentId, SnapshotId};
use lockstep_domain::promotion::encrypted_for_its_account_only;
use lockstep_domain::records::Image;
use lockstep_platform::ec2::Images;
use lockstep_platform::ledger::Versioned;
use lockstep_platform::ports::Records;

/// Serves `share`. Undone by [`unshare`], whatever happens next.
pub async fn share<W: World>(world: &W, id: &DeploymentId) -> Result<(), Failure> {
    let promotion = Promotion::load_running(world, id).await?;
    if !promotion.leaves_its_account() {
        return Ok(());
    }
    let wanted = promotion.wanted()?;
    let account = &promotion.target().account;
    let source = source_record(world, &promotion).await?;
    if !source.record.shared_with.contains(account) {
        let mut record = source.record.clone();
        record.shared_with.insert(account.clone());
        world.records().replace(&source, record).await?;
    }
    note(world, id, &format!("sharing {} with account {account}", wanted.source_ami)).await?;
    let images = world.source(&promotion.source, &promotion.session()).await?;
    // Snapshots first: an image that is visible without its storage is the classic failure.
    for snapshot in &wanted.snapshots {
        let shared = images.share_snapshot(snapshot, account).await;
        shared.map_err(|failure| explain(failure, snapshot))?;
    }
    images.share(&wanted.source_ami, account).await
}

/// EC2 refuses to share a snapshot for one reason that we could not see before.
fn explain(failure: Failure, snapshot: &SnapshotId) -> Failure {
    match failure.kind {
        FailureKind::Rejected => unusable(format!(
            "the image cannot be shared: {} ({})",
            encrypted_for_its_account_only(snapshot),
            failure.message
        )),
        _ => failure,
    }
}

/// Serves `unshare`: also of what was never shared, and of a promotion that is over.
pub async fn unshare<W: World>(world: &W, id: &DeploymentId) -> Result<(), Failure> {
    let promotion = Promotion::load(world, id).await?;
    if !promotion.leaves_its_account() {
        return Ok(());
    }
    let wanted = promotion.wanted()?;
    let account = &promotion.target().account;
    let images = world.source(&promotion.source, &promotion.session()).await?;
    images.unshare(&wanted.source_ami, account).await?;
    for snapshot in &wanted.snapshots {
        images.unshare_snapshot(snapshot, account).await?;
    }
    let source = source_record(world, &promotion).await?;
    if source.record.shared_with.contains(account) {
        let mut record = source.record.clone();
        record.shared_with.remove(account);
        world.records().replace(&source, record).await?;
        note(world, id, &format!("{} is no longer shared with account {account}", wanted.source_ami)).await?;
    }
    Ok(())
}

async fn source_record<W: World>(world: &W, promotion: &Promotion) -> Result<Versioned<Image>, Failure> {
    let found = promotion.image_at(world, &promotion.source).await?;
    found.ok_or_else(|| {
        Failure::not_found(format!("the source of {} is not recorded any more", promotion.image))
    })
}
