//! Copy as the target account, look at the copy, compare it, and discard one that came to nothing.

use crate::load::{Promotion, Wanted, unusable};
use crate::room;
use crate::world::World;
use jiff::Timestamp;
use lockstep_domain::images::promotion::{self, Ami, AmiState, TAG_DEPLOYMENT, places};
use lockstep_domain::messages::Task;
use lockstep_domain::messages::image::Go;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{AmiId, DeploymentId, SnapshotId};
use lockstep_domain::model::token::client_token;
use lockstep_domain::records::{Image, ImageState, Operation, OperationKind};
use lockstep_platform::ec2::{Copied, Images, NewCopy};
use lockstep_platform::kms::Keys;
use lockstep_platform::ledger::Versioned;
use lockstep_platform::ports::{Records, WaitBook};
use lockstep_runtime::deployment_log;
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
        None => match begin(world, &images, &mut promotion).await? {
            Begun::Copy(ami) => {
                let mut image = record.record.clone();
                image.ami = Some(ami.clone());
                world.records().replace(&record, image).await?;
                deployment_log::append(world.records(), id, &format!("the copy is {ami}"), world.now())
                    .await?;
                ami
            }
            Begun::NoRoom(why) => return wait_for_room(world, &promotion, task, &why).await,
        },
    };
    let key = Image::arn(world.partition(), &promotion.target().region, &ami);
    world.waits().register(&key, task).await?;
    match images.describe(&ami).await? {
        // Not visible yet is not finished either; its event, or the time-out, makes us look again.
        None | Some(Ami { state: AmiState::Pending, .. }) => Ok(()),
        Some(_) => world.waits().wake(&key).await,
    }
}

/// What became of the wish for a copy.
enum Begun {
    Copy(AmiId),
    /// AWS takes no further copy now, and says why.
    NoRoom(String),
}

/// Others copy into the account too, so that AWS has no room though we counted on it: until one of our copies ends there,
/// or the wait times out.
async fn wait_for_room<W: World>(
    world: &W,
    promotion: &Promotion,
    task: &Task,
    why: &str,
) -> Result<(), Failure> {
    let (id, target) = (promotion.id(), promotion.target());
    deployment_log::append(
        world.records(),
        id,
        &format!("AWS copies no further image into account {} now: {why}", target.account),
        world.now(),
    )
    .await?;
    room::enter(world, id, promotion.execution(), target).await?;
    match room::ask(world, id, target).await? {
        Some((key, _)) => world.waits().register(&key, task).await,
        None => Ok(()),
    }
}

/// Asks for the copy, for each attempt with one token and the same words.
async fn begin<W: World>(world: &W, images: &W::Images, promotion: &mut Promotion) -> Result<Begun, Failure> {
    let wanted = promotion.wanted()?;
    let operation = intend(world, promotion, &wanted).await?;
    let wish = NewCopy {
        source: wanted.copied_from.clone(),
        source_region: promotion.source.region.clone(),
        name: copy_name(promotion, &wanted, operation.attempt),
        token: operation.token,
        tags: promotion.tags()?,
        key: wanted.key.clone(),
    };
    wait_for_keys(world, promotion, &wanted).await?;
    room::pace_copy(world, promotion.id(), promotion.target()).await?;
    let mut patience = world.patience();
    loop {
        match images.copy(&wish).await? {
            Copied::Begun(ami) => return Ok(Begun::Copy(ami)),
            Copied::Full(why) => return Ok(Begun::NoRoom(why)),
            Copied::Refused(why) => {
                let why = format!("AWS will not copy the image: {why}");
                return Err(Failure::new(FailureKind::ImageStays, why));
            }
            Copied::NotVisible(why) => match patience.next() {
                Some(pause) => world.sleep(pause).await,
                None => return Err(not_seen(images, promotion, &why).await?),
            },
        }
    }
}

/// Returns why the image that is shared cannot be seen, as far as EC2 tells.
async fn not_seen<I: Images>(images: &I, promotion: &Promotion, why: &str) -> Result<Failure, Failure> {
    let told = format!("the image was shared, yet cannot be seen: {why}");
    if !images.sees_allowed_images_only().await? {
        return Ok(unusable(told));
    }
    let (target, source) = (promotion.target(), &promotion.source.account);
    Ok(unusable(format!(
        "{told}. Account {} allows the images of some providers only (Allowed AMIs is enabled in {}): add account {source} to \
         them with aws ec2 replace-image-criteria-in-allowed-images-settings",
        target.account, target.region
    )))
}

