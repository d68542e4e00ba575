//! Baking an image: which version a recipe gets, where it must go, and what a build that ended means.
//!
//! A version is usable in every account that must have it, or in none: [`crate::images::lifecycle::apply`] holds the states,
//! here is decided what comes next.

use crate::delivery::packaging::{BranchKind, next_version};
use crate::delivery::stages::{Stage, Stages};
use crate::model::caught_error::CaughtError;
use crate::model::error::FailureKind;
use crate::model::ids::{AmiId, CommitSha, Digest, ImageName, Region};
use crate::model::image_version_state::ImageVersionState;
use crate::model::location::Location;
use crate::model::version::{MajorMinor, Version};
use crate::records::{Image, ImageOrigin, ImageVersion};
use std::collections::{BTreeMap, BTreeSet};

/// The most builds of one version in one place: CodeBuild's own faults are tried again, a recipe's are not.
pub const ATTEMPTS_MAX: u32 = 3;

/// A recipe that wants a version.
#[derive(Clone, Copy, Debug)]
pub struct BakeRequest<'a> {
    /// The image.
    pub image: &'a ImageName,
    /// The author's part of the version.
    pub of: MajorMinor,
    /// The branch of a pre-release; none on the default branch.
    pub branch: Option<&'a str>,
    /// The commit.
    pub commit: &'a CommitSha,
    /// The digest of what people wrote.
    pub recipe: &'a Digest,
    /// Whether values were given for this build alone: then no version that exists is the same.
    pub overridden: bool,
}

/// The version that a recipe gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is usable already.
    Present(Version),
    /// An execution before was not done with it.
    Resume(Version),
    /// It gets this one, which is to be recorded before anything else; whoever loses that claims again.
    New(Version),
}

/// Decides about the version of a recipe, given every version of its image.
///
/// The records are the counter: numbers rise whatever becomes of a version, imported ones included, and no number is
/// given out twice, on whatever branch.
pub fn claim(request: &BakeRequest<'_>, versions: &[ImageVersion]) -> Claim {
    use ImageVersionState::{Building, Discarded, Discarding, Retired, Retiring, Usable, Withheld};
    let same = versions.iter().rev().filter(|version| !request.overridden && is_of(version, request));
    for version in same {
        match version.state {
            Usable => return Claim::Present(version.version.clone()),
            Building | Withheld => return Claim::Resume(version.version.clone()),
            Discarding | Discarded | Retiring | Retired => {}
        }
    }
    let numbers = versions.iter().filter(|version| version.name == *request.image);
    let last = numbers.filter_map(|version| version.version.build_of(request.of)).max();
    let count = last.map_or(0, |last| last + 1);
    let branch = match (request.branch, request.overridden) {
        (Some(branch), _) => BranchKind::Other(branch),
        (None, true) => BranchKind::Other("override"),
        (None, false) => BranchKind::Default,
    };
    Claim::New(next_version(request.of, branch, count))
}

/// Whether a version was baked from this recipe at this commit, for this kind of branch.
fn is_of(version: &ImageVersion, request: &BakeRequest<'_>) -> bool {
    let ImageOrigin::Baked { commit, recipe, .. } = &version.origin else { return false };
    version.name == *request.image
        && commit == request.commit
        && recipe == request.recipe
        && version.version.is_pre_release() == request.branch.is_some()
        && version.version.build_of(request.of).is_some()
}

/// Whether a push is to bake a recipe: nothing was baked from the same before, or the same commit is not done with.
///
/// A push that does not touch a recipe never builds it again, also if its build had failed: that was told at the push
/// that broke it, and a person may bake it again.
pub fn needs_bake(request: &BakeRequest<'_>, versions: &[ImageVersion]) -> bool {
    use ImageVersionState::{Building, Discarded, Discarding, Retired, Retiring, Usable, Withheld};
    let mut before = versions.iter().filter(|version| {
        let ImageOrigin::Baked { recipe, .. } = &version.origin else { return false };
        // What is on the default branch serves every other branch, and not the reverse.
        let serves = request.branch.is_some() || !version.version.is_pre_release();
        version.name == *request.image && recipe == request.recipe && serves
    });
    before.all(|version| {
        let open = match version.state {
            Building | Withheld | Discarding | Discarded => true,
            Usable | Retiring | Retired => false,
        };
        version.commit() == Some(request.commit) && open
    })
}

/// Every account and region of the stages, with the first stage there, in the order of the stages.
pub fn places(stages: &Stages) -> Vec<(Location, &Stage)> {
    let mut seen = BTreeSet::new();
    let located = stages.iter().map(|stage| (stage.location(), stage));
    located.filter(|(location, _)| seen.insert(location.clone())).collect()
}

/// Those of the places that a version must still come to, and whether it is already on record in them.
pub fn lacking<'a>(
    version: &ImageVersion,
    records: &[Image],
    stages: &'a Stages,
) -> Vec<(Location, &'a Stage)> {
    let missing: BTreeSet<&Location> = version.missing(records).into_iter().collect();
    places(stages).into_iter().filter(|(location, _)| missing.contains(location)).collect()
}

/// Required places that no stage is in any more: nothing can bring the version there, and nothing needs it there.
pub fn abandoned(version: &ImageVersion, stages: &Stages) -> BTreeSet<Location> {
    let known: BTreeSet<Location> = places(stages).into_iter().map(|(location, _)| location).collect();
    version.required.difference(&known).cloned().collect()
}

