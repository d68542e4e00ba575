//! Copy as the target account, look at the copy, compare it, and discard one that came to nothing.

use crate::journal::note;
use crate::load::{Promotion, unusable};
use crate::world::World;
use lockstep_domain::error::Failure;
use lockstep_domain::ids::{AmiId, DeploymentId, SnapshotId};
use lockstep_domain::payloads::Task;
use lockstep_domain::payloads::image::Go;
use lockstep_domain::promotion::{self, Ami, AmiState, KEY_ALIAS, TAG_DEPLOYMENT};
use lockstep_domain::records::{Image, ImageState, Operation, OperationKind};
use lockstep_domain::token::client_token;
use lockstep_platform::ec2::{Copied, Images, NewCopy};
use lockstep_platform::ledger::Versioned;
use lockstep_platform::ports::{Records, WaitBook};
use std::collections::BTreeSet;

/// How long a new copy may be invisible before we call it gone, in seconds.
const GRACE_SECONDS: i64 = 900;

/// Serves `copy`: begins it, or finds it begun. Undone by [`discard`].
pub async fn copy<W: World>(world: &W, id: &DeploymentId, task: &Task) -> Result<(), Failure> {
    let mut promotion = Promotion::load_running(world, id).await?;
    let record = promotion.copy(world).await?;
    let images = world.target(promotion.target(), &promotion.session()).await?;
    let ami = match &record.record.ami {
        Some(ami) => ami.clone(),
        None => {
            let ami = begin(world, &images, &mut promotion).await?;
            let mut image = record.record.clone();
            image.ami = Some(ami.clone());
            world.records().replace(&record, image).await?;
            note(world, id, &format!("the copy is {ami}")).await?;
            ami
        }
    };
    let key = Image::arn(world.partition(), &promotion.target().region, &ami);
    world.waits().register(&key, task).await?;
    match images.describe(&ami).await? {
        // Not visible yet is not finished either; its event, or the time-out, makes us look again.
        None | Some(Ami { state: AmiState::Pending, .. }) => Ok(()),
        Some(_) => world.waits().wake(&key).await,
    }
}

/// Asks for the copy, always with the same token and the same words.
async fn begin<W: World>(world: &W, images: &W::Images, promotion: &mut Promotion) -> Result<AmiId, Failure> {
    let wanted = promotion.wanted()?;
    let operation = intend(world, promotion, &wanted.source_ami).await?;
    let wish = NewCopy {
        source: wanted.source_ami.clone(),
        source_region: promotion.source.region.clone(),
        name: format!(
            "{}-{}-{}",
            promotion.image,
            promotion.deployment.record.version,
            promotion.id().short()
        ),
        token: operation.token,
        tags: promotion.tags()?,
        key: wanted.encrypt.then(|| KEY_ALIAS.to_owned()),
    };
    let mut patience = world.patience();
    loop {
        match images.copy(&wish).await? {
            Copied::Begun(ami) => return Ok(ami),
            Copied::Refused(why) => return Err(unusable(format!("AWS will not copy the image: {why}"))),
            Copied::NotVisible(why) => match patience.next() {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(unusable(format!("the image was shared, yet cannot be seen: {why}"))),
            },
        }
    }
}

async fn intend<W: World>(
    world: &W,
    promotion: &mut Promotion,
    source: &AmiId,
) -> Result<Operation, Failure> {
    if let Some(begun) = promotion.deployment.record.operation() {
        return Ok(begun.clone());
    }
    let operation = Operation {
        operation: OperationKind::Copy,
        token: client_token(promotion.id().as_str(), "copy", 1),
        target: source.to_string(),
        attempt: 1,
        without: Vec::new(),
        at: world.now(),
    };
    let mut record = promotion.deployment.record.clone();
    record.operations.push(operation.clone());
    promotion.deployment = world.records().replace(&promotion.deployment, record).await?;
    let (account, version) = (&promotion.target().account, &promotion.deployment.record.version);
    let text = format!("copying {}@{version} ({source}) into account {account}", promotion.image);
    note(world, promotion.id(), &text).await?;
    Ok(operation)
}

