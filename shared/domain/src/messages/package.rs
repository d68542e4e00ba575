//! Messages of the `package` function.

use super::inputs;
use crate::model::base_image::Base;
use crate::model::ids::{CommitSha, Digest, ImageName, RepositoryId, StageName};
pub use crate::model::outcome::Outcome;
use crate::model::version::MajorMinor;
use serde::{Deserialize, Serialize};

/// Input of the function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Asked {
    /// Packages one recipe of a commit. Returns [`Recipe`].
    Recipe(inputs::BakeImage),
    /// Packages every component of a commit. Returns [`Response`].
    Commit(Request),
}

/// Request to fetch, validate and build every component of a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
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

/// One component of the commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// Its name, or its folder if the manifest has no readable name.
    pub component: String,
    /// Packaged, unchanged, or rejected with the reasons in `problems`.
    pub outcome: Outcome,
    /// Its version; empty if rejected.
    pub version: String,
    /// The environment of the test stack.
    pub environment: String,
    /// True for a pre-release, which no stage after its test admits.
    pub pre_release: bool,
    /// Name of the execution that tests it.
    pub test_execution: String,
    /// The stages that it propagates to once published, in order.
    pub deployments: Vec<NextDeployment>,
    /// Problems in the form `file:line: message`, one each.
    pub problems: Vec<String>,
}

/// A stage that a release propagates to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextDeployment {
    /// The stage.
    pub stage: StageName,
    /// Name of the execution that deploys there.
    pub execution: String,
}

/// Every component of the commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// Components and rejected recipes in the order of their folders. While recipes must be baked first, the list holds
    /// only rejected recipes; packaging follows after the bake.
    pub components: Vec<Component>,
    /// The changed recipes, in the order of their folders.
    #[serde(default)]
    pub recipes: Vec<ChangedRecipe>,
}
