//! Retirement of image versions: unreferenced versions, and the steps of their removal.
//!
//! [`plan`] decides from the ledger alone, [`judge`] after every account with the version was asked for references. A
//! version is removed in two steps, days apart. First its images are deprecated and nothing resolves to it any more,
//! then they are deregistered with their snapshots. A reference that appears between the two steps restores the
//! version.
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-deprecate.html>

use crate::images::lifecycle::Transition;
use crate::images::orphans::Tagged;
use crate::images::references::{Reference, ReferenceGraph};
use crate::model::ids::{AmiId, ImageName, SnapshotId};
use crate::model::image_version_state::ImageVersionState;
use crate::model::location::Location;
use crate::model::version::Version;
use crate::records::{Image, ImageShare, ImageState, ImageVersion};
use jiff::{Timestamp, ToSpan};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Number of an image's newest usable versions that are retained, unless the organisation sets another.
pub const KEEP: u32 = 5;

/// Days for which the images of a version remain deprecated before they are removed.
pub const GRACE_DAYS: i64 = 7;

/// Step in the retirement of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum RetentionStep {
    /// Deprecate the images, and let nothing resolve to the version any more.
    Deprecate,
    /// A reference needs the version again: undo the deprecation.
    Restore {
        /// References to the version.
        needed_by: BTreeSet<Reference>,
    },
    /// Deregister the images with their snapshots.
    Remove,
}

/// A planned step for one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// Name of the image.
    pub image: ImageName,
    /// Version of the image.
    pub version: Version,
    /// Step to run.
    #[serde(flatten)]
    pub step: RetentionStep,
    /// Reason, as a sentence.
    pub why: String,
}

/// Input of the plan.
#[derive(Clone, Copy, Debug)]
pub struct RetentionInput<'a> {
    /// Every version of every image.
    pub versions: &'a [ImageVersion],
    /// Image records of all locations.
    pub places: &'a [Image],
    /// Shares of images.
    pub shares: &'a [ImageShare],
    /// References to versions.
    pub uses: &'a ReferenceGraph,
    /// Number of an image's newest usable versions that are retained even without a reference.
    pub keep: usize,
    /// Current time.
    pub now: Timestamp,
}

/// Returns the step for every version that changes, in the order of names and versions.
///
/// Never changed: a referenced version, the newest ones, and one that is being copied or shared. An unfinished or
/// discarding version belongs to `bake-image`; the sweep takes over what `bake-image` could not discard within a day.
pub fn plan(known: &RetentionInput<'_>) -> Vec<Planned> {
    let kept = kept(known);
    let mut planned: Vec<Planned> =
        known.versions.iter().filter_map(|version| step(known, &kept, version)).collect();
    planned.sort_by(|a, b| (&a.image, &a.version).cmp(&(&b.image, &b.version)));
    planned
}

/// Returns the newest versions of each image that could be pinned.
fn kept<'a>(known: &RetentionInput<'a>) -> BTreeSet<(&'a ImageName, &'a Version)> {
    let mut by_name: BTreeMap<&ImageName, Vec<&Version>> = BTreeMap::new();
    for version in known.versions {
        let counts = version.state == ImageVersionState::Usable
            && version.revoked.is_none()
            && !version.version.is_pre_release();
        if counts {
            by_name.entry(&version.name).or_default().push(&version.version);
        }
    }
    let newest = |(name, mut versions): (&'a ImageName, Vec<&'a Version>)| {
        versions.sort_by(|a, b| b.cmp(a));
        versions.into_iter().take(known.keep).map(move |version| (name, version)).collect::<Vec<_>>()
    };
    by_name.into_iter().flat_map(newest).collect()
}

