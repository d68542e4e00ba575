//! Baking of an image: the version that a recipe gets, the locations that must have it, and the meaning of an ended
//! build.
//!
//! A version is usable in every account that must have it, or in none. [`crate::images::lifecycle::apply`] defines the
//! states; this module decides the next step.

use crate::delivery::packaging::{BranchKind, next_version};
use crate::delivery::stages::{Stage, Stages};
use crate::model::caught_error::CaughtError;
use crate::model::error::{FailureKind, chain};
use crate::model::ids::{AmiId, CommitSha, Digest, ImageName, Region};
use crate::model::image_version_state::ImageVersionState;
use crate::model::location::Location;
use crate::model::version::{MajorMinor, Version};
use crate::records::{Environment, Image, ImageOrigin, ImageVersion, ProvenImage};
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of builds of one version at one location. Faults of CodeBuild are retried, failures of the recipe are
/// not.
pub const ATTEMPTS_MAX: u32 = 3;

/// A request for a version of a recipe.
#[derive(Clone, Copy, Debug)]
pub struct BakeRequest<'a> {
    /// Name of the image.
    pub image: &'a ImageName,
    /// Author's part of the version.
    pub of: MajorMinor,
    /// Branch of a pre-release; `None` on the default branch.
    pub branch: Option<&'a str>,
    /// Commit of the recipe.
    pub commit: &'a CommitSha,
    /// Digest of the source files.
    pub recipe: &'a Digest,
    /// True if values were given for this build alone. Then no existing version is equivalent.
    pub overridden: bool,
}

/// Version that a recipe gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// An existing, usable version.
    Present(Version),
    /// An existing version that an earlier execution did not finish.
    Resume(Version),
    /// A new version, which must be recorded before anything else. The execution that loses the write claims again.
    New(Version),
}

/// Decides the version of a recipe, given every version of its image.
///
/// The records are the counter. Numbers rise even after failed versions, imported ones included, and no number is used
/// twice, on whatever branch.
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

/// Returns true if a version was baked from this recipe at this commit, for this kind of branch.
fn is_of(version: &ImageVersion, request: &BakeRequest<'_>) -> bool {
    let ImageOrigin::Baked { commit, recipe, .. } = &version.origin else { return false };
    version.name == *request.image
        && commit == request.commit
        && recipe == request.recipe
        && version.version.is_pre_release() == request.branch.is_some()
        && version.version.build_of(request.of).is_some()
}

/// Returns true if a push must bake a recipe: nothing was baked from the same recipe before, or a bake of the same
/// commit is unfinished.
///
/// A push that does not touch a recipe never builds it again, even if its build had failed. The push that broke it
/// reported that failure, and an operator can bake the recipe again.
pub fn needs_bake(request: &BakeRequest<'_>, versions: &[ImageVersion]) -> bool {
    use ImageVersionState::{Building, Discarded, Discarding, Retired, Retiring, Usable, Withheld};
    let mut before = versions.iter().filter(|version| {
        let ImageOrigin::Baked { recipe, .. } = &version.origin else { return false };
        // A version from the default branch is valid for every other branch, but not the reverse.
        let is_valid = request.branch.is_some() || !version.version.is_pre_release();
        version.name == *request.image && recipe == request.recipe && is_valid
    });
    before.all(|version| {
        let open = match version.state {
            Building | Withheld | Discarding | Discarded => true,
            Usable | Retiring | Retired => false,
        };
        version.commit() == Some(request.commit) && open
    })
}

/// Returns every account and region of the stages, with the first stage there, in the order of the stages.
pub fn places(stages: &Stages) -> Vec<(Location, &Stage)> {
    let mut seen = BTreeSet::new();
    let located = stages.iter().map(|stage| (stage.location(), stage));
    located.filter(|(location, _)| seen.insert(location.clone())).collect()
}

/// Returns the locations where a version is still missing, and for each if the version is already on record there.
pub fn lacking<'a>(
    version: &ImageVersion,
    records: &[Image],
    stages: &'a Stages,
) -> Vec<(Location, &'a Stage)> {
    let missing: BTreeSet<&Location> = version.missing(records).into_iter().collect();
    places(stages).into_iter().filter(|(location, _)| missing.contains(location)).collect()
}

/// Returns the required locations that no stage uses any more: nothing can copy the version there, and nothing needs it
/// there.
pub fn abandoned(version: &ImageVersion, stages: &Stages) -> BTreeSet<Location> {
    let known: BTreeSet<Location> = places(stages).into_iter().map(|(location, _)| location).collect();
    version.required.difference(&known).cloned().collect()
}

/// Returns the locations where an abandoned version may exist, with a stage there.
pub fn to_discard<'a>(
    version: &ImageVersion,
    records: &[Image],
    stages: &'a Stages,
) -> Vec<(Location, &'a Stage)> {
    let has = |location: &Location| {
        version.required.contains(location) || records.iter().any(|image| image.is_at(location))
    };
    // The location of the first build may have the version without a record.
    places(stages)
        .into_iter()
        .enumerate()
        .filter(|(n, (place, _))| *n == 0 || has(place))
        .map(|(_, p)| p)
        .collect()
}

