//! Messages of the `package` function.

use super::inputs;
use crate::model::base_image::Base;
use crate::model::ids::{CommitSha, ComponentName, Digest, ImageName, RepositoryId, StageName};
use crate::model::version::{MajorMinor, Version};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Requests of the state machines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Request {
    /// Packages every component of a commit. Returns [`Response::Packaged`] or [`Response::BakeFirst`].
    Commit(CommitRequest),
    /// Packages one recipe of a commit. Returns [`Response::Recipe`].
    Recipe(inputs::BakeImage),
}

/// Request to fetch, validate and build every component of a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitRequest {
    /// The registered repository.
    pub repository: RepositoryId,
    /// The git ref.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The commit.
    pub commit: CommitSha,
    /// Id of the webhook delivery that reported the push. Without an id, an operator asked for this commit.
    #[serde(default)]
    pub delivery: Option<String>,
    /// The `release` execution.
    pub execution: String,
    /// True once the commit's recipes are baked. The components are then packaged even if the commit changed recipes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub baked: bool,
}

/// A recipe that must be baked before the components are packaged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedRecipe {
    /// The image.
    pub image: ImageName,
    /// Name of the execution that bakes it.
    pub execution: String,
}

/// A recipe that can be built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// Its folder in the repository.
    pub folder: String,
    /// The author's part of the version.
    pub of: MajorMinor,
    /// The branch of a pre-release; `None` on the default branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The S3 key of the artifact in the control plane's bucket.
    pub artifact: String,
    /// Digest of the recipe's source files.
    pub digest: Digest,
    /// The base image.
    pub base: Base,
    /// Lifetime of a pre-release in days.
    pub ttl_days: u32,
}

/// Result of packaging one component of the commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum PackagedComponent {
    /// Packaging built a release, which must pass its test.
    Packaged(PackagedRelease),
    /// The folder and its images are those of the newest published release.
    Unchanged {
        /// The component.
        component: ComponentName,
        /// The published release.
        version: Version,
    },
    /// The component or the recipe is invalid.
    Rejected {
        /// Its name, or its folder if the manifest has no readable name.
        component: String,
        /// Problems in the form `file:line: message`, one each.
        problems: Vec<String>,
    },
}

/// A release to test and deploy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackagedRelease {
    /// The component.
    pub component: ComponentName,
    /// Its version.
    pub version: Version,
    /// The environment of the test stack.
    pub environment: String,
    /// True for a pre-release, which no stage after its test admits.
    pub pre_release: bool,
    /// The components whose outputs it reads.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub producers: BTreeSet<ComponentName>,
    /// Name of the execution that tests it.
    pub test_execution: String,
    /// The stages that it propagates to once published, in order.
    pub deployments: Vec<NextDeployment>,
}

/// A stage that a release propagates to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextDeployment {
    /// The stage.
    pub stage: StageName,
    /// Name of the execution that deploys there.
    pub execution: String,
}

/// Response of the function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Response {
    /// The commit changed recipes, which must be baked before its components are packaged.
    BakeFirst {
        /// The rejected recipes.
        components: Vec<PackagedComponent>,
        /// The changed recipes, in the order of their folders.
        recipes: Vec<ChangedRecipe>,
    },
    /// Every component of the commit is packaged, unchanged or rejected.
    Packaged {
        /// Components and rejected recipes in the order of their folders.
        components: Vec<PackagedComponent>,
    },
    /// One recipe is packaged.
    Recipe {
        /// The recipe.
        recipe: Recipe,
    },
}