fn step(
    known: &RetentionInput<'_>,
    kept: &BTreeSet<(&ImageName, &Version)>,
    version: &ImageVersion,
) -> Option<Planned> {
    let planned = |step: RetentionStep, why: String| {
        Some(Planned { image: version.name.clone(), version: version.version.clone(), step, why })
    };
    let needed_by = known.uses.get(&(version.name.clone(), version.version.clone()));
    let needed_by = needed_by.filter(|uses| !uses.is_empty());
    match version.state {
        ImageVersionState::Usable => {
            let stays = needed_by.is_some()
                || kept.contains(&(&version.name, &version.version))
                || is_moving(known, version)
                || !is_over(version, known.now);
            if stays { None } else { planned(RetentionStep::Deprecate, why_not_kept(known, version)) }
        }
        ImageVersionState::Retiring => {
            if let Some(uses) = needed_by {
                let why = uses.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                return planned(RetentionStep::Restore { needed_by: uses.clone() }, why);
            }
            let since = version.retiring_since.filter(|_| !is_moving(known, version))?;
            let gone = since.checked_add((GRACE_DAYS * 24).hours()).is_ok_and(|end| known.now >= end);
            let why = format!("deprecated for {GRACE_DAYS} days, and nothing refers to it");
            if gone { planned(RetentionStep::Remove, why) } else { None }
        }
        // The version was closed before its images were removed, and that run did not finish.
        ImageVersionState::Retired if places(known.places, version).next().is_some() => {
            planned(RetentionStep::Remove, "retired, and some of its images are still there".to_owned())
        }
        // An image was in use for so long that the execution that abandoned the version ended before.
        ImageVersionState::Discarding
            if needed_by.is_none() && is_left(version, known.now) && !is_moving(known, version) =>
        {
            planned(RetentionStep::Remove, "abandoned, and not discarded within a day".to_owned())
        }
        ImageVersionState::Building
        | ImageVersionState::Withheld
        | ImageVersionState::Discarding
        | ImageVersionState::Discarded
        | ImageVersionState::Retired => None,
    }
}

/// Returns the transition that closes a version before its images are removed.
pub fn closing(version: &ImageVersion) -> Transition {
    match version.state {
        ImageVersionState::Discarding | ImageVersionState::Discarded => Transition::Discarded,
        ImageVersionState::Building
        | ImageVersionState::Withheld
        | ImageVersionState::Usable
        | ImageVersionState::Retiring
        | ImageVersionState::Retired => Transition::Retired,
    }
}

/// Returns the change of a version's record in `step`, or `None` if the record does not change, or not yet.
/// `is_somewhere` is true if an account still has an image of the version.
///
/// A retired version is closed before its images are removed, so that nothing starts to use one of them meanwhile. A
/// version that was given up is never resolved, so it is closed at the end.
pub fn change(
    step: &RetentionStep,
    version: &ImageVersion,
    is_somewhere: bool,
    now: Timestamp,
) -> Option<Transition> {
    match step {
        RetentionStep::Deprecate => Some(Transition::Retire { at: now }),
        RetentionStep::Restore { .. } => Some(Transition::Keep),
        RetentionStep::Remove if version.state == ImageVersionState::Retired => None,
        RetentionStep::Remove => match closing(version) {
            Transition::Discarded if is_somewhere => None,
            closing => Some(closing),
        },
    }
}

/// Presence of an image in the account of its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// EC2 has the image.
    There,
    /// The record names no image yet, because a copy is in progress.
    Copied,
    /// EC2 has no image of the record.
    Gone,
}

/// Returns the reason to keep the record of an image in an account: the owner of versions did not close its version,
/// a copy of the image runs, or EC2 still has it. `closed` is the state of the version.
pub fn why_record_stays(closed: Option<ImageVersionState>, presence: Presence) -> Option<String> {
    use ImageVersionState::{Discarded, Discarding, Retired};
    match (closed, presence) {
        (Some(state), _) if !matches!(state, Retired | Discarding | Discarded) => {
            Some(format!("its version is {state}, so its record stays"))
        }
        (_, Presence::There) => Some("EC2 still has it, so its record stays".to_owned()),
        (_, Presence::Copied) => Some("a copy of it runs, so its record stays".to_owned()),
        (_, Presence::Gone) => None,
    }
}

/// Returns true if `bake-image`, which ends within hours, certainly does not work on the version any more.
fn is_left(version: &ImageVersion, now: Timestamp) -> bool {
    version.recorded_at.checked_add(24.hours()).is_ok_and(|end| now >= end)
}

