//! The `ledger` function: every change of an environment's state.

use super::{Task, inputs, package};
use crate::model::caught_error::CaughtError;
use crate::model::deployment_path::DeploymentPath;
use crate::model::ids::{ComponentName, DeploymentId, ImageName, StageName};
use crate::model::version::Version;
use serde::{Deserialize, Serialize};

/// What the state machines ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Request {
    /// Take the environment for this execution, if every image is there. Answers [`Started`].
    Begin {
        /// The execution.
        execution: String,
        /// The path that the state machine belongs to.
        path: DeploymentPath,
        /// The state machine's input.
        input: inputs::Deploy,
    },
    /// Take the environment to delete its stack. Answers [`Started`].
    BeginTeardown {
        /// The execution.
        execution: String,
        /// The path that the state machine belongs to.
        path: DeploymentPath,
        /// The state machine's input.
        input: inputs::Teardown,
    },
    /// Give the environment back, ask a person, and let the token wait for the answer.
    RequestApproval {
        /// The deployment.
        deployment: DeploymentId,
        /// The waiting state.
        task: Task,
    },
    /// Take the environment again after the answer. Answers [`Started`]; a refusal is the error `ApprovalRefused`.
    Retake {
        /// The deployment.
        deployment: DeploymentId,
    },
    /// Close the deployment as succeeded. Answers [`Finished`].
    Complete {
        /// The deployment.
        deployment: DeploymentId,
    },
    /// Close the deployment as failed. Answers [`Failed`].
    Fail {
        /// The deployment.
        deployment: DeploymentId,
        /// What went wrong.
        error: CaughtError,
    },
    /// May this release go to that stage? Answers [`Gated`].
    Gate {
        /// The execution.
        execution: String,
        /// The state machine's input.
        input: inputs::Promote,
    },
    /// The release passed its test.
    Publish {
        /// The component.
        component: ComponentName,
        /// The release.
        version: Version,
    },
    /// The release failed its test. Answers [`Failed`].
    FailRelease {
        /// The component.
        component: ComponentName,
        /// The release.
        version: Version,
        /// What went wrong.
        error: CaughtError,
    },
    /// The push is dealt with. Answers [`Summary`].
    FinishRelease {
        /// The state machine's input.
        input: inputs::Release,
        /// What `package` answered.
        components: Vec<package::Component>,
        /// What became of each packaged component.
        results: Vec<ComponentResult>,
        /// Why nothing could be packaged at all, if so.
        #[serde(default)]
        error: Option<CaughtError>,
    },
}

/// A deployment has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Its id.
    pub deployment: DeploymentId,
    /// Whether its release needs images, which must be checked.
    pub images: bool,
    /// The images that must be brought there first, each once. Unless it is empty, nothing has begun: bring them, then
    /// begin.
    #[serde(default)]
    pub missing: Vec<MissingImage>,
}

impl Started {
    /// A deployment that holds its environment.
    pub fn new(deployment: DeploymentId, images: bool) -> Self {
        Self { deployment, images, missing: Vec::new() }
    }
}

/// A deployment has ended well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// Its id.
    pub deployment: DeploymentId,
    /// The component.
    pub component: ComponentName,
    /// The release.
    pub version: Version,
    /// The stage.
    pub stage: StageName,
    /// `succeeded`, `no_changes` or `planned`.
    pub outcome: String,
}

/// Something has failed, as the execution's `Fail` state says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// The stable error name.
    pub error: String,
    /// A sentence a person can act on.
    pub cause: String,
}

/// The gate is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gated {
    /// The name of the execution that deploys.
    pub deploy_execution: String,
}

/// An image to bring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingImage {
    /// The image.
    pub image: ImageName,
    /// Its version.
    pub version: Version,
    /// The name of the execution that brings it.
    pub execution: String,
}

/// What became of a packaged component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentResult {
    /// The component.
    pub component: String,
    /// The release.
    pub version: String,
    /// `published`, `deployed`, `baked` (an image), or `failed`.
    pub outcome: String,
    /// The sentence that says why it failed; empty otherwise.
    #[serde(default)]
    pub cause: String,
}

/// What became of a push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// `done`, `superseded` (a later push overtook it) or `rejected`.
    pub outcome: String,
    /// The error name of the execution if it was `rejected`.
    pub error: String,
    /// Every problem and failure, one a line; or what overtook it.
    pub cause: String,
    /// Every component.
    pub results: Vec<ComponentResult>,
}