/// Serves `observe`.
pub async fn observe<W: World>(world: &W, id: &DeploymentId) -> Result<Go, Failure> {
    let promotion = Promotion::load_running(world, id).await?;
    let record = promotion.copy(world).await?;
    let Some(ami) = record.record.ami.clone() else { return Ok(Go::Wait) };
    let images = world.target(promotion.target(), &promotion.session()).await?;
    match images.describe(&ami).await? {
        None if is_young(world, &promotion) => Ok(Go::Wait),
        None => Err(unusable(format!("the copy {ami} is gone"))),
        Some(Ami { state: AmiState::Pending, .. }) => Ok(Go::Wait),
        Some(Ami { state: AmiState::Broken(why) | AmiState::Other(why), .. }) => {
            note(world, id, &format!("the copy {ami} is {why}")).await?;
            Err(unusable(format!("the copy {ami} in account {} is {why}", promotion.target().account)))
        }
        Some(found) => {
            keep_snapshots(world, &record, found.snapshots()).await?;
            Ok(Go::Compare)
        }
    }
}

fn is_young<W: World>(world: &W, promotion: &Promotion) -> bool {
    let since = promotion.deployment.record.operation().map(|operation| operation.at);
    since.is_some_and(|since| world.now().as_second() - since.as_second() < GRACE_SECONDS)
}

async fn keep_snapshots<W: World>(
    world: &W,
    record: &Versioned<Image>,
    found: BTreeSet<SnapshotId>,
) -> Result<BTreeSet<SnapshotId>, Failure> {
    let mut image = record.record.clone();
    image.snapshots.extend(found);
    let all = image.snapshots.clone();
    if image != record.record {
        world.records().replace(record, image).await?;
    }
    Ok(all)
}

/// Serves `compare`.
pub async fn compare<W: World>(world: &W, id: &DeploymentId) -> Result<(), Failure> {
    let promotion = Promotion::load_running(world, id).await?;
    let record = promotion.copy(world).await?;
    let ami = record.record.ami.clone().ok_or_else(|| Failure::bug("there is no copy to compare"))?;
    let session = promotion.session();
    let source_ami = promotion.wanted()?.source_ami;
    let source = world.source(&promotion.source, &session).await?.describe(&source_ami).await?;
    let copy = world.target(promotion.target(), &session).await?.describe(&ami).await?;
    let (Some(source), Some(copy)) = (source, copy) else {
        return Err(unusable(format!(
            "the copy {ami} cannot be compared with {source_ami}: one of them is gone"
        )));
    };
    // A copy that an earlier promotion began carries that one's id.
    let mut tags = promotion.tags()?;
    tags.retain(|(key, _)| key != TAG_DEPLOYMENT);
    let differences = promotion::compare(&source, &copy, &promotion.target().account, &tags);
    if differences.is_empty() {
        return note(world, id, "the copy equals its source").await;
    }
    Err(unusable(format!("the copy {ami} is not what {source_ami} is: {}", differences.join("; "))))
}

/// Serves `discard`: removes a copy that is not recorded as usable, with its snapshots. There may be none.
pub async fn discard<W: World>(world: &W, id: &DeploymentId) -> Result<(), Failure> {
    let promotion = Promotion::load(world, id).await?;
    let record = promotion.image_at(world, promotion.target()).await?;
    let ours = |record: &Image| {
        record.state == ImageState::Promoting && record.recorded_by == promotion.deployment.record.execution
    };
    let Some(record) = record.filter(|record| ours(&record.record)) else { return Ok(()) };
    let images = world.target(promotion.target(), &promotion.session()).await?;
    let copies = copies(&images, &promotion, &record.record).await?;
    let mut snapshots = record.record.snapshots.clone();
    snapshots.extend(copies.iter().flat_map(Ami::snapshots));
    snapshots.extend(images.snapshots_of(id).await?);
    for copy in &copies {
        note(world, id, &format!("discarding the copy {}", copy.id)).await?;
        images.deregister(&copy.id).await?;
    }
    for snapshot in &snapshots {
        images.delete_snapshot(snapshot).await?;
    }
    world.records().remove(&record).await
}

/// What this promotion copied: by its record, and by its tags where the answer was lost.
async fn copies(images: &impl Images, promotion: &Promotion, record: &Image) -> Result<Vec<Ami>, Failure> {
    let id = promotion.id().to_string();
    let mut copies = images.owned(&record.name, &record.version).await?;
    copies.retain(|ami| record.ami.as_ref() == Some(&ami.id) || ami.tags.get(TAG_DEPLOYMENT) == Some(&id));
    if let Some(ami) = &record.ami
        && !copies.iter().any(|copy| copy.id == *ami)
    {
        copies.extend(images.describe(ami).await?);
    }
    Ok(copies)
}
