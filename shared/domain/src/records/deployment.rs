use super::{
    Approval, BuildImageBody, DeployBody, DeploymentBody, FailureRecord, Key, Operation, PromoteImageBody,
    PublishImageBody, Record, StackRun, Table, TeardownBody,
};
use crate::model::deployment_path::DeploymentPath;
use crate::model::ids::{ComponentName, DeploymentId, Digest, StageName};
use crate::model::location::Location;
use crate::model::outcome::Outcome;
use crate::model::person::Starter;
use crate::model::version::Version;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// State of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentState {
    /// The deployment holds its environment and runs.
    Running,
    /// The deployment holds its environment and waits for an approver.
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
    /// Returns true if the state cannot change any more.
    pub fn is_final(self) -> bool {
        self.outcome().is_some()
    }

    /// Returns the outcome of a deployment in this state; `None` before its end.
    pub fn outcome(self) -> Option<Outcome> {
        match self {
            Self::Running | Self::AwaitingApproval => None,
            Self::Succeeded => Some(Outcome::Succeeded),
            Self::NoChanges => Some(Outcome::NoChanges),
            Self::Planned => Some(Outcome::Planned),
            Self::Failed => Some(Outcome::Failed),
            Self::Refused => Some(Outcome::Refused),
            Self::Abandoned => Some(Outcome::Abandoned),
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

/// Facts that each deployment has from its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentStart {
    /// Id of the deployment.
    pub id: DeploymentId,
    /// Execution that runs the deployment.
    pub execution: String,
    /// Version of the release or image.
    pub version: Version,
    /// Stage that it deploys to.
    pub stage: StageName,
    /// Account and region of that stage.
    pub location: Location,
    /// Deployment path that runs it.
    pub path: DeploymentPath,
    /// Start time.
    pub at: Timestamp,
}

/// One attempt to bring an environment to a release, or an image to an account. The body holds what its kind adds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Id, derived from the execution's ARN.
    pub id: DeploymentId,
    /// Execution that runs the deployment.
    pub execution: String,
    /// State of the deployment.
    pub state: DeploymentState,
    /// Version of the release or image.
    pub version: Version,
    /// Stage that it deploys to.
    pub stage: StageName,
    /// Account and region of that stage.
    pub location: Location,
    /// Deployment path that runs it.
    pub path: DeploymentPath,
    /// The identity that started it.
    #[serde(default, skip_serializing_if = "Starter::is_unknown")]
    pub starter: Starter,
    /// Epoch at which it holds its environment.
    pub epoch: u64,
    /// Every operation that was started or is about to start, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<Operation>,
    /// Request to stop, with its reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancellation: Option<Cancellation>,
    /// Every question with its answer, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Approval>,
    /// The failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureRecord>,
    /// Start time.
    pub started_at: Timestamp,
    /// End time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Kind of the deployment, with the fields that only this kind has.
    #[serde(flatten)]
    pub body: DeploymentBody,
}

impl Deployment {
    /// Beginning of the sort key of an unfinished deployment in the index. It is after every time, so a list that
    /// begins with the newest has every unfinished deployment, however old it is.
    pub const UNFINISHED: &str = "~";

    /// Returns a running deployment that no step has worked on yet, with an unknown starter.
    pub fn new(start: DeploymentStart, body: impl Into<DeploymentBody>) -> Self {
        Self {
            id: start.id,
            execution: start.execution,
            state: DeploymentState::Running,
            version: start.version,
            stage: start.stage,
            location: start.location,
            path: start.path,
            starter: Starter::Unknown,
            epoch: 0,
            operations: Vec::new(),
            cancellation: None,
            approvals: Vec::new(),
            failure: None,
            started_at: start.at,
            finished_at: None,
            body: body.into(),
        }
    }

    /// Returns the operation that was last started or is about to start.
    pub fn operation(&self) -> Option<&Operation> {
        self.operations.last()
    }

    /// Returns the key of the deployment `id`.
    pub fn key_of(id: &DeploymentId) -> Key {
        Key::new(Table::of(id.path()), format!("DEPLOYMENT#{id}"), "META")
    }

    /// Returns the body of the deployment of a release; `None` for another kind.
    pub fn deploy(&self) -> Option<&DeployBody> {
        match &self.body {
            DeploymentBody::Deploy(deploy) => Some(deploy),
            DeploymentBody::Teardown(_)
            | DeploymentBody::PromoteImage(_)
            | DeploymentBody::BuildImage(_)
            | DeploymentBody::PublishImage(_) => None,
        }
    }

