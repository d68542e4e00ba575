//! Requests of operators to the `ledger` function over its IAM-authenticated URL, as the `lockstep` command sends them.

use super::run::Run;
use crate::model::administrators::Administrators;
use crate::model::branch_pattern::BranchPattern;
use crate::model::difference::Difference;
use crate::model::ids::{ComponentName, DeploymentId, Digest, ImageName, RepositoryId, StageName};
use crate::model::version::Version;
use crate::records::{AnswerKind, ConfigKind, OwnedName, Publication};
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};

/// A request. IAM identifies the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, VariantNames)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
#[strum(serialize_all = "snake_case")]
pub enum Request {
    /// Stores a new version of `stages.toml`. Returns [`Configured`].
    ApplyStages {
        /// Text of the file.
        text: String,
    },
    /// Stores a new version of the organisation's parameters. Returns [`Configured`].
    ApplyParameters {
        /// Text of the file.
        text: String,
    },
    /// Stores a new version of `people.toml`. Returns [`Configured`].
    ApplyPeople {
        /// Text of the file.
        text: String,
    },
    /// Sets the number of administrators. Returns [`Configured`].
    ApplyAdministrators {
        /// The number.
        administrators: Administrators,
    },
    /// Confirms a pending change of the configuration, which takes effect. Returns [`Applied`].
    ConfirmChange {
        /// Part of the configuration.
        config: ConfigKind,
        /// Number of the change that was shown to the administrator.
        number: u32,
    },
    /// Cancels a pending change of the configuration. Returns [`Applied`].
    CancelChange {
        /// Part of the configuration.
        config: ConfigKind,
        /// Number of the change that was shown to the administrator.
        number: u32,
    },
    /// Registers a repository, or changes its branch. Refuses another base URL. Returns [`Applied`].
    AddRepository {
        /// The repository.
        id: RepositoryId,
        /// The base URL of the provider's API.
        base_url: String,
        /// The default branch.
        branch: String,
        /// The other branches whose pushes are built and tested. Without a list the registration keeps its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        branches: Option<Vec<BranchPattern>>,
    },
    /// Removes the registration of a repository. Returns [`Applied`].
    RemoveRepository {
        /// The repository.
        id: RepositoryId,
    },
    /// Asks for the address of a repository's webhook. Changes nothing. Returns [`HookAddress`].
    ShowHook {
        /// The registered repository.
        id: RepositoryId,
    },
    /// Answers the question of a deployment. Returns [`Applied`].
    Decide {
        /// The deployment.
        deployment: DeploymentId,
        /// Key of the subject that was shown to the approver, see [`crate::records::Subject::key`]; any other key is
        /// refused.
        subject: String,
        /// Digest that was shown to the approver, if there was one.
        #[serde(default)]
        digest: Option<Digest>,
        /// Digest of all that was shown to the approver, see [`crate::delivery::approval::shown`].
        shown: Digest,
        /// The answer.
        decision: AnswerKind,
        /// The approver's reason.
        #[serde(default)]
        reason: Option<String>,
        /// Names of the resources that the approver gives up: every one that a proposal names.
        #[serde(default)]
        names: Vec<String>,
    },
    /// Starts a run, with the caller as its starter. Returns [`StartedRun`].
    Start {
        /// Name of the execution. A repeated request with the same name starts nothing more.
        name: String,
        /// The state machine with its input.
        run: Run,
    },
    /// Cancels a deployment. Returns [`Applied`].
    Cancel {
        /// The deployment.
        deployment: DeploymentId,
        /// The environment in whose queue the deployment waits, if it has not begun.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        waits_for: Option<WaitsFor>,
        /// The operator's reason.
        reason: String,
    },
    /// Releases an environment whose holder's execution has ended. Returns [`Applied`].
    Unlock {
        /// The stage.
        stage: StageName,
        /// The environment's name.
        environment: String,
    },
    /// Clears the taint of an environment that the caller reconciled by hand. Returns [`Applied`].
    Reconcile {
        /// The stage.
        stage: StageName,
        /// The environment's name.
        environment: String,
        /// The operator's note on the repair.
        reason: String,
    },
    /// Keeps the releases of pushes waiting for an environment. Returns [`Applied`].
    Hold {
        /// The stage.
        stage: StageName,
        /// The environment's name.
        environment: String,
        /// The operator's reason.
        reason: String,
    },
    /// Ends the hold of an environment. Returns [`Applied`].
    Resume {
        /// The stage.
        stage: StageName,
        /// The environment's name.
        environment: String,
    },
    /// Admits a release to a stage without the evidence of the stage before. Returns [`Applied`].
    BreakGlass {
        /// The component.
        component: ComponentName,
        /// The release.
        version: Version,
        /// The stage.
        stage: StageName,
        /// The operator's reason.
        reason: String,
    },
    /// Gives the name of a component or of an image to a registered repository. Returns [`Applied`].
    Assign {
        /// The name.
        name: OwnedName,
        /// The repository.
        to: RepositoryId,
    },
    /// Claims the name of an image that is about to be imported, and moves no claim. Returns [`Applied`].
    ClaimImported {
        /// The image.
        image: ImageName,
        /// The registered repository that may build the image; no repository may without one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<RepositoryId>,
    },
    /// Publishes a version of an image in a stage of the promotion path, or asks the approvers of the stage. Repeated
    /// after their answer, it carries the answer out. Returns [`Published`].
    PublishImage {
        /// The image.
        image: ImageName,
        /// The version.
        version: Version,
        /// The stage.
        stage: StageName,
    },
    /// Revokes a version of an image: no release may use it any more. Returns [`Applied`].
    RevokeImage {
        /// The image.
        image: ImageName,
        /// The version.
        version: Version,
        /// The operator's reason.
        reason: String,
    },
}

impl Request {
    /// Name of every action, for tests.
    pub const ACTIONS: &[&str] = Self::VARIANTS;
}

/// The environment that a queued deployment waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaitsFor {
    /// The stage.
    pub stage: StageName,
    /// The environment's name.
    pub environment: String,
}

/// Response to a request that succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Version of the stored object; for a decision, the number of the question.
    pub version: u32,
    /// True if the request changed anything.
    pub changed: bool,
}

/// Response to a new version of a part of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configured {
    /// Version that applies now.
    pub version: u32,
    /// True if the request changed the version that applies.
    pub changed: bool,
    /// Differences from the version before the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// The change that waits, with all its differences, because one of them weakens a protection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Pending>,
}

/// A change of the configuration that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Number of the change.
    pub number: u32,
    /// The condition of its effect, as a sentence.
    pub waits_for: String,
}

/// Response to [`Request::Start`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartedRun {
    /// ARN of the execution.
    pub execution: String,
}

/// Response to [`Request::PublishImage`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The publication.
    pub publication: Publication,
    /// True if the request changed anything.
    pub changed: bool,
}

/// Response to [`Request::ShowHook`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookAddress {
    /// Path of the hook below the webhook's URL, with a leading slash.
    pub path: String,
}

/// Response to a request that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The stable error name.
    pub error: String,
    /// A sentence that an operator can act on.
    pub message: String,
}
