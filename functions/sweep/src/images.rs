//! Unreferenced images, images without a record, and the channel parameters.

use crate::context::SweepContext;
use crate::{channels, orphans, owners, report};
use jiff::{Timestamp, ToSpan};
use lockstep_aws::ec2::references::References;
use lockstep_aws::ec2::retention::ImageRetention;
use lockstep_aws::ledger::Versioned;
use lockstep_domain::delivery::stages::{Stage, Stages};
use lockstep_domain::images::lifecycle::Transition;
use lockstep_domain::images::retention::{self, Planned, Removed, RetentionStep};
use lockstep_domain::messages::image::{Forgotten, Request, Retained};
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::image_version_state::ImageVersionState;
use lockstep_domain::model::location::Location;
use lockstep_domain::model::orphan::SeenOrphan;
use lockstep_domain::records::{Image, ImageVersion, SweepReport};
use lockstep_runtime::images;
use lockstep_runtime::retention::{self as due, Inventory};
use std::collections::{BTreeMap, BTreeSet};

/// The most versions that one sweep changes. The next sweep changes more.
const STEPS: usize = 20;

/// Examines every version of every image.
pub async fn sweep(
    context: &impl SweepContext,
    report: &mut SweepReport,
    now: Timestamp,
) -> Result<(), Failure> {
    let Some(found) = due::inventory(context.ledger()).await? else { return Ok(()) };
    for version in &found.versions {
        if let Some(why) = retention::stuck(version, now) {
            report::left(report, &format!("image {}@{}", version.name, version.version), &why);
        }
    }
    for planned in due::due(context.ledger(), &found, now).await?.into_iter().take(STEPS) {
        let what = format!("image {}@{}", planned.image, planned.version);
        let outcome = carry_out(context, report, (&planned, &found.stages), now).await;
        report::go_on(report, &what, outcome);
    }
    // The records are loaded again, because the steps above changed them.
    let Some(found) = due::inventory(context.ledger()).await? else { return Ok(()) };
    let before = orphans::before(context).await?;
    for location in locations(&found) {
        let what = format!("images in account {}, {}", location.account, location.region);
        let outcome = look(context, report, &found, &location, (&before, now)).await;
        report::go_on(report, &what, outcome);
    }
    Ok(())
}

/// Carries out one step for one version. The index only lists the version, so it is read again before the
/// change.
async fn carry_out(
    context: &impl SweepContext,
    report: &mut SweepReport,
    (planned, stages): (&Planned, &Stages),
    now: Timestamp,
) -> Result<(), Failure> {
    let what = format!("{}@{}", planned.image, planned.version);
    let key = ImageVersion::key_of(&planned.image, &planned.version);
    let Some(stored) = context.ledger().get::<ImageVersion>(&key).await? else { return Ok(()) };
    let places = images::everywhere(context.ledger(), stages, &planned.image, &planned.version).await?;
    match &planned.step {
        RetentionStep::Deprecate => {
            if !propose(context, planned, ImageVersionState::Retiring).await? {
                return Ok(());
            }
            for image in &places {
                let Some(ami) = &image.record.ami else { continue };
                let location = &image.record.location;
                let deprecated =
                    async { context.kept_images(location).await?.deprecate(ami, soon(now)).await };
                // If the call failed, `look` repeats it for that location, in this sweep or the next one.
                if let Err(failure) = deprecated.await {
                    tracing::warn!(image = %ami, account = %location.account, "{}", failure.chain());
                }
            }
            report.retired.push(format!("{what} is deprecated: {}", planned.why));
        }
        RetentionStep::Restore { .. } => {
            for image in &places {
                if let Some(ami) = &image.record.ami {
                    context.kept_images(&image.record.location).await?.restore(ami).await?;
                }
            }
            if propose(context, planned, ImageVersionState::Usable).await? {
                report.retired.push(format!("{what} is kept after all: {}", planned.why));
            }
        }
        RetentionStep::Remove => remove(context, report, planned, &stored, &places).await?,
    }
    Ok(())
}

/// Proposes the step to the owner of versions, which plans again and may take another step. Returns true only if the
/// version is in the state `expected` then: the caller changes images that only this state permits it to change.
async fn propose(
    context: &impl SweepContext,
    planned: &Planned,
    expected: ImageVersionState,
) -> Result<bool, Failure> {
    let request = Request::Retain { image: planned.image.clone(), version: planned.version.clone() };
    let owner = owners::of_images(DeploymentPath::Delivery);
    let retained = owners::ask::<Retained>(context, &owner, &request).await?;
    Ok(retained.and_then(|retained| retained.state) == Some(expected))
}

/// Proposes to delete the record of an image that was removed. Returns false if the owner keeps it.
async fn forget(
    context: &impl SweepContext,
    report: &mut SweepReport,
    place: &Image,
    what: &str,
) -> Result<bool, Failure> {
    let request = Request::Forget {
        image: place.name.clone(),
        version: place.version.clone(),
        location: place.location.clone(),
    };
    let Some(Forgotten { why_not }) =
        owners::ask::<Forgotten>(context, &owners::of_images(place.path), &request).await?
    else {
        return Ok(false);
    };
    if let Some(why) = &why_not {
        let Location { account, region } = &place.location;
        report::left(report, &format!("image {what}"), &format!("in account {account}, {region}: {why}"));
    }
    Ok(why_not.is_none())
}

