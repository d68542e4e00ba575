//! The parameters that name images for deployments outside of Lockstep. A function sets those of its own path alone: it
//! has no role in an account of the other one.

use crate::context::ImageContext;
use lockstep_aws::channels::Channels;
use lockstep_aws::ledger::Versioned;
use lockstep_domain::delivery::stages::Stages;
use lockstep_domain::images::channels::{self, Channel, ChannelSources, Edit, image_of};
use lockstep_domain::messages::image::Followed;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::{ImageName, StageName};
use lockstep_domain::model::location::Location;
use lockstep_domain::records::{Environment, Image, ImageVersion, Publication};
use lockstep_runtime::{images, stages};
use std::collections::{BTreeMap, BTreeSet};

/// The most records of one kind that are read.
const RECORDS: usize = 10_000;

/// Session name that the other account sees in CloudTrail.
const SESSION: &str = "lockstep-channels";

/// Handles `channels`. A location that cannot be reached does not stop the others. Its failure is returned at the end.
pub async fn follow<C: ImageContext>(
    context: &C,
    images: &[ImageName],
    stage: Option<&StageName>,
) -> Result<Followed, Failure> {
    let stages = stages::stages(context.ledger()).await?;
    let ours =
        stages.iter().filter(|it| it.path() == context.path() && stage.is_none_or(|name| it.name == *name));
    let locations: BTreeSet<Location> = ours.map(|stage| stage.location()).collect();
    let (mut parameters, mut failed) = (Vec::new(), None);
    for location in &locations {
        match follow_at(context, &stages, location, images).await {
            Ok(changed) => parameters.extend(changed),
            Err(failure) => {
                tracing::warn!(account = %location.account, region = %location.region, "{}", failure.chain());
                failed = failed.or(Some(failure));
            }
        }
    }
    failed.map_or(Ok(Followed { parameters }), Err)
}

/// Sets the parameters of one location and returns the changes.
async fn follow_at<C: ImageContext>(
    context: &C,
    stages: &Stages,
    location: &Location,
    images: &[ImageName],
) -> Result<Vec<String>, Failure> {
    let there = context.channels(location, SESSION).await?;
    let found = there.all().await?;
    // The images of existing parameters are read before one of them is removed.
    let named = found.keys().filter_map(|parameter| image_of(parameter));
    let names: BTreeSet<ImageName> = images.iter().cloned().chain(named).collect();
    let records = Records::read(context, stages, &names).await?;
    let sources = ChannelSources {
        stages,
        versions: &records.versions,
        places: &records.places,
        environments: &records.environments,
        publications: &records.publications,
    };
    let Some(wanted) = channels::wanted(&sources, location) else { return Ok(Vec::new()) };
    repair(&there, location, &wanted, &found).await
}

/// The records from which the parameters of a path follow.
#[derive(Default)]
struct Records {
    versions: Vec<ImageVersion>,
    places: Vec<Image>,
    environments: Vec<Environment>,
    publications: Vec<Publication>,
}

impl Records {
    async fn read<C: ImageContext>(
        context: &C,
        stages: &Stages,
        names: &BTreeSet<ImageName>,
    ) -> Result<Self, Failure> {
        let mut records = Self::default();
        match context.path() {
            DeploymentPath::Delivery => {
                for name in names {
                    let ledger = context.ledger();
                    records.versions.extend(images::versions(ledger, name, RECORDS).await?);
                    let partition = Image::all_of(name, DeploymentPath::Delivery);
                    let places = ledger.every(&partition).await?;
                    records.places.extend(plain(places));
                }
            }
            DeploymentPath::Promotion => {
                for stage in stages.iter().filter(|stage| stage.path() == DeploymentPath::Promotion) {
                    let partition = Environment::all_of(&stage.name);
                    let listed = context.ledger().every(&partition).await?;
                    records.environments.extend(plain(listed));
                    let partition = Publication::all_of(&stage.name);
                    let listed = context.ledger().every(&partition).await?;
                    records.publications.extend(plain(listed));
                }
            }
        }
        Ok(records)
    }
}

/// Sets the parameters at `location` to `wanted` and returns the changes.
async fn repair(
    there: &impl Channels,
    location: &Location,
    wanted: &BTreeMap<String, Channel>,
    found: &BTreeMap<String, String>,
) -> Result<Vec<String>, Failure> {
    let mut changed = Vec::new();
    for edit in channels::edits(wanted, found) {
        match edit {
            Edit::Put { name, ami } => {
                there.put(&name, &ami).await?;
                changed.push(format!("{name} in account {} is {ami}", location.account));
            }
            Edit::Remove { name } => {
                there.remove(&name).await?;
                changed.push(format!("{name} in account {} is gone", location.account));
            }
        }
    }
    Ok(changed)
}

fn plain<T>(found: Vec<Versioned<T>>) -> Vec<T> {
    found.into_iter().map(|found| found.record).collect()
}
