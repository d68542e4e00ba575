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

/// What a deployment record is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum DeploymentKind {
    /// A release goes to an environment.
    Deploy {
        /// The environment's name within its stage.
        environment: String,
        /// The stack.
        stack: StackName,
    },
    /// An environment's stack is deleted for good.
    Teardown {
        /// The environment's name within its stage.
        environment: String,
        /// The stack.
        stack: StackName,
    },
    /// An image goes to another account.
    PromoteImage {
        /// The image.
        image: ImageName,
        /// Where it comes from.
        source: Location,
    },
    /// An image is built in an account.
    BuildImage {
        /// The image.
        image: ImageName,
    },
}

/// Where a deployment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentState {
    /// It holds its environment and works.
    Running,
    /// It gave its environment back and waits for a person.
    AwaitingApproval,
    /// The environment runs the release, checks passed.
    Succeeded,
    /// The stack already ran the same template with the same parameters.
    NoChanges,
    /// It was only to show what it would do.
    Planned,
    /// It failed; `failure` says why.
    Failed,
    /// A person refused it, or nobody answered in time.
    Refused,
    /// Its execution ended without closing it.
    Abandoned,
}

impl DeploymentState {
    /// Whether nothing more will happen.
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

/// A person's wish that a deployment stops.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancellation {
    /// The ARN of who wants it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
}

/// One attempt to bring an environment to a release, or an image to an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Derived from the execution's ARN.
    pub id: DeploymentId,
    /// What it is about.
    #[serde(flatten)]
    pub kind: DeploymentKind,
    /// The execution that carries it out.
    pub execution: String,
    /// Where it stands.
    pub state: DeploymentState,
    /// The component; for an image, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<ComponentName>,
    /// The version of the release or image.
    pub version: Version,
    /// The stage it goes to.
    pub stage: StageName,
    /// The account and region of that stage.
    pub location: Location,
    /// Which of the two paths carries it.
    pub path: DeploymentPath,
    /// The epoch at which it holds its environment.
    pub epoch: u64,
    /// The release's artifact digest; for an image, none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Parameters given for this run only; such a run earns no evidence.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub overrides: BTreeMap<String, String>,
    /// Whether it only shows what it would do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plan_only: bool,
    /// Whether it also brings back what was changed outside of CloudFormation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revert_drift: bool,
    /// The stage whose parameters it takes instead of those of its own: a clone's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters_of: Option<StageName>,
    /// Who let it pass without the evidence of the stage before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<BreakGlass>,
    /// The resolved parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// Their digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters_digest: Option<Digest>,
    /// The digest of the template that the stack is to run (for the throw-away stack, the derived one).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_digest: Option<Digest>,
    /// The stack, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack_arn: Option<String>,
    /// The current change set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_set: Option<ChangeSet>,
    /// What the execution role lacks for it, as far as AWS said when the change set was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lack: Option<MissingPermissions>,
    /// Every operation started or about to be, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<Operation>,
    /// What a person must allow before the stack can be planned for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposal: Option<Proposal>,
    /// What was left behind when its stack was deleted: nothing manages it any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orphans: Vec<NamedResource>,
    /// Since when it waits for somebody else's operation on its stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_since: Option<Timestamp>,
    /// Who wants it to stop, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancellation: Option<Cancellation>,
    /// Whether the stack was brought to the release by this deployment.
    #[serde(default)]
    pub stack_changed: bool,
    /// Every question asked and its answer, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Approval>,
    /// The stack's outputs after the operation.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, String>,
    /// What really failed, first cause first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnosis: Vec<FailedEvent>,
    /// How it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureRecord>,
    /// The repository of the release, to show where a template line is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryId>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
}

impl Deployment {
    /// A deployment that runs since `now`, of which nothing else is known yet.
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

    /// The operation last started or about to be.
    pub fn operation(&self) -> Option<&Operation> {
        self.operations.last()
    }

    /// The key of the deployment `id`.
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
