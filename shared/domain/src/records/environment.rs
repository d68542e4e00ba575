use super::{Key, Partition, Record, Table};
use crate::model::ids::{AmiId, ComponentName, DeploymentId, Digest, ImageName, StageName};
use crate::model::version::Version;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Holder of an environment's lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseHolder {
    /// The deployment.
    pub deployment: DeploymentId,
    /// Execution of the deployment. `DescribeExecution` reports if it still runs.
    pub execution: String,
    /// Time at which the deployment acquired the environment.
    pub since: Timestamp,
}

/// A release as an environment runs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployed {
    /// The version.
    pub version: Version,
    /// The artifact's digest.
    pub digest: Digest,
    /// Digest of the template that the stack runs.
    pub template_digest: Digest,
    /// Digest of the resolved parameters that the stack runs with.
    pub parameters_digest: Digest,
    /// Digest of the values that CloudFormation read when it deployed; `None` if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_digest: Option<Digest>,
    /// Version of the release that last changed the stack: the value of its `environment:version` tag.
    pub stack_version: Version,
    /// The deployment that deployed the release.
    pub deployment: DeploymentId,
    /// True if its checks passed.
    pub checked: bool,
    /// Time at which it was deployed.
    pub since: Timestamp,
}

/// Version of an image in an account, as a deployment used it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvenImage {
    /// The image.
    pub name: ImageName,
    /// Version that the release locks.
    pub version: Version,
    /// AMI of the version in the account and region of the environment: the value that the stack got.
    pub ami: AmiId,
}

/// The images of the newest deployment that succeeded in an environment of the promotion path. The parameters below
/// `/lockstep/images` in its account follow them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvenImages {
    /// The deployment.
    pub deployment: DeploymentId,
    /// Version of its release.
    pub version: Version,
    /// Time at which it ended.
    pub at: Timestamp,
    /// Every image that the release locks; empty if it locks none.
    pub images: Vec<ProvenImage>,
}

/// One component in one stage at one target: the unit that is leased, deployed and checked for drift.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// The stage.
    pub stage: StageName,
    /// Name within the stage: the component's name, except for a clone or a test stack.
    pub name: String,
    /// The component.
    pub component: ComponentName,
    /// Number that rises each time a deployment acquires the environment. Every write of a deployment carries
    /// it.
    pub epoch: u64,
    /// Current holder of the lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<LeaseHolder>,
    /// Release that runs now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployed: Option<Deployed>,
    /// Release that ran before. The images that it needs are retained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Deployed>,
    /// Images of the newest deployment that succeeded here. `None` on the delivery path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proven_images: Option<ProvenImages>,
    /// ARN of the stack, once it exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack_arn: Option<String>,
    /// True if the stack was ever in a stable state. Then its deletion needs an approval that names its ARN.
    #[serde(default)]
    pub ever_stable: bool,
    /// State that the last recovery left unreconciled. Promotion refuses a tainted environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taint: Option<String>,
    /// The last deployment, whatever its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_deployment: Option<DeploymentId>,
}

impl Environment {
    /// Returns the key of the environment `name` in `stage`.
    pub fn key_of(stage: &StageName, name: &str) -> Key {
        Key::new(Table::Authority, format!("STAGE#{stage}"), format!("COMPONENT#{name}"))
    }

    /// Returns the partition and sort-key prefix of all environments of `stage`.
    pub fn all_of(stage: &StageName) -> Partition {
        Partition::new(Table::Authority, format!("STAGE#{stage}"), "COMPONENT#")
    }
}

impl Record for Environment {
    const KIND: &'static str = "ENVIRONMENT";
    const TABLES: &'static [Table] = &[Table::Authority];

    fn key(&self) -> Key {
        Self::key_of(&self.stage, &self.name)
    }
}