/// The name of the copy, unique in its account and region: that of a failed one may be taken for a while.
fn copy_name(promotion: &Promotion, wanted: &Wanted, attempt: u32) -> String {
    let (image, version) = (&promotion.image, &promotion.deployment.record.version);
    let name = format!("{image}-{version}-{}", wanted.made_by.short());
    if attempt == 1 { name } else { format!("{name}-{attempt}") }
}

/// A copy whose reader may not use the key yet ends in an error that says nothing: see first that it may.
async fn wait_for_keys<W: World>(world: &W, promotion: &Promotion, wanted: &Wanted) -> Result<(), Failure> {
    if wanted.keys.is_empty() {
        return Ok(());
    }
    let keys = world.target_keys(promotion.target(), &promotion.session()).await?;
    let mut patience = world.patience();
    for key in &wanted.keys {
        loop {
            match keys.describe(key).await {
                Ok(Some(_)) => break,
                Err(failure) if failure.kind != FailureKind::AccessDenied => return Err(failure),
                Ok(None) | Err(_) => match patience.next() {
                    Some(pause) => world.sleep(pause).await,
                    None => return Err(unusable(forbidden(promotion, key))),
                },
            }
        }
    }
    Ok(())
}

fn forbidden(promotion: &Promotion, key: &str) -> String {
    format!(
        "account {} was granted the use of the key {key}, yet may not use it: look for a policy of the organisation, or of \
         the key, that forbids it",
        promotion.target().account
    )
}

async fn intend<W: World>(
    world: &W,
    promotion: &mut Promotion,
    wanted: &Wanted,
) -> Result<Operation, Failure> {
    if let Some(begun) = promotion.deployment.record.operation() {
        return Ok(begun.clone());
    }
    let operation = attempt(wanted, 1, world.now());
    let mut record = promotion.deployment.record.clone();
    record.operations.push(operation.clone());
    promotion.deployment = world.records().replace(&promotion.deployment, record).await?;
    let (account, version) = (&promotion.target().account, &promotion.deployment.record.version);
    let text =
        format!("copying {}@{version} ({}) into account {account}", promotion.image, wanted.copied_from);
    deployment_log::append(world.records(), promotion.id(), &text, world.now()).await?;
    Ok(operation)
}

fn attempt(wanted: &Wanted, attempt: u32, now: Timestamp) -> Operation {
    Operation {
        operation: OperationKind::Copy,
        token: client_token(wanted.made_by.as_str(), "copy", attempt),
        target: wanted.copied_from.to_string(),
        attempt,
        without: Vec::new(),
        at: now,
    }
}

/// Serves `observe`. A copy that has ended, however it did, gives its slot back.
pub async fn observe<W: World>(world: &W, id: &DeploymentId) -> Result<Go, Failure> {
    let promotion = Promotion::load_running(world, id).await?;
    let record = promotion.copy(world).await?;
    let Some(ami) = record.record.ami.clone() else { return Ok(Go::Wait) };
    let images = world.target(promotion.target(), &promotion.session()).await?;
    match images.describe(&ami).await? {
        None if is_young(world, &promotion) => Ok(Go::Wait),
        None => Err(unusable(format!("the copy {ami} is gone"))),
        Some(Ami { state: AmiState::Pending, .. }) => Ok(Go::Wait),
        Some(Ami { state: AmiState::Broken(why), .. }) => failed(world, &promotion, &ami, &why).await,
        Some(Ami { state: AmiState::Other(why), .. }) => Err(unusable(format!("the copy {ami} is {why}"))),
        Some(found) => {
            keep_snapshots(world, &record, found.snapshots()).await?;
            room::leave(world, id, promotion.target()).await?;
            Ok(Go::Compare)
        }
    }
}

/// A copy failed, for the reason that EC2 gives: it is begun again, or that was the last time.
async fn failed<W: World>(world: &W, promotion: &Promotion, ami: &AmiId, why: &str) -> Result<Go, Failure> {
    let attempt = promotion.deployment.record.operation().map_or(1, |operation| operation.attempt);
    let account = &promotion.target().account;
    let key = promotion.wanted()?.key.map(|key| {
        format!("; it was to be encrypted under {key}: may {} use it?", world.target_role(account))
    });
    let told = format!("the copy {ami} in account {account} is {why}{}", key.unwrap_or_default());
    deployment_log::append(
        world.records(),
        promotion.id(),
        &format!("attempt {attempt}: {told}"),
        world.now(),
    )
    .await?;
    match places::next_attempt(attempt) {
        Some(_) => Ok(Go::Again),
        None => Err(unusable(format!("{told} (after {attempt} attempts)"))),
    }
}

