//! Inspect: look at the image and at what the target has, and begin the promotion.

use crate::journal::note;
use crate::load::{self, Wanted, unusable};
use crate::world::World;
use lockstep_domain::error::{Failure, FailureKind};
use lockstep_domain::ids::{AmiId, DeploymentId};
use lockstep_domain::images::{Purpose, obstacle};
use lockstep_domain::payloads::image::{Go, Inspected};
use lockstep_domain::payloads::inputs::PromoteImage;
use lockstep_domain::promotion::{self, Ami, Found, Inspect, Snapshot, TAG_BUILT_AT, TAG_REPOSITORY};
use lockstep_domain::records::{Deployment, DeploymentKind, DeploymentState, Image, ImageState, Location};
use lockstep_domain::stages::Stage;
use lockstep_platform::ec2::Images;
use lockstep_platform::ledger::{Inserted, Versioned};
use lockstep_platform::ports::Records;
use std::collections::BTreeSet;

/// Serves `inspect`.
pub async fn inspect<W: World>(
    world: &W,
    execution: &str,
    input: &PromoteImage,
) -> Result<Inspected, Failure> {
    let id = DeploymentId::of_execution(execution);
    let version = load::version(world, &input.image, &input.version).await?;
    if let Some(why) = obstacle(&version, Purpose::Promote) {
        return Err(unusable(format!(
            "The image {}@{} goes nowhere: it is {why}.",
            input.image, input.version
        )));
    }
    let stage = load::stage(world, &input.to).await?;
    let target = load::location(&stage);
    let known = load::everywhere(world, &input.image, &input.version).await?;
    let source = source_of(&known, input)?;
    let target_record = known.iter().find(|image| image.record.location == target);
    refuse_if_another_brings_it(world, target_record, execution).await?;

    let seen = look(world, &id, source, &target, target_record).await?;
    let decision = promotion::inspect(&Found {
        record: source,
        source: seen.source.as_ref(),
        snapshots: &seen.snapshots,
        target: &target.account,
        target_record: target_record.map(|image| &image.record),
        owned: &seen.owned,
    });
    let (go, begun) = match decision {
        Inspect::Refuse(why) => return Err(unusable(why)),
        Inspect::Present { .. } => (Go::Present, None),
        Inspect::Resume { ami } => (Go::Copy, Some((encrypted(&seen), ami))),
        Inspect::Copy { encrypt } => (Go::Copy, Some((encrypt, None))),
    };
    let encrypt = begun.as_ref().is_some_and(|(encrypt, _)| *encrypt);
    let wanted = wanted(source, seen.source.as_ref(), encrypt);
    begin(world, &id, execution, input, &stage, source, &wanted).await?;
    if let Some((_, ami)) = begun {
        claim(world, execution, source, &target, target_record, ami).await?;
        note(
            world,
            &id,
            &format!("bringing {}@{} to account {}", input.image, input.version, target.account),
        )
        .await?;
    }
    Ok(Inspected { promotion: id, next: go })
}

fn encrypted(seen: &Seen) -> bool {
    seen.source.as_ref().is_some_and(|source| source.devices.iter().any(|device| device.encrypted))
}

/// The record of the image that all copies descend from.
fn source_of<'a>(known: &'a [Versioned<Image>], input: &PromoteImage) -> Result<&'a Image, Failure> {
    let source = known
        .iter()
        .map(|image| &image.record)
        .find(|image| image.state == ImageState::Available && image.ami.as_ref() == Some(&image.source_ami));
    source.ok_or_else(|| load::unknown(&input.image, &input.version))
}