/// Returns the environment whose last successful deployment used a version, or `None` if there is none. Such a version
/// is not discarded, whatever its record says: the authority wrote the environment, and the delivery path the record.
pub fn proven_in<'a>(
    environments: &'a [Environment],
    image: &ImageName,
    version: &Version,
) -> Option<&'a Environment> {
    let is_it = |used: &ProvenImage| used.name == *image && used.version == *version;
    environments.iter().find(|it| it.proven_images.iter().any(|proven| proven.images.iter().any(is_it)))
}

/// State of a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildStatus {
    /// The build runs.
    Running,
    /// The build made an image, which Packer's manifest names: `eu-west-1:ami-0123456789abcdef0`.
    Succeeded {
        /// Artifact id of Packer.
        made: String,
    },
    /// The build ended without an image.
    Ended {
        /// Status of CodeBuild: `FAILED`, `FAULT`, `TIMED_OUT`, `STOPPED`.
        status: String,
        /// Phase in which the build ended, and CodeBuild's message, for the operator.
        why: String,
    },
}

/// A build as CodeBuild describes it.
/// <https://docs.aws.amazon.com/codebuild/latest/APIReference/API_Build.html>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// ARN of the build, which events name.
    pub arn: String,
    /// State of the build.
    pub status: BuildStatus,
    /// URL of the log, once there is one.
    pub log: Option<String>,
}

/// Next step after a build was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildObservation {
    /// The build runs: wait.
    Wait,
    /// CodeBuild itself failed: build again, with the next attempt.
    Again(String),
    /// The build made this image.
    Made(AmiId),
    /// The build failed finally; the text is the reason as a sentence.
    Failed(String),
}

/// Returns the next step after the build of `attempt` was read.
pub fn observe(build: &Build, attempt: u32, region: &Region) -> BuildObservation {
    let with_log = |text: String| match &build.log {
        Some(log) => format!("{text}; its log: {log}"),
        None => text,
    };
    match &build.status {
        BuildStatus::Running => BuildObservation::Wait,
        BuildStatus::Succeeded { made } => match ami_made(made, region) {
            Ok(ami) => BuildObservation::Made(ami),
            Err(why) => {
                BuildObservation::Failed(with_log(format!("the build {} succeeded, but {why}", build.arn)))
            }
        },
        BuildStatus::Ended { status, why } => {
            let text = with_log(format!("the build {} ended {status}: {why}", build.arn));
            // FAULT is an error of CodeBuild itself.
            match status == "FAULT" && attempt < ATTEMPTS_MAX {
                true => BuildObservation::Again(text),
                false => BuildObservation::Failed(text),
            }
        }
    }
}

/// Returns the AMI that Packer's artifact id names in `region`. A build makes its image only there.
/// <https://developer.hashicorp.com/packer/docs/post-processors/manifest>
fn ami_made(artifact: &str, region: &Region) -> Result<AmiId, String> {
    let parts: Vec<(&str, &str)> =
        artifact.split(',').filter_map(|part| part.trim().split_once(':')).collect();
    match parts[..] {
        [(place, ami)] if place == region.as_str() => {
            ami.parse().map_err(|error| format!("Packer's manifest names no image: {}", chain(&error)))
        }
        [] => Err("Packer's manifest names no image".to_owned()),
        _ => Err(format!("Packer's manifest names {artifact} instead of one image in {region}")),
    }
}

/// Input of a build: the values of Lockstep's own variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildInput {
    /// Name of the new AMI, unique in its account and region.
    pub ami_name: String,
    /// AMI that the build starts from.
    pub source_ami: AmiId,
    /// Tags of every resource that the build makes.
    pub tags: BTreeMap<String, String>,
}

/// Default encryption of volumes in an account and region, as far as a build depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encryption {
    /// Key that encrypts every new volume; `None` where volumes are not encrypted by default.
    pub default_key: Option<EncryptionKey>,
    /// True if there is a key for images, under [`crate::images::promotion::KEY_ALIAS`].
    pub has_image_key: bool,
}

/// Owner of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncryptionKey {
    /// AWS manages the key. Resources encrypted under it cannot be shared with another account.
    OfAws,
    /// A customer manages the key.
    OfCustomer,
}

/// Key of a build's volumes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildKey {
    /// No key from Lockstep; the recipe decides.
    AsTheRecipeSays,
    /// The key for images, if the recipe names none.
    OfImages,
    /// No key, although the image cannot leave the account unless the recipe names one. The text is the reason, as a
    /// sentence.
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

/// Returns true if an image cannot be copied at all, so that it must be built where it is needed.
pub fn must_build_there(error: &CaughtError) -> bool {
    error.names().iter().any(|name| name == FailureKind::ImageStays.error_type())
}

/// Returns the reasons why a version is missing at some locations, one per line; `None` if it is everywhere.
pub fn not_distributed<'a>(places: impl IntoIterator<Item = (&'a str, &'a CaughtError)>) -> Option<String> {
    let failed = places.into_iter().filter(|(_, caught)| !caught.error.is_empty());
    let reasons: Vec<String> = failed
        .map(|(stage, caught)| format!("it was not copied to {stage}: {}", caught.sentence()))
        .collect();
    (!reasons.is_empty()).then(|| reasons.join("\n"))
}

#[cfg(test)]
mod tests;
