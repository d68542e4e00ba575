//! The `bake` function: CodeBuild, and what becomes of a version.

use super::{Task, inputs, package};
use crate::model::caught_error::CaughtError;
use crate::model::deployment_path::DeploymentPath;
use crate::model::ids::{DeploymentId, ImageName, StageName};
use crate::model::version::Version;
use serde::{Deserialize, Serialize};

/// What the state machines ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Request {
    /// Give the recipe of this commit its version. Answers [`Claimed`].
    Claim {
        /// The execution of `bake-image`.
        execution: String,
        /// Its input.
        input: inputs::BakeImage,
        /// The recipe, as `package` answered it.
        recipe: package::Recipe,
    },
    /// Open the build of a version in an account, or find it. Answers [`BuildStarted`].
    BeginBuild {
        /// The execution of `build-image`.
        execution: String,
        /// Its input.
        input: inputs::BuildImage,
    },
    /// Start the build, or find it; the token waits for its end.
    Build {
        /// The build.
        build: DeploymentId,
        /// The waiting state.
        task: Task,
    },
    /// Look at the build. Answers [`Next`]; one that failed is the error `ImageUnusable`.
    ObserveBuild {
        /// The build.
        build: DeploymentId,
    },
    /// Look at what was built, tag it, record it. Answers [`Built`].
    Register {
        /// The build.
        build: DeploymentId,
    },
    /// Remove what a failed build left, and close it as failed. Answers [`super::ledger::Failed`].
    FailBuild {
        /// The build.
        build: DeploymentId,
        /// What went wrong.
        error: CaughtError,
    },
    /// Where must the version go? Answers [`Distribution`].
    Spread {
        /// The execution of `bake-image`.
        execution: String,
        /// The image.
        image: ImageName,
        /// Its version.
        version: Version,
    },
    /// A copy was not made: is it to be built there? Answers [`Next`].
    NotCopied {
        /// What went wrong.
        error: CaughtError,
    },
    /// Every place was tried. Answers [`Completed`]; a place that lacks it is the error `ImageUnusable`.
    Complete {
        /// The image.
        image: ImageName,
        /// Its version.
        version: Version,
        /// What became of each place.
        places: Vec<DistributionResult>,
    },
    /// It failed for good: nothing may use it any more. Answers [`VersionFailed`].
    GiveUp {
        /// The image.
        image: ImageName,
        /// Its version.
        version: Version,
        /// What went wrong.
        error: CaughtError,
    },
    /// Remove the version from one account and region. `EnvironmentBusy` while something refers to it.
    DiscardVersion {
        /// The image.
        image: ImageName,
        /// Its version.
        version: Version,
        /// A stage there.
        stage: StageName,
    },
    /// Note what is left of it. Answers [`super::ledger::Failed`].
    Bury {
        /// The image.
        image: ImageName,
        /// Its version.
        version: Version,
        /// What went wrong.
        error: CaughtError,
    },
}

/// Where the state machine goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NextStep {
    /// Build it.
    Build,
    /// The build is not finished, or is to be started again.
    Wait,
    /// It was built: look at what was made.
    Register,
    /// It is there already.
    Present,
    /// Nothing more can be done.
    Fail,
}

/// Where the state machine goes next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// There.
    pub next: NextStep,
}

/// A recipe has its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimed {
    /// The version.
    pub version: Version,
    /// `build`, or `present` if all of it was done before.
    pub next: NextStep,
    /// The stage in whose account it is built first.
    pub stage: StageName,
    /// The name of the execution that builds it there.
    pub execution: String,
}

/// A build has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildStarted {
    /// The build.
    pub build: DeploymentId,
    /// `build`, or `present`.
    pub next: NextStep,
}

/// An image was built and recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built {
    /// The image.
    pub image: ImageName,
    /// Its version.
    pub version: Version,
    /// Its id where it was built.
    pub ami: crate::model::ids::AmiId,
}

/// Where a version must go yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distribution {
    /// One for each account and region.
    pub places: Vec<DistributionTarget>,
}

/// An account and region that a version must come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DistributionTarget {
    /// The first stage there.
    pub stage: StageName,
    /// Who may act there.
    pub path: DeploymentPath,
    /// The name of the execution that brings it.
    pub promotion: String,
    /// The name of the execution that builds it there, if it cannot be brought.
    pub build: String,
}

/// What became of one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DistributionResult {
    /// The stage.
    pub stage: StageName,
    /// Why the version is not there; empty if it is.
    #[serde(rename = "Error", default)]
    pub error: String,
    /// The cause of that.
    #[serde(rename = "Cause", default)]
    pub cause: String,
}

/// A version is wherever it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completed {
    /// The image.
    pub image: ImageName,
    /// Its version.
    pub version: Version,
}

/// A version is given up: where it is to be removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionFailed {
    /// One for each account and region that may have it.
    pub places: Vec<DiscardTargets>,
}

/// An account and region that a version is removed from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiscardTargets {
    /// A stage there.
    pub stage: StageName,
    /// Who may act there.
    pub path: DeploymentPath,
}
