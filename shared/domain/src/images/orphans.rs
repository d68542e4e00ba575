//! Orphans: images and snapshots that carry our tags and stand in no record, because whoever made them died before it could
//! write them down, or could not remove them.
//!
//! [`orphans`] finds them, [`seen`] remembers since when, and [`why_not`] and [`why_kept`] say what keeps one from being
//! removed. Removed is what certainly is ours and certainly nobody's any more: a deployment of ours made it and has ended,
//! it is old, it was seen for a while with nothing on its way that could still write it down, and nothing refers to it.

use crate::model::ids::{AmiId, DeploymentId, SnapshotId};
use crate::model::image_version_state::ImageVersionState;
use crate::model::location::Location;
use crate::model::orphan::{Orphan, OrphanResource, SeenOrphan};
use crate::records::{Deployment, DeploymentKind, Image, ImageState, ImageVersion};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// How old an orphan must be, in days: longer than a promotion may take.
pub const AGE_DAYS: i64 = 7;

/// For how long it must have been seen, in hours: by more than one sweep.
pub const SEEN_HOURS: i64 = 24;

/// Who made something that carries our tags, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// The image and version that its tags name.
    pub label: String,
    /// The deployment that its tags name: what was imported has none.
    pub deployment: Option<DeploymentId>,
    /// When AWS says it was made.
    pub at: Option<Timestamp>,
}

/// An AMI that carries our tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaggedImage {
    /// Who made it.
    pub made: Made,
    /// Its snapshots.
    pub snapshots: BTreeSet<SnapshotId>,
    /// Whether it is deprecated, now or at a time to come.
    pub is_deprecated: bool,
}

/// What an account has in a region that carries our tags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tagged {
    /// Its AMIs.
    pub images: BTreeMap<AmiId, TaggedImage>,
    /// Its snapshots.
    pub snapshots: BTreeMap<SnapshotId, Made>,
}

/// What is at `location` and in no record. `places` holds the records of images, from wherever.
///
/// While anything is being built, or on its way there, or being discarded, its id may not be on record: then nothing is
/// called an orphan.
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

/// Since when `orphan` is seen: since this sweep, unless the one before it saw it too.
pub fn seen(orphan: Orphan, before: &[SeenOrphan], now: Timestamp) -> SeenOrphan {
    let since = before.iter().find(|seen| seen.orphan == orphan).map_or(now, |seen| seen.since);
    SeenOrphan { orphan, since, stays: String::new() }
}

/// What keeps an orphan that the ledger is asked about from being removed; nothing if the ledger has nothing against it.
/// `maker` is the record of the deployment that its tags name.
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
        return Some(format!("the ledger does not know the deployment {id} that made it: somebody else may"));
    };
    match maker.kind {
        DeploymentKind::PromoteImage { .. } | DeploymentKind::BuildImage { .. } => {}
        DeploymentKind::Deploy { .. } | DeploymentKind::Teardown { .. } => {
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
        return Some("nobody says when it was made".into());
    };
    too_young(made_at, AGE_DAYS * 24, now)
        .map(|end| format!("it is not {AGE_DAYS} days old; it goes after {end}"))
        .or_else(|| {
            too_young(seen.since, SEEN_HOURS, now)
                .map(|end| format!("it was first seen at {}; it goes after {end}", seen.since))
        })
}

/// When what began at `since` has lasted for `hours`, if that is to come.
fn too_young(since: Timestamp, hours: i64, now: Timestamp) -> Option<Timestamp> {
    let end = since.checked_add(SignedDuration::from_hours(hours)).unwrap_or(Timestamp::MAX);
    (now < end).then_some(end)
}

/// After its account was asked what refers to an orphan: what keeps it. Unknown is never "nothing".
pub fn why_kept(references: Option<&[String]>) -> Option<String> {
    match references {
        None => Some("its account did not say what refers to it".into()),
        Some([]) => None,
        Some([first, ..]) => Some(format!("{first} refers to it")),
    }
}

#[cfg(test)]
mod tests;
