//! Removes what failed: the images of one build, and a version that cannot reach each required account.

use crate::build::{looked_at, under_way};
use crate::context::BakeContext;
use crate::load::{self, Building};
use crate::version::build_id;
use lockstep_aws::ec2::Images;
use lockstep_aws::ec2::references::References;
use lockstep_domain::delivery::stages::Stages;
use lockstep_domain::images::bake::{BuildObservation, proven_in, to_discard};
use lockstep_domain::images::lifecycle::{Transition, apply};
use lockstep_domain::images::promotion::{Ami, TAG_DEPLOYMENT};
use lockstep_domain::installation::target_roles::TargetRole;
use lockstep_domain::messages::bake::{DiscardTargets, VersionFailed};
use lockstep_domain::messages::ledger::Failed;
use lockstep_domain::model::caught_error::CaughtError;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{DeploymentId, ImageName, SnapshotId, StageName};
use lockstep_domain::model::image_version_state::ImageVersionState;
use lockstep_domain::model::location::Location;
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{Deployment, DeploymentState, Environment, FailureRecord, Image};
use lockstep_runtime::{deployment_end, deployment_log, stages};
use std::collections::BTreeSet;

/// Handles `fail_build`: removes the images of the build and closes it as failed. An interrupted attempt may have made
/// an image that no record names.
pub async fn fail_build<C: BakeContext>(
    context: &C,
    id: &DeploymentId,
    error: &CaughtError,
) -> Result<Failed, Failure> {
    let mut building = Building::load(context, id).await?;
    let failure = FailureRecord {
        error: error.error.clone(),
        message: format!(
            "{}@{} was not built for {}: {}",
            building.body.image,
            building.version(),
            building.deployment.record.stage,
            error.sentence()
        ),
    };
    if !building.deployment.record.state.is_final() {
        let key = Image::key_of(&building.body.image, building.version(), building.location(), id.path());
        let recorded = context.ledger().get::<Image>(&key).await?.and_then(|image| image.record.ami);
        let images = context.images(TargetRole::ImageBuilder, building.location(), &id.session()).await?;
        let mut debris = made(context, &building, &images).await?;
        debris.retain(|ami| recorded.as_ref() != Some(&ami.id));
        let deleted = remove(&images, &debris).await?;
        // Snapshots of an image that was never registered.
        if recorded.is_none() {
            for snapshot in images.snapshots_of(id).await?.difference(&deleted) {
                images.delete_snapshot(snapshot).await?;
            }
        }
        deployment_log::append(context.ledger(), id, &failure.message, context.now()).await?;
        let (now, record) = (context.now(), failure.clone());
        let is_refused = failure.error == FailureKind::ApprovalRefused.error_type();
        building
            .write(context, |deployment: &mut Deployment| {
                deployment.state =
                    if is_refused { DeploymentState::Refused } else { DeploymentState::Failed };
                deployment.failure = Some(record);
                deployment.finished_at = Some(now);
            })
            .await?;
        deployment_end::report(&building.deployment.record, now);
    }
    Ok(Failed { error: failure.error, cause: failure.message })
}

/// Returns the images that a build made, by their tags and by the output of the build. EC2 may not show the tags yet.
async fn made<C: BakeContext>(
    context: &C,
    building: &Building,
    images: &C::Images,
) -> Result<Vec<Ami>, Failure> {
    let id = building.id().to_string();
    let mut made = images.owned(&building.body.image, building.version()).await?;
    made.retain(|ami| ami.tags.get(TAG_DEPLOYMENT) == Some(&id));
    if let Some((arn, attempt)) = under_way(building)
        && let BuildObservation::Made(ami) = looked_at(context, building, &arn, attempt).await?
        && !made.iter().any(|found| found.id == ami)
    {
        made.extend(images.describe(&ami).await?);
    }
    Ok(made)
}

/// Deletes the images before their snapshots: EC2 deletes no snapshot of a registered image. Returns the snapshots.
async fn remove<I: Images>(images: &I, all: &[Ami]) -> Result<BTreeSet<SnapshotId>, Failure> {
    for ami in all {
        images.deregister(&ami.id).await?;
    }
    let snapshots: BTreeSet<SnapshotId> = all.iter().flat_map(Ami::snapshots).collect();
    for snapshot in &snapshots {
        images.delete_snapshot(snapshot).await?;
    }
    Ok(snapshots)
}

/// Handles `fail_version`: withholds the version from every later use, and returns the stages that must discard it.
pub async fn fail_version<C: BakeContext>(
    context: &C,
    image: &ImageName,
    version: &Version,
    error: &CaughtError,
) -> Result<VersionFailed, Failure> {
    let found = load::version(context, image, version).await?;
    let given_up = apply(&found.record, &Transition::Fail { why: error.sentence() })?;
    if given_up != found.record {
        context.ledger().replace(&found, given_up.clone()).await?;
    }
    let stages = stages::stages(context.ledger()).await?;
    let records: Vec<Image> =
        load::everywhere(context, image, version).await?.into_iter().map(|i| i.record).collect();
    let places = to_discard(&given_up, &records, &stages).into_iter();
    Ok(VersionFailed {
        places: places
            .map(|(_, stage)| DiscardTargets { stage: stage.name.clone(), path: stage.path() })
            .collect(),
    })
}

