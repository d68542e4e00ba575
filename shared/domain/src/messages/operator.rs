//! What people ask of the `ledger` function over its IAM-authenticated URL, as the `lockstep` command does.

use crate::model::ids::{ComponentName, DeploymentId, Digest, ImageName, RepositoryId, StageName};
use crate::model::version::Version;
use crate::records::Decision;
use serde::{Deserialize, Serialize};

/// A request; the caller is who IAM says it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Store a new version of `stages.toml`. Answers [`Applied`].
    ApplyStages {
        /// The file's text.
        text: String,
    },
    /// Store a new version of the organisation's parameters. Answers [`Applied`].
    ApplyParameters {
        /// The file's text.
        text: String,
    },
    /// Subscribe a repository, or change its branch or base URL. Answers [`Applied`].
    AddRepository {
        /// The repository.
        id: RepositoryId,
        /// The base URL of the provider's API.
        base_url: String,
        /// The default branch.
        branch: String,
    },
    /// Answer a deployment's question. Answers [`Applied`].
    Decide {
        /// The deployment.
        deployment: DeploymentId,
        /// The key of what the person saw, see [`crate::records::Subject::key`]; another one is refused.
        subject: String,
        /// The digest that the person saw, if there was one.
        #[serde(default)]
        digest: Option<Digest>,
        /// The answer.
        decision: Decision,
        /// Why.
        #[serde(default)]
        reason: Option<String>,
        /// The resources that the person gives up, by name: every one that a proposal names.
        #[serde(default)]
        names: Vec<String>,
    },
    /// Stop a deployment. Answers [`Applied`].
    Cancel {
        /// The deployment.
        deployment: DeploymentId,
        /// Why.
        reason: String,
    },
    /// Free an environment whose holder's execution has ended. Answers [`Applied`].
    Unlock {
        /// The stage.
        stage: StageName,
        /// The environment's name.
        environment: String,
    },
    /// Take the taint off an environment, which the caller reconciled by hand. Answers [`Applied`].
    Reconcile {
        /// The stage.
        stage: StageName,
        /// The environment's name.
        environment: String,
        /// What was done.
        reason: String,
    },
    /// Let a release into a stage without the evidence of the stage before. Answers [`Applied`].
    BreakGlass {
        /// The component.
        component: ComponentName,
        /// The release.
        version: Version,
        /// The stage.
        stage: StageName,
        /// Why.
        reason: String,
    },
    /// Let no release use a version of an image any more. Answers [`Applied`].
    RevokeImage {
        /// The image.
        image: ImageName,
        /// The version.
        version: Version,
        /// Why.
        reason: String,
    },
}

/// Done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The version of what was stored; for a decision, the number of the question.
    pub version: u32,
    /// Whether anything changed.
    pub changed: bool,
}

/// Refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The stable error name.
    pub error: String,
    /// A sentence a person can act on.
    pub message: String,
}
