//! Orphans: images and snapshots with Lockstep's tags that no record names, because their maker died before it could
//! record or remove them.
//!
//! [`orphans`] finds them, [`seen`] records since when, and [`why_not`] and [`why_kept`] return the reason against
//! removing one. An orphan is removed only if it certainly is Lockstep's and certainly unused: a deployment of Lockstep
//! made it and has ended, it is old, several sweeps saw it while no operation could still record it, and nothing refers
//! to it.

use crate::model::ids::{AmiId, DeploymentId, SnapshotId};
use crate::model::image_version_state::ImageVersionState;
use crate::model::location::Location;
use crate::model::orphan::{Orphan, OrphanResource, SeenOrphan};
use crate::records::{Deployment, DeploymentBody, Image, ImageState, ImageVersion};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Minimum age of an orphan, in days: longer than a promotion may take.
pub const AGE_DAYS: i64 = 7;

/// Minimum time for which an orphan must have been seen, in hours: by more than one sweep.
pub const SEEN_HOURS: i64 = 24;

/// Maker and creation time of a resource with Lockstep's tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// Image and version that the tags name.
    pub label: String,
    /// Deployment that the tags name; `None` for an imported image.
    pub deployment: Option<DeploymentId>,
    /// Creation time that AWS reports.
    pub at: Option<Timestamp>,
}

/// An AMI with Lockstep's tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaggedImage {
    /// Maker of the AMI.
    pub made: Made,
    /// Snapshots of the AMI.
    pub snapshots: BTreeSet<SnapshotId>,
    /// True if the AMI is deprecated, now or at a future time.
    pub is_deprecated: bool,
}

/// Resources with Lockstep's tags in one account and region.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tagged {
    /// AMIs by id.
    pub images: BTreeMap<AmiId, TaggedImage>,
    /// Snapshots by id.
    pub snapshots: BTreeMap<SnapshotId, Made>,
}

/// Returns the resources at `location` that no record names. `places` holds the image records of all locations.
///
/// Returns an empty list while an image is being built, copied there or discarded, because its id may not be recorded
/// yet.
pub fn orphans(
    location: &Location,
    tagged: &Tagged,
    places: &[Image],
    versions: &[ImageVersion],
) -> Vec<Orphan> {
    let here: Vec<&Image> = places.iter().filter(|image| image.is_at(location)).collect();
    let changing = |state| matches!(state, ImageVersionState::Building | ImageVersionState::Discarding);
    let moving = here.iter().any(|image| image.state == ImageState::Promoting);
    if moving || versions.iter().any(|version| changing(version.state)) {
        return Vec::new();
    }
    let orphan = |thing: OrphanResource, made: &Made| Orphan {
        location: location.clone(),
        thing,
        label: made.label.clone(),
        deployment: made.deployment.clone(),
        made_at: made.at,
    };
    let known: BTreeSet<&AmiId> = here.iter().filter_map(|image| image.ami.as_ref()).collect();
    let unknown = tagged.images.iter().filter(|(id, _)| !known.contains(id));
    let mut found: Vec<Orphan> =
        unknown.map(|(id, image)| orphan(OrphanResource::Image(id.clone()), &image.made)).collect();
    let kept: BTreeSet<&SnapshotId> = here
        .iter()
        .flat_map(|image| &image.snapshots)
        .chain(tagged.images.values().flat_map(|image| &image.snapshots))
        .collect();
    let loose = tagged.snapshots.iter().filter(|(id, _)| !kept.contains(id));
    found.extend(loose.map(|(id, made)| orphan(OrphanResource::Snapshot(id.clone()), made)));
    found.sort();
    found
}

/// Returns `orphan` with the time since when it is seen: this sweep, unless the sweep before saw it too.
pub fn seen(orphan: Orphan, before: &[SeenOrphan], now: Timestamp) -> SeenOrphan {
    let since = before.iter().find(|seen| seen.orphan == orphan).map_or(now, |seen| seen.since);
    SeenOrphan { orphan, since, stays: String::new() }
}

/// Returns the reason of the ledger against removing an orphan, or `None`. `maker` is the record of the deployment that
/// the orphan's tags name.
pub fn why_not(
    seen: &SeenOrphan,
    maker: Option<&Deployment>,
    versions: &[ImageVersion],
    now: Timestamp,
) -> Option<String> {
    let Some(id) = &seen.orphan.deployment else {
        return Some(
            "its tags name no deployment that made it, so it may be a person's: remove it, or import it again".into(),
        );
    };
    let Some(maker) = maker else {
        return Some(format!(
            "the ledger does not know the deployment {id} that made it: another installation may"
        ));
    };
    match maker.body {
        DeploymentBody::PromoteImage(_) | DeploymentBody::BuildImage(_) => {}
        DeploymentBody::Deploy(_) | DeploymentBody::Teardown(_) | DeploymentBody::PublishImage(_) => {
            return Some(format!("the deployment {id} that its tags name makes no images"));
        }
    }
    if !maker.state.is_final() {
        return Some(format!("the deployment {id} that made it has not ended"));
    }
    if let OrphanResource::Image(ami) = &seen.orphan.thing
        && let Some(version) = versions.iter().find(|version| version.source_ami.as_ref() == Some(ami))
    {
        return Some(format!("{}@{} is made from it", version.name, version.version));
    }
    let Some(made_at) = seen.orphan.made_at else {
        return Some("AWS reports no creation time".into());
    };
    too_young(made_at, AGE_DAYS * 24, now)
        .map(|end| format!("it is not {AGE_DAYS} days old; the sweep removes it after {end}"))
        .or_else(|| {
            too_young(seen.since, SEEN_HOURS, now)
                .map(|end| format!("it was first seen at {}; the sweep removes it after {end}", seen.since))
        })
}

/// Returns the end of the `hours` after `since` if it is in the future.
fn too_young(since: Timestamp, hours: i64, now: Timestamp) -> Option<Timestamp> {
    let end = since.checked_add(SignedDuration::from_hours(hours)).unwrap_or(Timestamp::MAX);
    (now < end).then_some(end)
}

/// Returns the reason against removing an orphan after its account was asked for references. No answer counts as a
/// reason, never as "no reference".
pub fn why_kept(references: Option<&[String]>) -> Option<String> {
    match references {
        None => Some("its account did not say what refers to it".into()),
        Some([]) => None,
        Some([first, ..]) => Some(format!("{first} refers to it")),
    }
}

#[cfg(test)]
mod tests;
