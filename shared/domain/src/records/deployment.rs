use super::{
    Approval, BreakGlass, ChangeSet, FailedEvent, FailureRecord, Key, NamedResource, Operation, Proposal,
    Record, Table,
};
use crate::model::deployment_path::DeploymentPath;
use crate::model::ids::{ComponentName, DeploymentId, Digest, ImageName, RepositoryId, StackName, StageName};
use crate::model::location::Location;
use crate::model::missing_permissions::MissingPermissions;
use crate::model::version::Version;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Kind of a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum DeploymentKind {
    /// Deploys a release to an environment.
    Deploy {
        /// Name of the environment within its stage.
        environment: String,
        /// The stack.
        stack: StackName,
    },
    /// Deletes the stack of an environment for good.
    Teardown {
        /// Name of the environment within its stage.
        environment: String,
        /// The stack.
        stack: StackName,
    },
    /// Copies an image to another account.
    PromoteImage {
        /// The image.
        image: ImageName,
        /// Location of the image that it copies.
        source: Location,
    },
    /// Builds an image in an account.
    BuildImage {
        /// The image.
        image: ImageName,
    },
}

impl DeploymentKind {
    /// Returns the word of the record, which is also the value of the dimension `kind`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Deploy { .. } => "deploy",
            Self::Teardown { .. } => "teardown",
            Self::PromoteImage { .. } => "promote_image",
            Self::BuildImage { .. } => "build_image",
        }
    }
}

/// State of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentState {
    /// The deployment holds its environment and runs.
    Running,
    /// The deployment released its environment and waits for an approver.
    AwaitingApproval,
    /// The environment runs the release, and its checks passed.
    Succeeded,
    /// The stack already ran the same template with the same parameters.
    NoChanges,
    /// The deployment only planned its changes.
    Planned,
    /// The deployment failed; `failure` holds the reason.
    Failed,
    /// An approver refused the deployment, or no answer came in time.
    Refused,
    /// The execution ended without closing the deployment.
    Abandoned,
}

impl DeploymentState {
    /// Returns the word of the record, which is also the value of the dimension `outcome`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::AwaitingApproval => "awaiting_approval",
            Self::Succeeded => "succeeded",
            Self::NoChanges => "no_changes",
            Self::Planned => "planned",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Abandoned => "abandoned",
        }
    }

    /// Returns true if the state cannot change any more.
    pub fn is_final(self) -> bool {
        match self {
            Self::Running | Self::AwaitingApproval => false,
            Self::Succeeded
            | Self::NoChanges
            | Self::Planned
            | Self::Failed
            | Self::Refused
            | Self::Abandoned => true,
        }
    }
}

/// An operator's request to stop a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancellation {
    /// ARN of the operator.
    pub by: String,
    /// Reason for the request.
    pub reason: String,
    /// Time of the request.
    pub at: Timestamp,
}

/// One attempt to bring an environment to a release, or an image to an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Id, derived from the execution's ARN.
    pub id: DeploymentId,
    /// Kind of the deployment.
    #[serde(flatten)]
    pub kind: DeploymentKind,
    /// Execution that runs the deployment.
    pub execution: String,
    /// State of the deployment.
    pub state: DeploymentState,
    /// The component; `None` for an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<ComponentName>,
    /// Version of the release or image.
    pub version: Version,
    /// Stage that it deploys to.
    pub stage: StageName,
    /// Account and region of that stage.
    pub location: Location,
    /// Deployment path that runs it.
    pub path: DeploymentPath,
    /// Epoch at which it holds its environment.
    pub epoch: u64,
    /// Digest of the release's artifact; `None` for an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Parameters for this deployment only. A deployment with overrides earns no evidence.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub overrides: BTreeMap<String, String>,
    /// True if the deployment only plans its changes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plan_only: bool,
    /// True if the deployment also reverts drift: changes made outside CloudFormation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revert_drift: bool,
    /// The stage that supplies the parameters, for a clone. `None` takes those of the deployment's own stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters_of: Option<StageName>,
    /// Permission to pass without the evidence of the stage before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<BreakGlass>,
    /// The resolved parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// Digest of the resolved parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters_digest: Option<Digest>,
    /// Digest of the template that the stack must run. For a test stack, that of the derived template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_digest: Option<Digest>,
    /// ARN of the stack, once it exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack_arn: Option<String>,
    /// The current change set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_set: Option<ChangeSet>,
    /// Permissions that the execution role lacks, as far as AWS reported them when the change set was
    /// created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lack: Option<MissingPermissions>,
    /// Every operation that was started or is about to start, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<Operation>,
    /// The proposal that an approver must allow before the stack can be planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposal: Option<Proposal>,
    /// Resources that remained when the stack was deleted. No stack manages them any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orphans: Vec<NamedResource>,
    /// Time at which it began to wait for a foreign operation on its stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_since: Option<Timestamp>,
    /// Request to stop, with its reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancellation: Option<Cancellation>,
    /// True if this deployment updated the stack to the release.
    #[serde(default)]
    pub stack_changed: bool,
    /// Every question with its answer, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Approval>,
    /// Outputs of the stack after the operation.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, String>,
    /// Events that caused the failure, first cause first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnosis: Vec<FailedEvent>,
    /// The failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureRecord>,
    /// Repository of the release, for links to lines of the template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryId>,
    /// Start time.
    pub started_at: Timestamp,
    /// End time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
}

