//! Unreferenced images, images without a record, and the channel parameters.

use crate::context::SweepContext;
use crate::{channels, orphans, records, report};
use jiff::{Timestamp, ToSpan};
use lockstep_aws::ec2::references::References;
use lockstep_aws::ec2::retention::ImageRetention;
use lockstep_aws::ledger::{Order, Versioned};
use lockstep_domain::delivery::stages::{Stage, Stages};
use lockstep_domain::images::lifecycle::{Transition, apply};
use lockstep_domain::images::promotion::places::of_its_path;
use lockstep_domain::images::references::{ReferenceSources, reference_graph};
use lockstep_domain::images::retention::{self, Planned, Removed, RetentionInput, RetentionStep};
use lockstep_domain::images::settings::ImageSettings;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::image_version_state::ImageVersionState;
use lockstep_domain::model::location::Location;
use lockstep_domain::model::orphan::SeenOrphan;
use lockstep_domain::records::{
    Deployed, Deployment, Environment, Image, ImageShare, ImageVersion, Publication, Release, SweepReport,
};
use lockstep_runtime::{images, stages};
use std::collections::{BTreeMap, BTreeSet};

/// The most records of a kind that are read.
const RECORDS: usize = 10_000;

/// The most versions that one sweep changes. The next sweep changes more.
const STEPS: usize = 20;

/// Records and settings of images in the ledger.
pub struct Inventory {
    /// Every version of every image.
    pub versions: Vec<ImageVersion>,
    /// Each copy of a version in an account and region.
    pub places: Vec<Image>,
    /// The shares of images.
    pub shares: Vec<ImageShare>,
    /// The stages.
    pub stages: Stages,
    settings: ImageSettings,
}

/// Examines every version of every image.
pub async fn sweep(
    context: &impl SweepContext,
    report: &mut SweepReport,
    now: Timestamp,
) -> Result<(), Failure> {
    let Some(found) = load(context).await? else { return Ok(()) };
    for version in &found.versions {
        if let Some(why) = retention::stuck(version, now) {
            report::left(report, &format!("image {}@{}", version.name, version.version), &why);
        }
    }
    for planned in plan(context, &found, now).await?.into_iter().take(STEPS) {
        let what = format!("image {}@{}", planned.image, planned.version);
        let outcome = carry_out(context, report, (&planned, &found.stages), now).await;
        report::go_on(report, &what, outcome);
    }
    // The records are loaded again, because the steps above changed them.
    let Some(found) = load(context).await? else { return Ok(()) };
    let before = orphans::before(context).await?;
    for location in locations(&found) {
        let what = format!("images in account {}, {}", location.account, location.region);
        let outcome = look(context, report, &found, &location, (&before, now)).await;
        report::go_on(report, &what, outcome);
    }
    Ok(())
}

/// Returns the records, or `None` if there are no images or no stages.
async fn load(context: &impl SweepContext) -> Result<Option<Inventory>, Failure> {
    let versions = images::every_version(context.ledger()).await?;
    if versions.is_empty() {
        return Ok(None);
    }
    let Some(stages) = stages::applied(context.ledger()).await? else { return Ok(None) };
    let mut places = records(context.ledger().list_kind::<Image>(RECORDS).await?);
    places.retain(|image| of_its_path(image, image.path, &stages));
    Ok(Some(Inventory {
        versions,
        places,
        shares: records(context.ledger().list_kind::<ImageShare>(RECORDS).await?),
        stages,
        settings: stages::image_settings(context.ledger()).await?,
    }))
}

