use super::{Key, Record, Table};
use crate::model::ids::{ComponentName, DeploymentId, Digest, StageName};
use crate::model::version::Version;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Which deployment holds an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseHolder {
    /// The deployment.
    pub deployment: DeploymentId,
    /// Its execution; `DescribeExecution` tells whether it still runs.
    pub execution: String,
    /// When it took the environment.
    pub since: Timestamp,
}

/// A release as it runs in an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployed {
    /// The version.
    pub version: Version,
    /// The artifact's digest.
    pub digest: Digest,
    /// The digest of the template the stack runs.
    pub template_digest: Digest,
    /// The digest of the resolved parameters the stack runs with.
    pub parameters_digest: Digest,
    /// The release that last changed the stack: the value of its `environment:version` tag.
    pub stack_version: Version,
    /// The deployment that brought it.
    pub deployment: DeploymentId,
    /// Whether its checks passed.
    pub checked: bool,
    /// When it came to run.
    pub since: Timestamp,
}

/// One component in one stage: the unit that is locked, deployed and checked for drift.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// The stage.
    pub stage: StageName,
    /// Its name within the stage: the component's name, unless it is a clone or a throw-away.
    pub name: String,
    /// The component.
    pub component: ComponentName,
    /// Rises each time a deployment takes the environment; every write of a deployment carries it.
    pub epoch: u64,
    /// Who holds it now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<LeaseHolder>,
    /// What runs now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployed: Option<Deployed>,
    /// What ran before; images it needs are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Deployed>,
    /// The ARN of the stack, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack_arn: Option<String>,
    /// Whether the stack was ever in a stable state; then nothing deletes it without an approval naming its ARN.
    #[serde(default)]
    pub ever_stable: bool,
    /// What the last recovery left unreconciled; promotion refuses a tainted environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taint: Option<String>,
    /// The last deployment, however it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_deployment: Option<DeploymentId>,
}

impl Environment {
    /// The key of the environment `name` in `stage`.
    pub fn key_of(stage: &StageName, name: &str) -> Key {
        Key::new(format!("STAGE#{stage}"), format!("COMPONENT#{name}"))
    }

    /// Partition and sort-key prefix of all environments of `stage`.
    pub fn all_of(stage: &StageName) -> (String, &'static str) {
        (format!("STAGE#{stage}"), "COMPONENT#")
    }
}

impl Record for Environment {
    const KIND: &'static str = "ENVIRONMENT";
    const TABLE: Table = Table::Authority;

    fn key(&self) -> Key {
        Self::key_of(&self.stage, &self.name)
    }
}
