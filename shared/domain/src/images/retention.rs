//! Retirement: which versions of images nobody needs any more, and what of them goes when.
//!
//! [`plan`] decides from the ledger alone, [`judge`] after every account that has the version was asked what refers to
//! it. A version goes in two steps, days apart: first its images are deprecated and nothing resolves to it any more, then
//! they are deregistered with their snapshots. Whatever comes to need it between the two brings it back.
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ami-deprecate.html>

use crate::images::lifecycle::Transition;
use crate::images::orphans::Tagged;
use crate::images::references::{Reference, ReferenceGraph};
use crate::model::ids::{AmiId, ImageName, SnapshotId};
use crate::model::image_version_state::ImageVersionState;
use crate::model::location::Location;
use crate::model::version::Version;
use crate::records::{Image, ImageState, ImageVersion};
use jiff::{Timestamp, ToSpan};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// How many of an image's newest usable versions are kept unless the organisation says otherwise.
pub const KEEP: u32 = 5;

/// How long the images of a version stay deprecated before they go, in days.
pub const GRACE_DAYS: i64 = 7;

/// What becomes of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum RetentionStep {
    /// Deprecate its images, and let nothing resolve to it any more.
    Deprecate,
    /// Something needs it after all: take the deprecation back.
    Restore {
        /// What needs it.
        needed_by: BTreeSet<Reference>,
    },
    /// Deregister its images with their snapshots.
    Remove,
}

/// One version that is to be changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// The image.
    pub image: ImageName,
    /// The version.
    pub version: Version,
    /// What becomes of it.
    #[serde(flatten)]
    pub step: RetentionStep,
    /// Why, as a sentence.
    pub why: String,
}

/// What is known.
#[derive(Clone, Copy, Debug)]
pub struct RetentionInput<'a> {
    /// Every version of every image.
    pub versions: &'a [ImageVersion],
    /// Where each of them is.
    pub places: &'a [Image],
    /// What needs which.
    pub uses: &'a ReferenceGraph,
    /// How many of an image's newest usable versions are kept whatever needs them.
    pub keep: usize,
    /// The time.
    pub now: Timestamp,
}

/// What is to be done about every version, in the order of names and versions; those that stay as they are are left out.
///
/// Never touched: a version that something needs, the newest ones, one that is on its way somewhere or shared, and one that
/// is not finished or being discarded, which is `bake-image`'s; what it could not discard within a day goes here.
pub fn plan(known: &RetentionInput<'_>) -> Vec<Planned> {
    let kept = kept(known);
    let mut planned: Vec<Planned> =
        known.versions.iter().filter_map(|version| step(known, &kept, version)).collect();
    planned.sort_by(|a, b| (&a.image, &a.version).cmp(&(&b.image, &b.version)));
    planned
}

/// The newest versions of each image that could be pinned.
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
            let why = format!("deprecated for {GRACE_DAYS} days, and nothing came to need it");
            if gone { planned(RetentionStep::Remove, why) } else { None }
        }
        // It was closed before its images went; whoever did that did not come to the end.
        ImageVersionState::Retired if places(known.places, version).next().is_some() => {
            planned(RetentionStep::Remove, "retired, and some of its images are still there".to_owned())
        }
        // Something used an image for so long that whoever gave the version up came to an end before.
        ImageVersionState::Discarding
            if needed_by.is_none() && is_left(version, known.now) && !is_moving(known, version) =>
        {
            planned(RetentionStep::Remove, "given up, and not gone within a day".to_owned())
        }
        ImageVersionState::Building
        | ImageVersionState::Withheld
        | ImageVersionState::Discarding
        | ImageVersionState::Discarded
        | ImageVersionState::Retired => None,
    }
}

/// What closes a version whose images go.
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

/// Whether `bake-image`, which ends within hours, certainly does nothing about the version any more.
fn is_left(version: &ImageVersion, now: Timestamp) -> bool {
    version.recorded_at.checked_add(24.hours()).is_ok_and(|end| now >= end)
}

/// A pre-release is kept until it expires, whatever its number.
fn is_over(version: &ImageVersion, now: Timestamp) -> bool {
    !version.version.is_pre_release() || version.expires_at.is_some_and(|at| now >= at)
}

/// Whether an image of the version is on its way somewhere, or shared with an account that copies it.
fn is_moving(known: &RetentionInput<'_>, version: &ImageVersion) -> bool {
    places(known.places, version)
        .any(|image| image.state == ImageState::Promoting || !image.shared_with.is_empty())
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

/// Why a version that is not finished needs a person.
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

/// The images of a version, wherever they are.
pub fn places<'a>(all: &'a [Image], version: &ImageVersion) -> impl Iterator<Item = &'a Image> {
    let (name, number) = (version.name.clone(), version.version.clone());
    all.iter().filter(move |image| image.name == name && image.version == number)
}

/// After every account was asked: what AWS would have to be told about a version that is to go, or who keeps it.
///
/// `answers` holds the ARNs of what refers to the images in each place, other than parameters of ours, which follow what
/// there is; a place that did not answer is missing, and unknown is never "unused".
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

/// What happened to an image that was to be deregistered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It is gone, or never was there. What AWS did not delete of its snapshots, and why: `in-use` by another image is
    /// theirs to keep.
    Gone {
        /// The snapshots that are left, each with AWS's word for why.
        left: BTreeMap<SnapshotId, String>,
    },
    /// It is protected from that, or was until a moment ago: another time.
    Protected {
        /// AWS's sentence.
        why: String,
    },
}

/// The images at `location` that a version on its way out still has there without their deprecation: whoever was to say so
/// did not come to the end.
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