/// Returns true if a pre-release has expired. Until then it is retained, whatever its number.
fn is_over(version: &ImageVersion, now: Timestamp) -> bool {
    !version.version.is_pre_release() || version.expires_at.is_some_and(|at| now >= at)
}

/// Returns true if an image of the version is being copied, or is shared with an account that copies it.
fn is_moving(known: &RetentionInput<'_>, version: &ImageVersion) -> bool {
    places(known.places, version).any(|image| image.state == ImageState::Promoting)
        || known.shares.iter().any(|share| share.is_of(&version.name, &version.version))
}

fn why_not_kept(known: &RetentionInput<'_>, version: &ImageVersion) -> String {
    if version.version.is_pre_release() {
        return "a pre-release that has expired".to_owned();
    }
    if version.revoked.is_some() {
        return "revoked, and nothing needs it".to_owned();
    }
    format!("nothing needs it, and there are {} newer ones", known.keep)
}

/// Returns the reason why an unfinished version needs an operator, or `None`.
pub fn stuck(version: &ImageVersion, now: Timestamp) -> Option<String> {
    let unfinished = match version.state {
        ImageVersionState::Building | ImageVersionState::Withheld => true,
        ImageVersionState::Usable
        | ImageVersionState::Discarding
        | ImageVersionState::Discarded
        | ImageVersionState::Retiring
        | ImageVersionState::Retired => false,
    };
    let why = version.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    (unfinished && is_left(version, now)).then(|| {
        format!("{} for more than a day{why}: see {}, and bake it again", version.state, version.recorded_by)
    })
}

/// Returns the images of a version at all locations.
pub fn places<'a>(all: &'a [Image], version: &ImageVersion) -> impl Iterator<Item = &'a Image> {
    let (name, number) = (version.name.clone(), version.version.clone());
    all.iter().filter(move |image| image.name == name && image.version == number)
}

/// Checks the references that the accounts reported, before a version is removed. The error names a resource that
/// refers to it.
///
/// `answers` holds the ARNs of the resources that refer to the images at each location, except Lockstep's own
/// parameters, which follow the images. A location that did not answer is missing, and never counts as "unreferenced".
pub fn judge(images: &[Image], answers: &BTreeMap<Location, Vec<String>>) -> Result<(), String> {
    for image in images {
        let Location { account, region } = &image.location;
        let Some(references) = answers.get(&image.location) else {
            return Err(format!("account {account}, {region} did not say what refers to it"));
        };
        if let Some(first) = references.first() {
            let more = if references.len() > 1 {
                format!(" and {} more", references.len() - 1)
            } else {
                String::new()
            };
            return Err(format!("{first}{more} in account {account}, {region} refers to it"));
        }
    }
    Ok(())
}

/// Result of deregistering an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// The image is deregistered, or did not exist. `left` holds the snapshots that AWS did not delete, with the
    /// reason. One that is `in-use` belongs to another image.
    Gone {
        /// Remaining snapshots, each with AWS's reason.
        left: BTreeMap<SnapshotId, String>,
    },
    /// The image is protected from deregistration, or was until a moment ago: a later sweep tries again.
    Protected {
        /// Message of AWS.
        why: String,
    },
}

/// Returns the images at `location` that belong to a version in retirement but are not deprecated, because the run that
/// should deprecate them did not finish.
pub fn undeprecated<'a>(
    location: &'a Location,
    tagged: &'a Tagged,
    all: &'a [Image],
    versions: &'a [ImageVersion],
) -> impl Iterator<Item = &'a AmiId> {
    let retiring = versions.iter().filter(|version| version.state == ImageVersionState::Retiring);
    let here = retiring.flat_map(|version| places(all, version)).filter(|image| image.is_at(location));
    here.filter_map(|image| image.ami.as_ref())
        .filter(|ami| tagged.images.get(ami).is_some_and(|image| !image.is_deprecated))
}

#[cfg(test)]
pub(crate) mod tests;
