//! The inputs of the state machines.

use crate::model::ids::{CommitSha, ComponentName, ImageName, RepositoryId, StageName};
use crate::model::version::Version;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Input of `release`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The subscribed repository.
    pub repository: RepositoryId,
    /// The git ref, such as `refs/heads/main`.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The commit to release.
    pub commit: CommitSha,
    /// The delivery that asked for it; a person leaves it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<String>,
}

/// Input of `deploy`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deploy {
    /// The component.
    pub component: ComponentName,
    /// The release.
    pub version: Version,
    /// Where to.
    pub stage: StageName,
    /// The environment's name, if it is not the component's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The stage whose parameters it takes, if not those of its own: for a clone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters_of: Option<StageName>,
    /// Parameters for this run only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub overrides: BTreeMap<String, String>,
    /// Only show the change set: nothing is executed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plan_only: bool,
    /// Also bring back what was changed outside of CloudFormation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revert_drift: bool,
}

impl Deploy {
    /// A release goes to a stage, as it is.
    pub fn new(component: ComponentName, version: Version, stage: StageName) -> Self {
        Self {
            component,
            version,
            stage,
            environment: None,
            parameters_of: None,
            overrides: BTreeMap::new(),
            plan_only: false,
            revert_drift: false,
        }
    }
}

/// Input of `teardown`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Teardown {
    /// The component.
    pub component: ComponentName,
    /// The stage.
    pub stage: StageName,
    /// The environment's name, if it is not the component's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

/// Input of `promote`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promote {
    /// The component.
    pub component: ComponentName,
    /// The release.
    pub version: Version,
    /// The stage it goes to.
    pub to: StageName,
    /// Also bring back what was changed there outside of CloudFormation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revert_drift: bool,
}

/// Input of `promote-image`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromoteImage {
    /// The image.
    pub image: ImageName,
    /// Its version.
    pub version: Version,
    /// The stage whose account and region must have it.
    pub to: StageName,
}

/// Input of `bake-image`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BakeImage {
    /// The image, as its recipe names it.
    pub image: ImageName,
    /// The subscribed repository with the recipe.
    pub repository: RepositoryId,
    /// The commit to build.
    pub commit: CommitSha,
    /// The git ref: on the default branch a version, elsewhere a pre-release.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Values of the recipe's variables for this build only, which makes a pre-release of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub overrides: BTreeMap<String, String>,
}

/// Input of `build-image`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildImage {
    /// The image.
    pub image: ImageName,
    /// The version, which the ledger knows.
    pub version: Version,
    /// The stage in whose account and region it is built.
    pub stage: StageName,
}