    /// Returns the body of the deployment of a release for a change; `None` for another kind.
    pub fn deploy_mut(&mut self) -> Option<&mut DeployBody> {
        match &mut self.body {
            DeploymentBody::Deploy(deploy) => Some(deploy),
            DeploymentBody::Teardown(_)
            | DeploymentBody::PromoteImage(_)
            | DeploymentBody::BuildImage(_)
            | DeploymentBody::PublishImage(_) => None,
        }
    }

    /// Returns the body of a teardown; `None` for another kind.
    pub fn teardown(&self) -> Option<&TeardownBody> {
        match &self.body {
            DeploymentBody::Teardown(teardown) => Some(teardown),
            DeploymentBody::Deploy(_)
            | DeploymentBody::PromoteImage(_)
            | DeploymentBody::BuildImage(_)
            | DeploymentBody::PublishImage(_) => None,
        }
    }

    /// Returns the body of the promotion of an image; `None` for another kind.
    pub fn promotion(&self) -> Option<&PromoteImageBody> {
        match &self.body {
            DeploymentBody::PromoteImage(promotion) => Some(promotion),
            DeploymentBody::Deploy(_)
            | DeploymentBody::Teardown(_)
            | DeploymentBody::BuildImage(_)
            | DeploymentBody::PublishImage(_) => None,
        }
    }

    /// Returns the body of the build of an image; `None` for another kind.
    pub fn build(&self) -> Option<&BuildImageBody> {
        match &self.body {
            DeploymentBody::BuildImage(build) => Some(build),
            DeploymentBody::Deploy(_)
            | DeploymentBody::Teardown(_)
            | DeploymentBody::PromoteImage(_)
            | DeploymentBody::PublishImage(_) => None,
        }
    }

    /// Returns the body of the publication of an image; `None` for another kind.
    pub fn publication(&self) -> Option<&PublishImageBody> {
        match &self.body {
            DeploymentBody::PublishImage(publication) => Some(publication),
            DeploymentBody::Deploy(_)
            | DeploymentBody::Teardown(_)
            | DeploymentBody::PromoteImage(_)
            | DeploymentBody::BuildImage(_) => None,
        }
    }

    /// Returns the work on a stack; `None` if the deployment is about an image.
    pub fn stack(&self) -> Option<&StackRun> {
        match &self.body {
            DeploymentBody::Deploy(deploy) => Some(&deploy.stack),
            DeploymentBody::Teardown(teardown) => Some(&teardown.stack),
            DeploymentBody::PromoteImage(_)
            | DeploymentBody::BuildImage(_)
            | DeploymentBody::PublishImage(_) => None,
        }
    }

    /// Returns the work on a stack for a change; `None` if the deployment is about an image.
    pub fn stack_mut(&mut self) -> Option<&mut StackRun> {
        match &mut self.body {
            DeploymentBody::Deploy(deploy) => Some(&mut deploy.stack),
            DeploymentBody::Teardown(teardown) => Some(&mut teardown.stack),
            DeploymentBody::PromoteImage(_)
            | DeploymentBody::BuildImage(_)
            | DeploymentBody::PublishImage(_) => None,
        }
    }

    /// Returns the component; `None` if the deployment is about an image.
    pub fn component(&self) -> Option<&ComponentName> {
        self.stack().map(|stack| &stack.component)
    }

    /// Returns the digest of the artifact that the deployment deploys, or whose stack it deletes.
    pub fn digest(&self) -> Option<&Digest> {
        match &self.body {
            DeploymentBody::Deploy(deploy) => Some(&deploy.digest),
            DeploymentBody::Teardown(teardown) => teardown.digest.as_ref(),
            DeploymentBody::PromoteImage(_)
            | DeploymentBody::BuildImage(_)
            | DeploymentBody::PublishImage(_) => None,
        }
    }

    /// Returns true if the deployment only plans its changes.
    pub fn is_plan_only(&self) -> bool {
        self.deploy().is_some_and(|deploy| deploy.plan_only)
    }
}

impl Record for Deployment {
    const KIND: &'static str = "DEPLOYMENT";
    const TABLES: &'static [Table] = &[Table::Delivery, Table::Promotion];

    fn key(&self) -> Key {
        Self::key_of(&self.id)
    }

    fn listed_at(&self) -> Option<String> {
        let unfinished = if self.state.is_final() { "" } else { Self::UNFINISHED };
        Some(format!("{unfinished}{}", self.started_at))
    }
}