/// Where a version that is given up may be, with a stage there.
pub fn to_discard<'a>(
    version: &ImageVersion,
    records: &[Image],
    stages: &'a Stages,
) -> Vec<(Location, &'a Stage)> {
    let has = |location: &Location| {
        version.required.contains(location) || records.iter().any(|image| image.is_at(location))
    };
    // Where it was built first it may be without a record.
    places(stages)
        .into_iter()
        .enumerate()
        .filter(|(n, (place, _))| *n == 0 || has(place))
        .map(|(_, p)| p)
        .collect()
}

/// How far a build is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildStatus {
    /// It runs.
    Running,
    /// It made this, as Packer's manifest says: `eu-west-1:ami-0123456789abcdef0`.
    Succeeded {
        /// Packer's artifact id.
        made: String,
    },
    /// It ended without an image.
    Ended {
        /// CodeBuild's word for it: `FAILED`, `FAULT`, `TIMED_OUT`, `STOPPED`.
        status: String,
        /// The phase it ended in and CodeBuild's words, for people.
        why: String,
    },
}

/// A build as CodeBuild describes it.
/// <https://docs.aws.amazon.com/codebuild/latest/APIReference/API_Build.html>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// Its ARN, which events name.
    pub arn: String,
    /// How far it is.
    pub status: BuildStatus,
    /// Where a person reads its log, once there is one.
    pub log: Option<String>,
}

/// What a look at a build leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildObservation {
    /// It runs: wait.
    Wait,
    /// CodeBuild itself failed: try again, with the next attempt.
    Again(String),
    /// It made this image.
    Made(AmiId),
    /// It failed for good, as a sentence.
    Failed(String),
}

/// What a look at the build of `attempt` leads to.
pub fn observe(build: &Build, attempt: u32, region: &Region) -> BuildObservation {
    let told = |text: String| match &build.log {
        Some(log) => format!("{text}; its log: {log}"),
        None => text,
    };
    match &build.status {
        BuildStatus::Running => BuildObservation::Wait,
        BuildStatus::Succeeded { made } => match ami_made(made, region) {
            Ok(ami) => BuildObservation::Made(ami),
            Err(why) => {
                BuildObservation::Failed(told(format!("the build {} succeeded, but {why}", build.arn)))
            }
        },
        BuildStatus::Ended { status, why } => {
            let text = told(format!("the build {} ended {status}: {why}", build.arn));
            // FAULT is an error of CodeBuild's.
            match status == "FAULT" && attempt < ATTEMPTS_MAX {
                true => BuildObservation::Again(text),
                false => BuildObservation::Failed(text),
            }
        }
    }
}

/// The image that Packer's artifact id names in `region`; a build makes it there and nowhere else.
/// <https://developer.hashicorp.com/packer/docs/post-processors/manifest>
fn ami_made(artifact: &str, region: &Region) -> Result<AmiId, String> {
    let parts: Vec<(&str, &str)> =
        artifact.split(',').filter_map(|part| part.trim().split_once(':')).collect();
    match parts[..] {
        [(place, ami)] if place == region.as_str() => {
            ami.parse().map_err(|error| format!("Packer's manifest names no image: {error}"))
        }
        [] => Err("Packer's manifest names no image".to_owned()),
        _ => Err(format!("Packer's manifest names {artifact} instead of one image in {region}")),
    }
}

/// What a build is given: the values of the variables that Lockstep has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildInput {
    /// The name of the image that is made, unique in its account and region.
    pub ami_name: String,
    /// The image it starts from.
    pub source_ami: AmiId,
    /// The tags of all that is made.
    pub tags: BTreeMap<String, String>,
}

/// How an account and region encrypts volumes, as far as a build depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encryption {
    /// The key under which every new volume is encrypted; None where volumes are not encrypted by default.
    pub default_key: Option<EncryptionKey>,
    /// Whether there is a key for images, under [`crate::images::promotion::KEY_ALIAS`].
    pub has_image_key: bool,
}

/// Whose key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncryptionKey {
    /// AWS manages it: nothing that is encrypted under it can be shared with another account.
    OfAws,
    /// A customer key.
    OfCustomer,
}

/// The key that a build is given for its volumes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildKey {
    /// None: the recipe says.
    AsTheRecipeSays,
    /// The key for images, if the recipe names none.
    OfImages,
    /// None, although the image can go nowhere unless the recipe names a key; why, as a sentence.
    Missing(String),
}

/// Returns the key of a build at `place`.
pub fn build_key(encryption: &Encryption, place: &Location) -> BuildKey {
    match (encryption.default_key, encryption.has_image_key) {
        (None | Some(EncryptionKey::OfCustomer), _) => BuildKey::AsTheRecipeSays,
        (Some(EncryptionKey::OfAws), true) => BuildKey::OfImages,
        (Some(EncryptionKey::OfAws), false) => BuildKey::Missing(format!(
            "account {} encrypts volumes in {} by default, under a key of AWS that no promotion can share; unless the recipe \
             names a kms_key_id, the image cannot go to another account: run lockstep accounts add with --image-key",
            place.account, place.region
        )),
    }
}

/// Whether an image could not be copied at all, so that it is to be built where it is needed.
pub fn must_build_there(error: &CaughtError) -> bool {
    error.names().iter().any(|name| name == FailureKind::ImageStays.error_type())
}

/// Why a version is not everywhere, one place a line; nothing if it is.
pub fn not_distributed<'a>(places: impl IntoIterator<Item = (&'a str, &'a CaughtError)>) -> Option<String> {
    let failed = places.into_iter().filter(|(_, caught)| !caught.error.is_empty());
    let told: Vec<String> = failed
        .map(|(stage, caught)| format!("it was not brought to {stage}: {}", caught.sentence()))
        .collect();
    (!told.is_empty()).then(|| told.join("\n"))
}

#[cfg(test)]
mod tests;
