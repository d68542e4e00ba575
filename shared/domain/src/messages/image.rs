//! The `image` function: EC2.

use super::{Task, inputs};
use crate::model::caught_error::CaughtError;
use crate::model::ids::{DeploymentId, ImageName, StageName};
use crate::model::version::Version;
use serde::{Deserialize, Serialize};

/// What the state machines and the command ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Request {
    /// Are the images of this deployment's release usable where it goes? The error `ImageUnusable` says why not.
    Verify {
        /// The deployment.
        deployment: DeploymentId,
    },
    /// Ask for room in the target, then look at the image and at what the target has. Answers [`Inspected`].
    Inspect {
        /// The execution.
        execution: String,
        /// The state machine's input.
        input: inputs::PromoteImage,
    },
    /// Wait for room in the target, or for the source to be finished; the token waits for it.
    Wait {
        /// The promotion.
        promotion: DeploymentId,
        /// The waiting state.
        task: Task,
    },
    /// Close what an inspection that failed may have begun. Answers [`super::ledger::Failed`].
    Close {
        /// The execution.
        execution: String,
        /// What went wrong.
        error: CaughtError,
    },
    /// Share the image, its snapshots and the use of their keys with the target account.
    Share {
        /// The promotion.
        promotion: DeploymentId,
    },
    /// Copy as the target account, or find the copy; the token waits for the end.
    Copy {
        /// The promotion.
        promotion: DeploymentId,
        /// The waiting state.
        task: Task,
    },
    /// Look at the copy. Answers [`Next`]; one that failed for the last time is the error `ImageUnusable`.
    Observe {
        /// The promotion.
        promotion: DeploymentId,
    },
    /// Remove a copy that failed, with its snapshots, so that it can be begun again.
    Retry {
        /// The promotion.
        promotion: DeploymentId,
    },
    /// Compare the copy with its source.
    Compare {
        /// The promotion.
        promotion: DeploymentId,
    },
    /// Withdraw what was shared; it may never have been.
    Unshare {
        /// The promotion.
        promotion: DeploymentId,
    },
    /// Record the copy as usable. Answers [`Promoted`].
    Record {
        /// The promotion.
        promotion: DeploymentId,
    },
    /// Remove a partial copy and its snapshots; there may be none.
    Discard {
        /// The promotion.
        promotion: DeploymentId,
    },
    /// Close the promotion as failed. Answers [`ledger::Failed`].
    Fail {
        /// The promotion.
        promotion: DeploymentId,
        /// What went wrong.
        error: CaughtError,
    },
    /// Close a promotion whose execution certainly ended without doing so: discard its copy, withdraw what it shared.
    Abandon {
        /// The promotion.
        promotion: DeploymentId,
    },
    /// Take over an image made elsewhere: check it, tag it, record it. Answers [`Promoted`].
    Import {
        /// The image's id.
        ami: crate::model::ids::AmiId,
        /// The name it gets.
        name: ImageName,
        /// The version it gets.
        version: Version,
        /// The stage whose account and region has it.
        stage: StageName,
    },
}

/// What `inspect` found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspected {
    /// The promotion.
    pub promotion: DeploymentId,
    /// Where the state machine goes next.
    pub next: NextStep,
}

/// Where the state machine goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NextStep {
    /// The target has it already.
    Present,
    /// Share and copy it.
    Copy,
    /// There is no room yet, the source is not finished, or the copy is not: wait.
    Wait,
    /// The copy failed: remove it and begin again.
    Again,
    /// The copy is finished: compare it.
    Compare,
}

/// Where the state machine goes next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// There.
    pub next: NextStep,
}

/// The image is usable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promoted {
    /// The image.
    pub image: ImageName,
    /// Its version.
    pub version: Version,
    /// Its id where it was brought to.
    pub ami: crate::model::ids::AmiId,
}