async fn plan(
    context: &impl SweepContext,
    found: &Inventory,
    now: Timestamp,
) -> Result<Vec<Planned>, Failure> {
    let (mut environments, mut publications) = (Vec::new(), Vec::new());
    for stage in found.stages.iter() {
        let partition = Publication::all_of(&stage.name);
        publications
            .extend(records(context.ledger().list::<Publication>(&partition, Order::Oldest, RECORDS).await?));
        let partition = Environment::all_of(&stage.name);
        environments
            .extend(records(context.ledger().list::<Environment>(&partition, Order::Oldest, RECORDS).await?));
    }
    let mut unfinished = records(context.ledger().list_kind::<Deployment>(RECORDS).await?);
    unfinished.retain(|deployment| !deployment.state.is_final());
    let releases = releases(context, &environments).await?;
    let needs = ReferenceSources {
        environments: &environments,
        unfinished: &unfinished,
        releases: &releases,
        publications: &publications,
    };
    let known = RetentionInput {
        versions: &found.versions,
        places: &found.places,
        shares: &found.shares,
        uses: &reference_graph(&needs),
        keep: found.settings.keep as usize,
        now,
    };
    Ok(retention::plan(&known))
}

/// Returns the newest releases, and the current release and the history of each environment whatever its age.
/// The latter are read from the table itself.
async fn releases(
    context: &impl SweepContext,
    environments: &[Environment],
) -> Result<Vec<Release>, Failure> {
    let mut all = records(context.ledger().list_kind::<Release>(RECORDS).await?);
    for environment in environments {
        for Deployed { version, .. } in environment.deployed.iter().chain(&environment.history) {
            let is_it =
                |release: &Release| release.component == environment.component && release.version == *version;
            if !all.iter().any(is_it) {
                let component = &environment.component;
                for key in Release::keys_of(component, version) {
                    all.extend(context.ledger().get::<Release>(&key).await?.map(|found| found.record));
                }
            }
        }
    }
    Ok(all)
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
            let Some(_) = change(context, &stored, &Transition::Retire { at: now }).await? else {
                return Ok(());
            };
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
            if change(context, &stored, &Transition::Keep).await?.is_some() {
                report.retired.push(format!("{what} is kept after all: {}", planned.why));
            }
        }
        RetentionStep::Remove => remove(context, report, &stored, &places, &what).await?,
    }
    Ok(())
}

/// Writes the version. Returns `None` if another writer was faster, or if the transition does not apply any
/// more.
async fn change(
    context: &impl SweepContext,
    stored: &Versioned<ImageVersion>,
    change: &Transition,
) -> Result<Option<Versioned<ImageVersion>>, Failure> {
    let Ok(next) = apply(&stored.record, change) else { return Ok(None) };
    if next == stored.record {
        return Ok(Some(stored.clone()));
    }
    match context.ledger().replace(stored, next).await {
        Err(lost) if lost.kind == FailureKind::Conflict => Ok(None),
        written => written.map(Some),
    }
}

/// Removes the images of a version everywhere, once every account reported that nothing refers to them.
///
/// The version is closed first, so that nothing starts to use an image that is about to be removed. A sweep
/// that finds the version closed with images left continues the removal. A version that was given up is never
/// resolved, so it is closed at the end. A protected image remains until its protection ends.
async fn remove(
    context: &impl SweepContext,
    report: &mut SweepReport,
    stored: &Versioned<ImageVersion>,
    places: &[Versioned<Image>],
    what: &str,
) -> Result<(), Failure> {
    let images: Vec<Image> = places.iter().map(|place| place.record.clone()).collect();
    let closing = retention::closing(&stored.record);
    let given_up = closing == Transition::Discarded;
    if stored.record.state != ImageVersionState::Retired {
        let answers = answers(context, report, &images).await;
        if let Err(why) = retention::judge(&images, &answers) {
            let is = if given_up { "given up" } else { "deprecated" };
            report::left(report, &format!("image {what}"), &format!("it is {is} and stays: {why}"));
            return Ok(());
        }
        if !given_up && change(context, stored, &closing).await?.is_none() {
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
                context.ledger().remove(place).await?;
            }
        }
    }
    if is_gone {
        if given_up {
            change(context, stored, &closing).await?;
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
