//! Messages of the `image` function, which calls EC2.

use super::{Task, inputs};
use crate::model::caught_error::CaughtError;
use crate::model::ids::{DeploymentId, ImageName, StageName};
use crate::model::image_version_state::ImageVersionState;
use crate::model::location::Location;
use crate::model::version::Version;
use serde::{Deserialize, Serialize};

/// Requests of the state machines and the command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Request {
    /// Checks that the images of the deployment's release are usable at its target. The error `ImageUnusable` gives the
    /// reason if not.
    Verify {
        /// The deployment.
        deployment: DeploymentId,
    },
    /// Requests a copy slot in the target, then inspects the image and the target's copy. Returns [`Inspected`].
    Inspect {
        /// ARN of the execution.
        execution: String,
        /// The state machine's input.
        input: inputs::PromoteImage,
    },
    /// Stores the token until a copy slot is free in the target, or until the source is finished.
    Wait {
        /// The promotion.
        promotion: DeploymentId,
        /// The waiting state.
        task: Task,
    },
    /// Closes a promotion that a failed inspection may have started. Returns [`super::ledger::Failed`].
    Close {
        /// ARN of the execution.
        execution: String,
        /// The error of the inspection.
        error: CaughtError,
    },
    /// Shares the image, its snapshots and the use of their keys with the target account.
    Share {
        /// The promotion.
        promotion: DeploymentId,
    },
    /// Copies the image as the target account, or finds the copy, and stores the token until the copy ends.
    Copy {
        /// The promotion.
        promotion: DeploymentId,
        /// The waiting state.
        task: Task,
    },
    /// Reads the state of the copy. Returns [`Next`]; a copy that failed for the last time is the error
    /// `ImageUnusable`.
    Observe {
        /// The promotion.
        promotion: DeploymentId,
    },
    /// Removes a failed copy and its snapshots, so that the next copy can start.
    Retry {
        /// The promotion.
        promotion: DeploymentId,
    },
    /// Compares the copy with its source.
    Compare {
        /// The promotion.
        promotion: DeploymentId,
    },
    /// Withdraws the shares of the promotion, if there are any.
    Unshare {
        /// The promotion.
        promotion: DeploymentId,
    },
    /// Records the copy as usable. Returns [`Promoted`].
    Record {
        /// The promotion.
        promotion: DeploymentId,
    },
    /// Removes a partial copy and its snapshots, if there are any.
    Discard {
        /// The promotion.
        promotion: DeploymentId,
    },
    /// Closes the promotion as failed. Returns [`super::ledger::Failed`].
    Fail {
        /// The promotion.
        promotion: DeploymentId,
        /// The error that ended the promotion.
        error: CaughtError,
    },
    /// Closes a promotion whose execution certainly ended without closing it: discards the copy and withdraws the
    /// shares.
    Abandon {
        /// The promotion.
        promotion: DeploymentId,
    },
    /// Takes the step that is due in the retirement of a version, as far as its record changes. The sweep proposes it to the
    /// function of the delivery path, which owns versions. Returns [`Retained`].
    Retain {
        /// The image.
        image: ImageName,
        /// The version.
        version: Version,
    },
    /// Deletes the record of an image that EC2 does not have any more. The sweep proposes it to the function of the
    /// path of the account. Returns [`Forgotten`].
    Forget {
        /// The image.
        image: ImageName,
        /// The version.
        version: Version,
        /// The account and region.
        location: Location,
    },
    /// Sets the parameters below `/lockstep/images` at the locations of this path. Returns [`Followed`].
    Channels {
        /// Images that may have no parameter yet. The images of existing parameters are compared too.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        images: Vec<ImageName>,
        /// A stage whose account and region are meant; `None` for every location of this path. A stage of the other
        /// path has no parameter that this function may set.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stage: Option<StageName>,
    },
    /// Imports an image that was made elsewhere: checks, tags and records it. Returns [`Promoted`].
    Import {
        /// Id of the AMI.
        ami: crate::model::ids::AmiId,
        /// Name that the image gets.
        name: ImageName,
        /// Version that the image gets.
        version: Version,
        /// The stage whose account and region have the image.
        stage: StageName,
    },
}

/// Result of an inspection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspected {
    /// The promotion.
    pub promotion: DeploymentId,
    /// The next step of the state machine.
    pub next: NextStep,
}

/// The next step of the state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NextStep {
    /// The target has the image already.
    Present,
    /// Share and copy the image.
    Copy,
    /// Wait: no copy slot is free, the source has not finished, or the copy has not.
    Wait,
    /// Remove the failed copy and start again.
    Again,
    /// Compare the finished copy.
    Compare,
}

/// Response with the next step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// The next step.
    pub next: NextStep,
}

/// A usable image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promoted {
    /// The image.
    pub image: ImageName,
    /// Its version.
    pub version: Version,
    /// Id of the AMI in the target.
    pub ami: crate::model::ids::AmiId,
}

/// Result of a step in the retirement of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retained {
    /// State of the version after the step; `None` if no step is due or the record does not change yet.
    pub state: Option<ImageVersionState>,
}

/// Result of a request to delete the record of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    /// The reason to keep the record; `None` if it is deleted.
    pub why_not: Option<String>,
}

/// The parameters that were changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Followed {
    /// One sentence for each parameter.
    pub parameters: Vec<String>,
}