/// Removes the images of a version everywhere, once every account reported that nothing refers to them.
///
/// The version is closed first, so that nothing starts to use an image that is about to be removed. A sweep
/// that finds the version closed with images left continues the removal. A version that was given up is never
/// resolved, so it is closed at the end. A protected image remains until its protection ends.
async fn remove(
    context: &impl SweepContext,
    report: &mut SweepReport,
    planned: &Planned,
    stored: &Versioned<ImageVersion>,
    places: &[Versioned<Image>],
) -> Result<(), Failure> {
    let what = &format!("{}@{}", planned.image, planned.version);
    let images: Vec<Image> = places.iter().map(|place| place.record.clone()).collect();
    let given_up = retention::closing(&stored.record) == Transition::Discarded;
    if stored.record.state != ImageVersionState::Retired {
        let answers = answers(context, report, &images).await;
        if let Err(why) = retention::judge(&images, &answers) {
            let is = if given_up { "given up" } else { "deprecated" };
            report::left(report, &format!("image {what}"), &format!("it is {is} and stays: {why}"));
            return Ok(());
        }
        if !given_up && !propose(context, planned, ImageVersionState::Retired).await? {
            return Ok(());
        }
    }
    let mut is_gone = true;
    for place in places {
        let Some(ami) = &place.record.ami else { continue };
        let Location { account, region } = &place.record.location;
        match context.kept_images(&place.record.location).await?.remove(ami).await? {
            Removed::Protected { why } => {
                is_gone = false;
                let why =
                    format!("{ami} in account {account}, {region} is protected, so it stays for now: {why}");
                report::left(report, &format!("image {what}"), &why);
            }
            Removed::Gone { left } => {
                // EC2 skips a snapshot that another image needs. Every other remaining snapshot is reported
                // to the operator.
                for (snapshot, code) in left.iter().filter(|(_, code)| *code != "skipped") {
                    let why = format!(
                        "the snapshot {snapshot} in account {account}, {region} was not deleted: {code}"
                    );
                    report::left(report, &format!("image {what}"), &why);
                }
                is_gone &= forget(context, report, &place.record, what).await?;
            }
        }
    }
    if is_gone {
        // A version that its owner does not close yet is proposed again by the next sweep.
        if given_up && !propose(context, planned, ImageVersionState::Discarded).await? {
            return Ok(());
        }
        report.retired.push(format!("{what} is gone, in {} places", places.len()));
    }
    Ok(())
}

/// Returns the references to each image, by location. Leaves out a location that cannot be asked and reports
/// its failure.
async fn answers(
    context: &impl SweepContext,
    report: &mut SweepReport,
    images: &[Image],
) -> BTreeMap<Location, Vec<String>> {
    let mut answers = BTreeMap::new();
    for image in images {
        let asked: BTreeSet<_> = image.ami.iter().cloned().collect();
        let answer = async { context.kept_images(&image.location).await?.references(&asked).await };
        match answer.await {
            Ok(found) => {
                drop(answers.insert(image.location.clone(), found.into_values().flatten().collect()))
            }
            Err(failure) => {
                let what =
                    format!("references in account {}, {}", image.location.account, image.location.region);
                report::go_on(report, &what, Err(failure));
            }
        }
    }
    answers
}

/// Returns the locations where images are or may be.
fn locations(found: &Inventory) -> BTreeSet<Location> {
    let of_stages = found.stages.iter().map(Stage::location);
    of_stages.chain(found.places.iter().map(|image| image.location.clone())).collect()
}

/// Examines one location: orphans, missing deprecations, and parameters that the function of its path repairs.
async fn look(
    context: &impl SweepContext,
    report: &mut SweepReport,
    found: &Inventory,
    location: &Location,
    (before, now): (&[SeenOrphan], Timestamp),
) -> Result<(), Failure> {
    let reached = async {
        let images = context.kept_images(location).await?;
        let tagged = images.tagged().await?;
        Ok((images, tagged))
    };
    let (images, tagged) = match reached.await {
        Ok(reached) => reached,
        Err(failure) => {
            orphans::carry_over(report, before, location);
            return Err(failure);
        }
    };
    orphans::sweep(context, &images, report, found, (location, &tagged), (before, now)).await;
    for ami in retention::undeprecated(location, &tagged, &found.places, &found.versions) {
        images.deprecate(ami, soon(now)).await?;
        report.retired.push(format!("{ami} in account {} is deprecated after all", location.account));
    }
    channels::sweep(context, report, found, location).await
}

/// Returns a time shortly after `now`, because EC2 refuses a past time and rounds seconds.
fn soon(now: Timestamp) -> Timestamp {
    now.checked_add(2.minutes()).unwrap_or(now)
}
