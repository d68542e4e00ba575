//! The `package` function.

use super::inputs;
use crate::model::base_image::Base;
use crate::model::ids::{CommitSha, Digest, ImageName, RepositoryId, StageName};
use crate::model::version::MajorMinor;
use serde::{Deserialize, Serialize};

/// What the function is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Asked {
    /// Package one recipe of a commit. Answers [`Recipe`].
    Recipe(inputs::BakeImage),
    /// Package every component of a commit. Answers [`Response`].
    Commit(Request),
}

/// Fetch, validate and build every component of a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The subscribed repository.
    pub repository: RepositoryId,
    /// The git ref.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The commit.
    pub commit: CommitSha,
    /// The delivery that told of the push; without one a person asked for this very commit.
    #[serde(default)]
    pub delivery: Option<String>,
    /// The `release` execution.
    pub execution: String,
    /// Whether the commit's recipes have been baked: then its components are packaged whatever recipes it changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub baked: bool,
}

/// A recipe that is to be baked before components are packaged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedRecipe {
    /// The image.
    pub image: ImageName,
    /// The name of the execution that bakes it.
    pub execution: String,
}

/// A recipe that can be built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// Its folder in the repository.
    pub folder: String,
    /// The author's part of the version.
    pub of: MajorMinor,
    /// The branch of a pre-release; none on the default branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The S3 key of the artifact in the control plane's bucket.
    pub artifact: String,
    /// The digest of what people wrote.
    pub digest: Digest,
    /// The image it starts from.
    pub base: Base,
    /// For how many days a pre-release lives.
    pub ttl_days: u32,
}

/// What became of one component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A release was built; it must pass its test.
    Packaged,
    /// The folder and its images are those of the newest published release.
    Unchanged,
    /// It is wrong; `problems` says how.
    Rejected,
}

/// One component of the commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// Its name, or its folder if the manifest has no readable name.
    pub component: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Its version; empty if rejected.
    pub version: String,
    /// The throw-away environment that tests it.
    pub environment: String,
    /// Whether it goes no further than its test.
    pub pre_release: bool,
    /// The name of the execution that tests it.
    pub test_execution: String,
    /// Where it goes by itself once published, in order.
    pub deployments: Vec<NextDeployment>,
    /// `file:line: message`, one each.
    pub problems: Vec<String>,
}

/// One stage that a release reaches by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextDeployment {
    /// The stage.
    pub stage: StageName,
    /// The name of the execution that deploys there.
    pub execution: String,
}

/// Every component of the commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// In the order of their folders; with rejected recipes among them. Beside recipes that are to be baked there are
    /// none but those: what is packaged comes after.
    pub components: Vec<Component>,
    /// The recipes that were changed, in the order of their folders.
    #[serde(default)]
    pub recipes: Vec<ChangedRecipe>,
}
