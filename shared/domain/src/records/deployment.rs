use super::{BreakGlass, Key, Location, Record};
use crate::model::change::Change;
use crate::model::denial::Denial;
use crate::model::ids::{ComponentName, DeploymentId, Digest, ImageName, RepositoryId, StackName, StageName};
use crate::model::lack::Lack;
use crate::model::path::Path;
use crate::model::policies::Policies;
use crate::model::version::Version;
use jiff::{Timestamp, ToSpan};
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

/// The change set of a deployment, and what it would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeSet {
    /// Its ARN: what is executed, and what an approval names.
    pub arn: String,
    /// The attempt it was made at.
    pub attempt: u32,
    /// What it would do, nested stacks included.
    pub changes: Vec<Change>,
    /// The nested stacks of which it shows nothing, as it reverts drift: each is allowed by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unexamined: Vec<NamedResource>,
    /// The digest of the template it was made from.
    pub template_digest: Digest,
    /// The digest of the parameters it was made with.
    pub parameters_digest: Digest,
}

/// What a person decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Go on.
    Approve,
    /// Stop.
    Refuse,
}

/// What is proposed to do with a stack that no rule may touch by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProposedAction {
    /// Delete the stack, and with it the protected resources that are named.
    Delete,
    /// Delete what is left of the stack, and leave the named resources behind as orphans: each refused to be deleted.
    Retain,
    /// Finish the stack's rollback without the named resources: each refused to be rolled back.
    Skip,
}

impl ProposedAction {
    /// The word for it in [`Proposal::key`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Retain => "retain",
            Self::Skip => "skip",
        }
    }
}

/// A resource that a [`Proposal`] names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NamedResource {
    /// The name a person answers with: its logical id, with those of nested stacks before it; for
    /// [`ProposedAction::Skip`] as ContinueUpdateRollback takes it (`NestedStackName.LogicalId`).
    pub name: String,
    /// Its type.
    pub resource_type: String,
    /// Its physical id; empty if it never got one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub physical_id: String,
}

/// What only a person may allow: an action on the stack of this ARN, and every resource it costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// The stack's ARN.
    pub stack: String,
    /// What would be done.
    pub action: ProposedAction,
    /// The resources it is about, in the order of their names.
    pub resources: Vec<NamedResource>,
    /// For [`ProposedAction::Delete`]: what the stack's deletion policies keep, protected or not; nothing if that could
    /// not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policies: Option<Policies>,
}

impl Proposal {
    /// The names of the resources.
    pub fn names(&self) -> Vec<String> {
        self.resources.iter().map(|resource| resource.name.clone()).collect()
    }

    /// What an answer names: the action, the stack and every resource, so that another proposal has another key.
    pub fn key(&self) -> String {
        format!("{} {}: {}", self.action.as_str(), self.stack, self.names().join(", "))
    }

    /// Whether allowing this allows `other`: the same action on the same stack, with no further resource, and none that
    /// another policy awaits.
    pub fn covers(&self, other: &Proposal) -> bool {
        (&self.stack, self.action) == (&other.stack, other.action)
            && other.resources.iter().all(|resource| {
                self.resources.contains(resource)
                    && self.policy(&resource.name) == other.policy(&resource.name)
            })
    }

    /// The deletion policy that keeps something of the resource called `name`: `Retain`, `RetainExceptOnCreate` or
    /// `Snapshot`; nothing if none does, or if policies are not known.
    pub fn policy(&self, name: &str) -> Option<&str> {
        self.policies.as_ref()?.get(name).map(String::as_str)
    }

    /// The resources that would be left behind as they are, because their deletion policies say so.
    pub fn left_behind(&self) -> Vec<&str> {
        let policies = self.policies.iter().flatten();
        policies.filter(|(_, policy)| policy.starts_with("Retain")).map(|(name, _)| name.as_str()).collect()
    }
}

/// What a question is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The execution of this change set.
    ChangeSet(ChangeSet),
    /// An action on a stack that cannot be updated as it is, or that is to go.
    Proposal(Proposal),
}

