//! The `package` function.

use crate::ids::{CommitSha, RepositoryId, StageName};
use serde::{Deserialize, Serialize};

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
    /// In the order of their folders.
    pub components: Vec<Component>,
}