/// Handles `discard_version`: deletes the image and its snapshots in one account and region.
///
/// Returns `EnvironmentBusy` while a resource refers to the image. The version was never usable, so no image lock names
/// it, and only a resource outside Lockstep can refer to it.
pub async fn discard<C: BakeContext>(
    context: &C,
    image: &ImageName,
    version: &Version,
    stage: &StageName,
) -> Result<(), Failure> {
    let given_up = load::version(context, image, version).await?.record;
    if given_up.state != ImageVersionState::Discarding {
        return match given_up.state {
            ImageVersionState::Discarded => Ok(()),
            other => Err(Failure::bug(format!("{image}@{version} is {other} and is not discarded"))),
        };
    }
    let stages = stages::stages(context.ledger()).await?;
    let stage = stages.named(stage)?;
    let location = stage.location();
    ensure_unproven(context, &stages, &location, (image, version)).await?;
    let session = build_id(image, version, &location, stage.path()).session();
    let key = Image::key_of(image, version, &location, stage.path());
    let record = context.ledger().get::<Image>(&key).await?;
    let images = context.images(TargetRole::ImageBuilder, &location, &session).await?;
    let mut there = images.owned(image, version).await?;
    if let Some(ami) = record.as_ref().and_then(|record| record.record.ami.as_ref())
        && !there.iter().any(|found| found.id == *ami)
    {
        there.extend(images.describe(ami).await?);
    }
    let ids = there.iter().map(|ami| ami.id.clone()).collect();
    let used = images.references(&ids).await?;
    if let Some((ami, by)) = used.iter().next() {
        let message =
            format!("{ami} of {image}@{version} is still used by {}; stop that first", by.join(", "));
        return Err(Failure::new(FailureKind::EnvironmentBusy, message));
    }
    let deleted = remove(&images, &there).await?;
    // Also the snapshots whose image was deregistered before a crash. A snapshot that does not exist has no tag,
    // without which the role may delete nothing.
    let recorded = record.iter().flat_map(|record| record.record.snapshots.clone()).collect();
    let mut left: BTreeSet<SnapshotId> =
        images.snapshots(&recorded).await?.into_iter().map(|snapshot| snapshot.id).collect();
    for id in there.iter().filter_map(|ami| ami.tags.get(TAG_DEPLOYMENT)?.parse::<DeploymentId>().ok()) {
        left.extend(images.snapshots_of(&id).await?);
    }
    for snapshot in left.difference(&deleted) {
        images.delete_snapshot(snapshot).await?;
    }
    match record {
        Some(record) => context.ledger().remove(&record).await,
        None => Ok(()),
    }
}

/// Fails with `Rejected` if an environment at `location` succeeded with the version.
async fn ensure_unproven<C: BakeContext>(
    context: &C,
    stages: &Stages,
    location: &Location,
    (image, version): (&ImageName, &Version),
) -> Result<(), Failure> {
    for stage in stages.iter().filter(|stage| stage.location() == *location) {
        let partition = Environment::all_of(&stage.name);
        let found = context.ledger().every::<Environment>(&partition).await?;
        let environments: Vec<Environment> = found.into_iter().map(|found| found.record).collect();
        if let Some(by) = proven_in(&environments, image, version) {
            return Err(Failure::rejected(format!(
                "{image}@{version} is not discarded in account {}: {}/{} runs with it; its record says that it never became \
                 usable, so look who wrote that",
                location.account, by.stage, by.name
            )));
        }
    }
    Ok(())
}

/// Records the version as discarded if no account has it any more. Otherwise returns where it is left, for the sweep.
pub async fn record_discarded<C: BakeContext>(
    context: &C,
    image: &ImageName,
    version: &Version,
    error: &CaughtError,
) -> Result<Failed, Failure> {
    let found = load::version(context, image, version).await?;
    let left = load::everywhere(context, image, version).await?;
    let mut cause = format!("{image}@{version} is not usable: {}", error.sentence());
    if left.is_empty() {
        let gone = apply(&found.record, &Transition::Discarded)?;
        if gone != found.record {
            context.ledger().replace(&found, gone).await?;
        }
    } else {
        let places =
            left.iter().map(|i| format!("{} {}", i.record.location.account, i.record.location.region));
        cause.push_str(&format!(". It is still in {}", places.collect::<Vec<_>>().join(", ")));
    }
    Ok(Failed { error: error.names().pop().unwrap_or_default(), cause })
}