impl Subject {
    /// What an answer names: the change set's ARN, or [`Proposal::key`].
    pub fn key(&self) -> String {
        match self {
            Self::ChangeSet(change_set) => change_set.arn.clone(),
            Self::Proposal(proposal) => proposal.key(),
        }
    }

    /// What an approval names, each by itself: what is given up, or what nobody looked into.
    pub fn names(&self) -> Vec<String> {
        let of = |resources: &[NamedResource]| resources.iter().map(|r| r.name.clone()).collect();
        match self {
            Self::ChangeSet(change_set) => of(&change_set.unexamined),
            Self::Proposal(proposal) => of(&proposal.resources),
        }
    }
}

/// A question to a person, bound to bytes, and the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Counted from 1: a changed plan asks again.
    pub number: u32,
    /// Why a person is asked: the stage wants it, or what would be destroyed.
    pub reasons: Vec<String>,
    /// What it is about.
    pub subject: Subject,
    /// The artifact's digest it is about; a teardown has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// The answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// The ARN of who answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// Why, if they said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When they answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Timestamp>,
}

impl Approval {
    /// For how many hours an approval counts: whoever gave it looked at a world that goes on changing.
    pub const VALID_HOURS: i64 = 24;

    /// Whether it is an approval, and still counts at `now`.
    pub fn allows(&self, now: Timestamp) -> bool {
        let counts = |at: Timestamp| at.checked_add(Self::VALID_HOURS.hours()).is_ok_and(|end| now < end);
        self.decision == Some(Decision::Approve) && self.decided_at.is_some_and(counts)
    }
}

/// What an AWS operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// Executes the change set.
    Execute,
    /// Deletes a stack that was never stable, so that it can be created again.
    Clear,
    /// Rolls a failed update back to the last stable state.
    Rollback,
    /// Goes on with a rollback that had failed.
    ContinueRollback,
    /// Deletes a stack that is torn down.
    Delete,
    /// Deletes a throw-away stack.
    Destroy,
    /// Copies an image.
    Copy,
    /// Builds an image.
    Build,
}

/// An AWS operation that this deployment started, or is about to: written before the call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// What it does.
    pub operation: OperationKind,
    /// Its deterministic client token.
    pub token: String,
    /// What it acts on: a stack's ARN, a change set's ARN, an image's ARN once known.
    pub target: String,
    /// The attempt: it rises only after the previous outcome was observed to have failed.
    pub attempt: u32,
    /// The resources that a person allowed to retain or to skip, as CloudFormation takes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
    /// When it was about to be started.
    pub at: Timestamp,
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

/// One thing that really failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedEvent {
    /// The logical id, with those of nested stacks before it: `Child.Queue`.
    pub logical_id: String,
    /// The resource's type.
    pub resource_type: String,
    /// The status, such as `CREATE_FAILED`.
    pub status: String,
    /// CloudFormation's reason.
    pub reason: String,
    /// The access that AWS denied, if that is the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denied: Option<Denial>,
    /// The line of the resource in the template; within a nested stack, that of the nested stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// When it failed.
    pub at: Timestamp,
}

/// How a deployment failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureRecord {
    /// The stable error name.
    pub error: String,
    /// A sentence a person can act on.
    pub message: String,
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
    pub path: Path,
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
    pub lack: Option<Lack>,
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
        path: Path,
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

    fn key(&self) -> Key {
        Self::key_of(&self.id)
    }

    fn listed_at(&self) -> Option<String> {
        Some(self.started_at.to_string())
    }
}

/// One line of a deployment's journal: an intent before an effect, or what was observed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The deployment.
    pub deployment: DeploymentId,
    /// Counted from 1 in the order things happened.
    pub number: u32,
    /// What was about to be done or was seen, as a short sentence for people.
    pub note: String,
    /// When.
    pub at: Timestamp,
}

impl Step {
    /// Partition and sort-key prefix of the journal of `id`, oldest first.
    pub fn all_of(id: &DeploymentId) -> (String, &'static str) {
        (format!("DEPLOYMENT#{id}"), "STEP#")
    }
}

impl Record for Step {
    const KIND: &'static str = "STEP";

    fn key(&self) -> Key {
        Key::new(format!("DEPLOYMENT#{}", self.deployment), format!("STEP#{:04}", self.number))
    }
}