/// Two promotions of the same version to the same place would make two copies. One that died is taken over.
async fn refuse_if_another_brings_it<W: World>(
    world: &W,
    target_record: Option<&Versioned<Image>>,
    execution: &str,
) -> Result<(), Failure> {
    let Some(other) = target_record.map(|image| &image.record) else { return Ok(()) };
    if other.state != ImageState::Promoting || other.recorded_by == execution {
        return Ok(());
    }
    let key = Deployment::key_of(&DeploymentId::of_execution(&other.recorded_by));
    let Some(dead) = world.records().get::<Deployment>(&key).await? else { return Ok(()) };
    if dead.record.state.is_final() {
        return Ok(());
    }
    // Only a known end frees what another holds.
    if world.is_running(&other.recorded_by).await != Some(false) {
        return Err(Failure::new(
            FailureKind::EnvironmentBusy,
            format!(
                "{} brings {}@{} there already; try again when it is done",
                other.recorded_by, other.name, other.version
            ),
        ));
    }
    let closed = Deployment {
        state: DeploymentState::Abandoned,
        finished_at: Some(world.now()),
        ..dead.record.clone()
    };
    world.records().replace(&dead, closed).await.map(drop)
}

struct Seen {
    source: Option<Ami>,
    snapshots: Vec<Snapshot>,
    owned: Vec<Ami>,
}

async fn look<W: World>(
    world: &W,
    id: &DeploymentId,
    record: &Image,
    target: &Location,
    target_record: Option<&Versioned<Image>>,
) -> Result<Seen, Failure> {
    let session = load::session(id);
    let there = world.target(target, &session).await?;
    let mut owned = there.owned(&record.name, &record.version).await?;
    // What the record names is looked at by its id too: an index may not have it yet, or its tags may be gone.
    if let Some(ami) = target_record.and_then(|image| image.record.ami.as_ref())
        && !owned.iter().any(|found| found.id == *ami)
    {
        owned.extend(there.describe(ami).await?);
    }
    let here = world.source(&record.location, &session).await?;
    let source = here.describe(&record.source_ami).await?;
    let ids = source.as_ref().map(Ami::snapshots).unwrap_or_default();
    let snapshots = here.snapshots(&ids).await?;
    Ok(Seen { source, snapshots, owned })
}

fn wanted(record: &Image, source: Option<&Ami>, encrypt: bool) -> Wanted {
    let tag = |key: &str| source.and_then(|ami| ami.tags.get(key).cloned());
    Wanted {
        source_ami: record.source_ami.clone(),
        snapshots: source.map(Ami::snapshots).unwrap_or_default(),
        commit: record.commit.clone(),
        repository: tag(TAG_REPOSITORY),
        built_at: tag(TAG_BUILT_AT),
        encrypt,
    }
}

/// Writes the promotion down; the first try's stays.
async fn begin<W: World>(
    world: &W,
    id: &DeploymentId,
    execution: &str,
    input: &PromoteImage,
    stage: &Stage,
    source: &Image,
    wanted: &Wanted,
) -> Result<(), Failure> {
    let deployment = Deployment {
        parameters: wanted.write(),
        ..Deployment::new(
            id.clone(),
            DeploymentKind::PromoteImage { image: input.image.clone(), source: source.location.clone() },
            execution,
            input.version.clone(),
            stage.name.clone(),
            load::location(stage),
            stage.path(),
            world.now(),
        )
    };
    world.records().insert(&deployment).await.map(drop)
}

/// Writes down that this execution makes the copy: the record is what keeps a second one from being made.
async fn claim<W: World>(
    world: &W,
    execution: &str,
    source: &Image,
    target: &Location,
    target_record: Option<&Versioned<Image>>,
    ami: Option<AmiId>,
) -> Result<(), Failure> {
    let copy = Image {
        location: target.clone(),
        state: ImageState::Promoting,
        ami,
        snapshots: BTreeSet::new(),
        shared_with: BTreeSet::new(),
        recorded_by: execution.to_owned(),
        recorded_at: world.now(),
        ..source.clone()
    };
    match target_record {
        Some(old) if old.record.recorded_by == execution => Ok(()),
        Some(old) => world.records().replace(old, copy).await.map(drop),
        None => match world.records().insert(&copy).await? {
            Inserted::New(_) => Ok(()),
            Inserted::Exists(other) if other.record.recorded_by == execution => Ok(()),
            Inserted::Exists(_) => {
                Err(Failure::new(FailureKind::Conflict, "another promotion of this image began just now"))
            }
        },
    }
}
