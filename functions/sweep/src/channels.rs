//! The channel parameters of images. They are written when a version becomes usable, and every sweep repairs
//! them.

use crate::context::SweepContext;
use lockstep_aws::channels::Channels;
use lockstep_aws::ledger::Order;
use lockstep_domain::images::channels::{self, Edit};
use lockstep_domain::messages::sweep::Followed;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::{AmiId, ImageName, StageName};
use lockstep_domain::model::location::Location;
use lockstep_domain::records::{Image, ImageVersion};
use lockstep_runtime::stages;
use std::collections::{BTreeMap, BTreeSet};

/// The most records of one image that are read.
const RECORDS: usize = 10_000;

/// Handles `channels`. A location that cannot be reached does not stop the others. Its failure is returned at
/// the end.
pub async fn follow(
    context: &impl SweepContext,
    image: &ImageName,
    stage: Option<&StageName>,
) -> Result<Followed, Failure> {
    let partition = ImageVersion::all_of(image);
    let versions: Vec<ImageVersion> =
        crate::records(context.ledger().list(&partition, Order::Oldest, RECORDS).await?);
    let partition = Image::all_of(image);
    let places: Vec<Image> = crate::records(context.ledger().list(&partition, Order::Oldest, RECORDS).await?);
    let locations: BTreeSet<Location> = match stage {
        Some(stage) => [stages::stage(context.ledger(), stage).await?.location()].into(),
        None => places.iter().map(|place| place.location.clone()).collect(),
    };
    let (mut parameters, mut failed) = (Vec::new(), None);
    for location in &locations {
        let wanted = channels::wanted(&versions, &places, location);
        let repaired = async {
            let there = context.channels(location).await?;
            let found = channels::of(image, there.all().await?);
            repair(&there, location, &wanted, &found).await
        };
        match repaired.await {
            Ok(changed) => parameters.extend(changed),
            Err(failure) => {
                tracing::warn!(image = %image, account = %location.account, "{}", failure.chain());
                failed = failed.or(Some(failure));
            }
        }
    }
    failed.map_or(Ok(Followed { parameters }), Err)
}

/// Sets the parameters at `location` to `wanted` and returns the changes.
pub async fn repair(
    there: &impl Channels,
    location: &Location,
    wanted: &BTreeMap<String, AmiId>,
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
