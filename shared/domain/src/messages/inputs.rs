//! The inputs of the state machines.

use crate::model::ids::{CommitSha, ComponentName, ImageName, RepositoryId, StageName};
use crate::model::version::Version;
use crate::records::Follows;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Input of `release`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The registered repository.
    pub repository: RepositoryId,
    /// The git ref, such as `refs/heads/main`.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The commit to release.
    pub commit: CommitSha,
    /// Id of the webhook delivery that reported the push; an operator leaves it out.
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
    /// The stage to deploy to.
    pub stage: StageName,
    /// The environment's name, if it is not the component's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The stage that provides the parameters instead of `stage`; set for a clone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters_of: Option<StageName>,
    /// Parameters for this run only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub overrides: BTreeMap<String, String>,
    /// True to make and show the change set without executing it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plan_only: bool,
    /// True to revert drift as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revert_drift: bool,
    /// The changed inputs for which Lockstep deploys the running release again; `None` otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<Follows>,
}

impl Deploy {
    /// Returns the input for a plain deployment of a release to a stage.
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
            follows: None,
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
    /// The stage to promote to.
    pub to: StageName,
    /// True to revert the drift of the environment as well.
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
    /// The stage whose account and region receive the image.
    pub to: StageName,
}

/// Input of `bake-image`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BakeImage {
    /// The image's name in its recipe.
    pub image: ImageName,
    /// The registered repository with the recipe.
    pub repository: RepositoryId,
    /// The commit to build.
    pub commit: CommitSha,
    /// The git ref. The default branch makes a version, any other branch a pre-release.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Values of the recipe's variables for this build only. They make it a pre-release.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub overrides: BTreeMap<String, String>,
}

/// Input of `build-image`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildImage {
    /// The image.
    pub image: ImageName,
    /// The version, already in the ledger.
    pub version: Version,
    /// The stage whose account and region the build runs in.
    pub stage: StageName,
}

/// Input of `drift`. Without any field, the execution looks at the environments whose turn it is, by the schedules of their
/// stages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// The stage to look at now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<StageName>,
    /// The component whose environments to look at; all of the stage if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<ComponentName>,
}