/// Serves `retry`: removes the copy that failed, and writes the next attempt down in the same transaction that forgets it.
pub async fn retry<W: World>(world: &W, id: &DeploymentId) -> Result<(), Failure> {
    let promotion = Promotion::load_running(world, id).await?;
    let record = promotion.copy(world).await?;
    // Without an id, the step is repeated: the next attempt is on record.
    if record.record.ami.is_none() {
        return Ok(());
    }
    let wanted = promotion.wanted()?;
    let images = world.target(promotion.target(), &promotion.session()).await?;
    remove(world, &images, &promotion, &record.record).await?;
    let mut deployment = promotion.deployment.record.clone();
    let last = deployment.operation().map_or(1, |operation| operation.attempt);
    deployment.operations.push(attempt(&wanted, last + 1, world.now()));
    let forgotten = Image { ami: None, snapshots: BTreeSet::new(), ..record.record.clone() };
    world.records().replace_both((&promotion.deployment, &deployment), (&record, &forgotten)).await?;
    deployment_log::append(world.records(), id, &format!("copying again: attempt {}", last + 1), world.now())
        .await
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

/// The copy that was seen available. An answer that is a moment old shows it pending, or not at all: no reason to give it
/// up.
pub async fn look_again(images: &impl Images, ami: &AmiId) -> Result<Ami, Failure> {
    match images.describe(ami).await? {
        None | Some(Ami { state: AmiState::Pending, .. }) => Err(Failure::new(
            FailureKind::Transient,
            format!("{ami} was seen available, and is not shown so at this moment"),
        )),
        Some(found) => Ok(found),
    }
}

/// Serves `compare`.
pub async fn compare<W: World>(world: &W, id: &DeploymentId) -> Result<(), Failure> {
    let promotion = Promotion::load_running(world, id).await?;
    let record = promotion.copy(world).await?;
    let ami = record.record.ami.clone().ok_or_else(|| Failure::bug("there is no copy to compare"))?;
    let session = promotion.session();
    let copied_from = promotion.wanted()?.copied_from;
    let source = world.source(&promotion.source, &session).await?.describe(&copied_from).await?;
    let copy = look_again(&world.target(promotion.target(), &session).await?, &ami).await?;
    let source = source.ok_or_else(|| {
        unusable(format!("the copy {ami} cannot be compared with {copied_from}, which is gone"))
    })?;
    // A copy that an earlier promotion began carries that one's id.
    let mut tags = promotion.tags()?;
    tags.retain(|(key, _)| key != TAG_DEPLOYMENT);
    let differences = promotion::compare(&source, &copy, &promotion.target().account, &tags);
    if differences.is_empty() {
        return deployment_log::append(world.records(), id, "the copy equals its source", world.now()).await;
    }
    Err(unusable(format!("the copy {ami} is not what {copied_from} is: {}", differences.join("; "))))
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
    remove(world, &images, &promotion, &record.record).await?;
    world.records().remove(&record).await
}

/// Removes what was copied, by its record and by its tags, with its snapshots.
async fn remove<W: World>(
    world: &W,
    images: &W::Images,
    promotion: &Promotion,
    record: &Image,
) -> Result<(), Failure> {
    if !promotion.has_a_plan() {
        return Ok(());
    }
    let made_by = promotion.wanted()?.made_by;
    let copies = copies(images, record, &made_by).await?;
    let mut snapshots = record.snapshots.clone();
    snapshots.extend(copies.iter().flat_map(Ami::snapshots));
    snapshots.extend(images.snapshots_of(&made_by).await?);
    for copy in &copies {
        deployment_log::append(
            world.records(),
            promotion.id(),
            &format!("discarding the copy {}", copy.id),
            world.now(),
        )
        .await?;
        images.deregister(&copy.id).await?;
    }
    for snapshot in &snapshots {
        images.delete_snapshot(snapshot).await?;
    }
    Ok(())
}

/// What was copied: by its record, and by its tags where the answer was lost.
async fn copies(images: &impl Images, record: &Image, made_by: &DeploymentId) -> Result<Vec<Ami>, Failure> {
    let made_by = made_by.to_string();
    let mut copies = images.owned(&record.name, &record.version).await?;
    copies
        .retain(|ami| record.ami.as_ref() == Some(&ami.id) || ami.tags.get(TAG_DEPLOYMENT) == Some(&made_by));
    if let Some(ami) = &record.ami
        && !copies.iter().any(|copy| copy.id == *ami)
    {
        copies.extend(images.describe(ami).await?);
    }
    Ok(copies)
}
