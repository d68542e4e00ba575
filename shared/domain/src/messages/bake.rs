//! Messages of the `bake` function: builds in CodeBuild, and the life of a version.

use super::{Task, inputs, package};
use crate::model::caught_error::CaughtError;
use crate::model::deployment_path::DeploymentPath;
use crate::model::ids::{DeploymentId, ImageName, StageName};
use crate::model::version::Version;
use serde::{Deserialize, Serialize};

/// Requests of the state machines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Request {
    /// Assigns a version to the recipe of this commit. Returns [`Claimed`].
    Claim {
        /// ARN of the execution of `bake-image`.
        execution: String,
        /// Input of the execution.
        input: inputs::BakeImage,
        /// The recipe, as `package` returned it.
        recipe: package::Recipe,
    },
    /// Opens the build of a version in an account, or finds it. Returns [`BuildStarted`].
    BeginBuild {
        /// ARN of the execution of `build-image`.
        execution: String,
        /// Input of the execution.
        input: inputs::BuildImage,
    },
    /// Starts the build, or finds it, and stores the token until the build ends.
    Build {
        /// The build.
        build: DeploymentId,
        /// The waiting state.
        task: Task,
    },
    /// Reads the state of the build. Returns [`Next`]; a failed build is the error `ImageUnusable`.
    ObserveBuild {
        /// The build.
        build: DeploymentId,
    },
    /// Inspects, tags and records the built image. Returns [`Built`].
    Register {
        /// The build.
        build: DeploymentId,
    },
    /// Removes the remains of a failed build and closes it as failed. Returns [`super::ledger::Failed`].
    FailBuild {
        /// The build.
        build: DeploymentId,
        /// The error that ended the build.
        error: CaughtError,
    },
    /// Lists the targets that still lack the version. Returns [`Distribution`].
    Distribute {
        /// ARN of the execution of `bake-image`.
        execution: String,
        /// The image.
        image: ImageName,
        /// Its version.
        version: Version,
    },
    /// Decides if a version that was not copied is built at the target. Returns [`Next`].
    CopyFailed {
        /// The error of the copy.
        error: CaughtError,
    },
    /// Closes a distribution after every target was tried. Returns [`Completed`]; a target without the version is the
    /// error `ImageUnusable`.
    Complete {
        /// The image.
        image: ImageName,
        /// Its version.
        version: Version,
        /// Result of each target.
        places: Vec<DistributionResult>,
    },
    /// Marks the version as failed: nothing may use it any more. Returns [`VersionFailed`].
    FailVersion {
        /// The image.
        image: ImageName,
        /// Its version.
        version: Version,
        /// The error that ended the bake.
        error: CaughtError,
    },
    /// Removes the version from one account and region. Returns the error `EnvironmentBusy` while a record refers to
    /// it.
    DiscardVersion {
        /// The image.
        image: ImageName,
        /// Its version.
        version: Version,
        /// A stage in that account and region.
        stage: StageName,
    },
    /// Records the remains of a failed version. Returns [`super::ledger::Failed`].
    RecordDiscarded {
        /// The image.
        image: ImageName,
        /// Its version.
        version: Version,
        /// The error that ended the bake.
        error: CaughtError,
    },
}

/// The next step of the state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NextStep {
    /// Build the version.
    Build,
    /// Ask a person first: the build runs code of an author in an account of the promotion path.
    Approve,
    /// Wait: the build has not finished, or must be started again.
    Wait,
    /// Register the built image.
    Register,
    /// The version is present already.
    Present,
    /// Fail: no step is left.
    Fail,
}

/// Response with the next step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// The next step.
    pub next: NextStep,
}

/// A version assigned to a recipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimed {
    /// The version.
    pub version: Version,
    /// `build`, or `present` if every step is done.
    pub next: NextStep,
    /// The stage whose account builds the version first.
    pub stage: StageName,
    /// Name of the execution that builds it there.
    pub execution: String,
}

/// A started build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildStarted {
    /// The build.
    pub build: DeploymentId,
    /// `build`, `approve` or `present`.
    pub next: NextStep,
}

/// A built and recorded image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built {
    /// The image.
    pub image: ImageName,
    /// Its version.
    pub version: Version,
    /// Id of the AMI in the account and region of the build.
    pub ami: crate::model::ids::AmiId,
}

/// The targets that still lack a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distribution {
    /// One target for each account and region.
    pub places: Vec<DistributionTarget>,
}

/// An account and region that must have a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DistributionTarget {
    /// The first stage in the account and region.
    pub stage: StageName,
    /// The deployment path whose roles the account trusts.
    pub path: DeploymentPath,
    /// Name of the execution that copies the version to the target.
    pub promotion: String,
    /// Name of the execution that builds the version at the target if it cannot be copied.
    pub build: String,
}

/// Result of distributing a version to one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DistributionResult {
    /// The stage.
    pub stage: StageName,
    /// Error name if the version is missing there; empty otherwise.
    #[serde(rename = "Error", default)]
    pub error: String,
    /// Cause of the error; empty otherwise.
    #[serde(rename = "Cause", default)]
    pub cause: String,
}

/// A version that every target has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completed {
    /// The image.
    pub image: ImageName,
    /// Its version.
    pub version: Version,
}

/// A version that failed, with the accounts and regions to remove it from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionFailed {
    /// One entry for each account and region that may have it.
    pub places: Vec<DiscardTargets>,
}

/// An account and region that a version is removed from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiscardTargets {
    /// A stage in the account and region.
    pub stage: StageName,
    /// The deployment path whose roles the account trusts.
    pub path: DeploymentPath,
}
