//! Messages of the `ledger` functions, which make every change of an environment's state.

use super::{Task, inputs, package};
use crate::model::caught_error::CaughtError;
use crate::model::ids::{ComponentName, DeploymentId, ImageName, StageName};
use crate::model::outcome::Outcome;
use crate::model::version::Version;
use crate::records::ConfigKind;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};

/// Requests of the state machines and of the sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, VariantNames)]
#[serde(tag = "action", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Request {
    /// Acquires the environment for this execution if every image is available and the environment is free. Returns
    /// [`Started`].
    Begin {
        /// ARN of the execution.
        execution: String,
        /// The state machine's input.
        input: inputs::Deploy,
    },
    /// Acquires the environment to delete its stack if the environment is free. Returns [`Started`].
    BeginTeardown {
        /// ARN of the execution.
        execution: String,
        /// The state machine's input.
        input: inputs::Teardown,
    },
    /// Stores the token of a queued deployment until its turn. Then `begin` is repeated.
    AwaitTurn {
        /// The deployment, which has not begun.
        deployment: DeploymentId,
        /// The stage.
        stage: StageName,
        /// The environment's name.
        environment: String,
        /// The waiting state.
        task: Task,
    },
    /// Asks for an approval, and stores the token until the answer. The deployment keeps its environment.
    RequestApproval {
        /// The deployment.
        deployment: DeploymentId,
        /// The waiting state.
        task: Task,
    },
    /// Continues a deployment whose question was approved. Returns [`Started`]; a refusal is the error `ApprovalRefused`.
    Proceed {
        /// The deployment.
        deployment: DeploymentId,
    },
    /// Closes the deployment as succeeded. Returns [`Finished`].
    Complete {
        /// The deployment.
        deployment: DeploymentId,
    },
    /// Closes the deployment as failed. Returns [`Failed`].
    Fail {
        /// The deployment.
        deployment: DeploymentId,
        /// The error that ended it.
        error: CaughtError,
    },
    /// Checks the gate of the stage for a release. Returns [`Gated`].
    Gate {
        /// ARN of the execution.
        execution: String,
        /// The state machine's input.
        input: inputs::Promote,
    },
    /// Claims the name of an image for the repository of its recipe, before anything is built under the name.
    ClaimImage {
        /// ARN of the execution of `bake-image`.
        execution: String,
        /// Input of the execution.
        input: inputs::BakeImage,
    },
    /// Deletes the record of the environment of a test stack that is gone.
    ForgetTest {
        /// Name of the environment.
        environment: String,
    },
    /// Publishes a release that passed its test.
    Publish {
        /// The component.
        component: ComponentName,
        /// The release.
        version: Version,
    },
    /// Closes a release that failed its test. Returns [`Failed`].
    FailRelease {
        /// The component.
        component: ComponentName,
        /// The release.
        version: Version,
        /// The error that ended the test.
        error: CaughtError,
    },
    /// Picks the components of a push whose producers are done. Returns [`Ordered`].
    OrderRelease {
        /// The components in the response of `package`.
        components: Vec<package::PackagedComponent>,
        /// Results so far.
        results: Vec<ComponentResult>,
    },
    /// Closes a push. Returns [`Summary`].
    FinishRelease {
        /// The state machine's input.
        input: inputs::Release,
        /// The components in the response of `package`.
        components: Vec<package::PackagedComponent>,
        /// Result of each packaged component.
        results: Vec<ComponentResult>,
        /// The error that prevented all packaging, if any.
        #[serde(default)]
        error: Option<CaughtError>,
    },
    /// Releases an environment whose holder's execution has ended, and closes the holder. Starts the redeployment of a stale
    /// environment. Returns [`Freed`].
    FreeEnvironment {
        /// The stage.
        stage: StageName,
        /// The environment's name.
        environment: String,
    },
    /// Closes a deployment that waits for an answer and whose execution has ended. Returns [`Freed`].
    CloseUnanswered {
        /// The deployment.
        deployment: DeploymentId,
    },
    /// Carries out the pending changes of the configuration whose time has come, and closes those that ended. A schedule
    /// asks for it. Returns [`Settled`].
    SettleConfiguration {},
}

impl Request {
    /// Name of every action, for tests.
    pub const ACTIONS: &[&str] = Self::VARIANTS;
}

/// A started deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Its id.
    pub deployment: DeploymentId,
    /// True if its release needs images, which must be checked.
    pub images: bool,
    /// The images that must be promoted first, each once. If the list is not empty, no deployment has started: promote
    /// the images, then repeat `begin`.
    #[serde(default)]
    pub missing: Vec<MissingImage>,
    /// True if the environment is busy. Then no deployment has started: await the turn, then repeat `begin`.
    #[serde(default)]
    pub queued: bool,
}

impl Started {
    /// Returns the response for a deployment that holds its environment.
    pub fn new(deployment: DeploymentId, images: bool) -> Self {
        Self { deployment, images, missing: Vec::new(), queued: false }
    }
}

/// A released environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freed {
    /// The deployment that held it. `None` if no deployment held it any more.
    pub deployment: Option<DeploymentId>,
}

/// A deployment that succeeded.
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
    /// Succeeded, no changes, or planned.
    pub outcome: Outcome,
    /// True if the parameters below `/lockstep/images` of the account follow the deployment.
    pub channels: bool,
}

/// A failure, in the form of the execution's `Fail` state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// The stable error name.
    pub error: String,
    /// A sentence that an operator can act on.
    pub cause: String,
}

/// The parts of the configuration whose pending change took effect by time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// The parts.
    pub applied: Vec<ConfigKind>,
}

/// An open gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gated {
    /// Name of the execution that deploys.
    pub deploy_execution: String,
}

/// An image to promote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingImage {
    /// The image.
    pub image: ImageName,
    /// Its version.
    pub version: Version,
    /// Name of the execution that promotes it.
    pub execution: String,
}

/// Result of a packaged component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentResult {
    /// The component.
    pub component: String,
    /// The release.
    pub version: String,
    /// Published, deployed, baked (an image), or failed.
    pub outcome: Outcome,
    /// Reason of the failure as a sentence; empty otherwise.
    #[serde(default)]
    pub cause: String,
}

/// Result of a push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Done, superseded or rejected.
    pub outcome: Outcome,
    /// Error name of the execution if the outcome is `rejected`.
    pub error: String,
    /// Every problem and failure, one per line; or the push that superseded this one.
    pub cause: String,
    /// Results of all components.
    pub results: Vec<ComponentResult>,
}

/// The next round of a push.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ordered {
    /// The releases to test and deploy now, side by side; empty once none is left.
    pub ready: Vec<package::PackagedRelease>,
    /// Results of the components that cannot begin, because a producer did not succeed.
    pub not_begun: Vec<ComponentResult>,
}