impl Deployment {
    /// Returns a deployment that starts at `now`, with every other field empty.
    #[expect(clippy::too_many_arguments, reason = "what every deployment has from its beginning")]
    pub fn new(
        id: DeploymentId,
        kind: DeploymentKind,
        execution: &str,
        version: Version,
        stage: StageName,
        location: Location,
        path: DeploymentPath,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            kind,
            execution: execution.to_owned(),
            state: DeploymentState::Running,
            component: None,
            version,
            stage,
            location,
            path,
            epoch: 0,
            digest: None,
            overrides: BTreeMap::new(),
            plan_only: false,
            revert_drift: false,
            parameters_of: None,
            break_glass: None,
            parameters: BTreeMap::new(),
            parameters_digest: None,
            template_digest: None,
            stack_arn: None,
            change_set: None,
            lack: None,
            operations: Vec::new(),
            proposal: None,
            orphans: Vec::new(),
            waits_since: None,
            cancellation: None,
            stack_changed: false,
            approvals: Vec::new(),
            outputs: BTreeMap::new(),
            diagnosis: Vec::new(),
            failure: None,
            repository: None,
            started_at: now,
            finished_at: None,
        }
    }

    /// Returns the operation that was last started or is about to start.
    pub fn operation(&self) -> Option<&Operation> {
        self.operations.last()
    }

    /// Returns the key of the deployment `id`.
    pub fn key_of(id: &DeploymentId) -> Key {
        Key::new(format!("DEPLOYMENT#{id}"), "META")
    }
}

impl Record for Deployment {
    const KIND: &'static str = "DEPLOYMENT";
    const TABLE: Table = Table::Operations;

    fn key(&self) -> Key {
        Self::key_of(&self.id)
    }

    fn listed_at(&self) -> Option<String> {
        Some(self.started_at.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_words_of_metrics_are_those_of_the_record() {
        for state in [
            DeploymentState::Running,
            DeploymentState::AwaitingApproval,
            DeploymentState::Succeeded,
            DeploymentState::NoChanges,
            DeploymentState::Planned,
            DeploymentState::Failed,
            DeploymentState::Refused,
            DeploymentState::Abandoned,
        ] {
            assert_eq!(json!(state), json!(state.as_str()));
        }
        let image: ImageName = "logstash".parse().unwrap();
        let source: Location =
            serde_json::from_value(json!({"account": "111111111111", "region": "eu-west-1"})).unwrap();
        let stack = || "lockstep-ci-web".parse().unwrap();
        for kind in [
            DeploymentKind::Deploy { environment: "web".into(), stack: stack() },
            DeploymentKind::Teardown { environment: "web".into(), stack: stack() },
            DeploymentKind::PromoteImage { image: image.clone(), source },
            DeploymentKind::BuildImage { image },
        ] {
            assert_eq!(json!(kind)["kind"], json!(kind.as_str()));
        }
    }
}
