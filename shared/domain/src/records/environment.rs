use super::{Key, Partition, Record, Table};
use crate::model::ids::{AmiId, ComponentName, DeploymentId, Digest, ImageName, StageName};
use crate::model::output_name::OutputName;
use crate::model::version::Version;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

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
    /// Names of the parameters that its deployment overrode. No stage before tested their values.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub overridden: BTreeSet<String>,
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

/// A deployment that waits until its environment is free.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedDeployment {
    /// The deployment, which has not begun: it has no other record before it begins or ends.
    pub deployment: DeploymentId,
    /// Execution of the deployment.
    pub execution: String,
    /// Version of its release. For a teardown, the version that it removes.
    pub version: Version,
    /// Time at which its release was packaged, if a push started the deployment; `None` if a person did. Releases of pushes
    /// have the order of their commits by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed: Option<Timestamp>,
    /// True if its stage runs the releases of all pushes, in the order of their commits.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_order: bool,
    /// True for a teardown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub teardown: bool,
    /// Time at which it joined the queue.
    pub since: Timestamp,
    /// Number of its current callback, counted from 1.
    pub ticket: u32,
}

/// A hold of an environment: releases of pushes wait until an operator resumes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// ARN of the operator.
    pub by: String,
    /// Reason of the operator.
    pub reason: String,
    /// Time of the hold.
    pub at: Timestamp,
}

/// A release that a push brought to an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushedRelease {
    /// The version.
    pub version: Version,
    /// Time at which it was packaged.
    pub packaged_at: Timestamp,
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
    /// Current holder of the lease. A deployment that waits for an answer remains the holder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<LeaseHolder>,
    /// Deployments that wait until the environment is free, in the order in which they came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub queue: Vec<QueuedDeployment>,
    /// Newest release that a push brought here, begun or queued. An older one of a push is overtaken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_push: Option<PushedRelease>,
    /// Release that runs now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployed: Option<Deployed>,
    /// Releases that a rollback may return to, newest last: each ran before `deployed` and passed its checks here, and no
    /// deployment has gone back behind it since. The images that they need are retained.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Deployed>,
    /// Digests of the outputs of other components that the stack runs with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<OutputName, Digest>,
    /// Digests of the outputs of the stack, by name. Consumers read them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, Digest>,
    /// The new inputs for which the release was last deployed again, whatever its end. No deployment brings them twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub followed: Option<Digest>,
    /// Mark that keeps the releases of pushes waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
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
    /// Returns an environment that no deployment has acquired yet.
    pub fn new(stage: StageName, name: impl Into<String>, component: ComponentName) -> Self {
        Self {
            stage,
            name: name.into(),
            component,
            epoch: 0,
            holder: None,
            queue: Vec::new(),
            newest_push: None,
            deployed: None,
            history: Vec::new(),
            inputs: BTreeMap::new(),
            outputs: BTreeMap::new(),
            followed: None,
            hold: None,
            proven_images: None,
            stack_arn: None,
            ever_stable: false,
            taint: None,
            last_deployment: None,
        }
    }

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
