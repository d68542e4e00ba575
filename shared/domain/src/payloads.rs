//! What travels between state machines, functions and the command: the control plane's internal contract.
//!
//! The state machines in `statemachines/` name these fields; `tests/contract` holds both sides together. The inputs
//! of the state machines ([`inputs`]) are a public interface: what a person would type.

use crate::ids::{CommitSha, ComponentName, DeploymentId, Digest, ImageName, RepositoryId, StageName};
use crate::records::{Caught, Decision};
use crate::stages::Path;
use crate::version::Version;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The inputs of the state machines.
pub mod inputs {
    use super::*;

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
}

/// What a waiting state tells the function it invokes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The task token to answer.
    pub token: String,
    /// The execution's ARN.
    pub execution: String,
    /// When the state was entered.
    pub entered_at: Timestamp,
    /// How often it was retried.
    pub retry: u32,
}

/// The `package` function.
pub mod package {
    use super::*;

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
}

/// The `ledger` function: every change of an environment's state.
pub mod ledger {
    use super::*;

    /// What the state machines ask for.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(tag = "action", rename_all = "snake_case")]
    pub enum Request {
        /// Take the environment for this execution. Answers [`Begun`].
        Begin {
            /// The execution.
            execution: String,
            /// The path that the state machine belongs to.
            path: Path,
            /// The state machine's input.
            input: inputs::Deploy,
        },
        /// Take the environment to delete its stack. Answers [`Begun`].
        BeginTeardown {
            /// The execution.
            execution: String,
            /// The path that the state machine belongs to.
            path: Path,
            /// The state machine's input.
            input: inputs::Teardown,
        },
        /// Give the environment back, ask a person, and let the token wait for the answer.
        RequestApproval {
            /// The deployment.
            deployment: DeploymentId,
            /// The waiting state.
            task: Task,
        },
        /// Take the environment again after the answer. Answers [`Begun`]; a refusal is the error `ApprovalRefused`.
        Retake {
            /// The deployment.
            deployment: DeploymentId,
        },
        /// Close the deployment as succeeded. Answers [`Finished`].
        Complete {
            /// The deployment.
            deployment: DeploymentId,
        },
        /// Close the deployment as failed. Answers [`Failed`].
        Fail {
            /// The deployment.
            deployment: DeploymentId,
            /// What went wrong.
            error: Caught,
        },
        /// May this release go to that stage, and which images must be brought there? Answers [`Gated`].
        Gate {
            /// The execution.
            execution: String,
            /// The state machine's input.
            input: inputs::Promote,
        },
        /// The release passed its test.
        Publish {
            /// The component.
            component: ComponentName,
            /// The release.
            version: Version,
        },
        /// The release failed its test. Answers [`Failed`].
        FailRelease {
            /// The component.
            component: ComponentName,
            /// The release.
            version: Version,
            /// What went wrong.
            error: Caught,
        },
        /// The push is dealt with. Answers [`Summary`].
        FinishRelease {
            /// The state machine's input.
            input: inputs::Release,
            /// What `package` answered.
            components: Vec<package::Component>,
            /// What became of each packaged component.
            results: Vec<ComponentResult>,
            /// Why nothing could be packaged at all, if so.
            #[serde(default)]
            error: Option<Caught>,
        },
    }

    /// A deployment has begun.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Begun {
        /// Its id.
        pub deployment: DeploymentId,
        /// Whether its release needs images, which must be checked.
        pub images: bool,
    }

    /// A deployment has ended well.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Finished {
        /// Its id.
        pub deployment: DeploymentId,
        /// The component.
        pub component: ComponentName,
        /// The release.
        pub version: Version,
        /// The stage.
        pub stage: StageName,
        /// `succeeded`, `no_changes` or `planned`.
        pub outcome: String,
    }

    /// Something has failed, as the execution's `Fail` state says it.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Failed {
        /// The stable error name.
        pub error: String,
        /// A sentence a person can act on.
        pub cause: String,
    }

    /// The gate is open.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Gated {
        /// The images that the target lacks; empty for a component without images.
        pub images: Vec<GatedImage>,
        /// The name of the execution that deploys.
        pub deploy_execution: String,
    }

    /// An image to bring.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct GatedImage {
        /// The image.
        pub image: ImageName,
        /// Its version.
        pub version: Version,
        /// The name of the execution that brings it.
        pub execution: String,
    }

    /// What became of a packaged component.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct ComponentResult {
        /// The component.
        pub component: String,
        /// The release.
        pub version: String,
        /// `published`, `deployed`, or `failed`.
        pub outcome: String,
        /// The sentence that says why it failed; empty otherwise.
        #[serde(default)]
        pub cause: String,
    }

    /// What became of a push.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Summary {
        /// `done` or `rejected`.
        pub outcome: String,
        /// The error name of the execution if it is not `done`.
        pub error: String,
        /// Every problem and failure, one a line.
        pub cause: String,
        /// Every component.
        pub results: Vec<ComponentResult>,
    }
}

/// The `stack` function: CloudFormation.
pub mod stack {
    use super::*;

    /// What the state machines ask for.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(tag = "action", rename_all = "snake_case")]
    pub enum Request {
        /// Resolve the parameters, look at the stack, say what is to be done. Answers [`Next`].
        Plan {
            /// The deployment.
            deployment: DeploymentId,
        },
        /// Bring the stack to where it can be planned for: wait for what runs, delete what was never stable, finish a
        /// rollback. The token waits for the end.
        Recover {
            /// The deployment.
            deployment: DeploymentId,
            /// The waiting state.
            task: Task,
        },
        /// Make the change set and read it. Answers [`Next`].
        ChangeSet {
            /// The deployment.
            deployment: DeploymentId,
        },
        /// Execute the change set, or find it running or finished; the token waits for the end.
        Execute {
            /// The deployment.
            deployment: DeploymentId,
            /// The waiting state.
            task: Task,
        },
        /// Look at the stack after the operation. Answers [`Next`]; a failed operation is the error `StackFailed`.
        Observe {
            /// The deployment.
            deployment: DeploymentId,
        },
        /// Look at a stack that is to go, and say what is to be done. Answers [`Next`].
        PlanTeardown {
            /// The deployment.
            deployment: DeploymentId,
        },
        /// Delete it, or find it being deleted; the token waits for the end.
        Delete {
            /// The deployment.
            deployment: DeploymentId,
            /// The waiting state.
            task: Task,
        },
        /// Delete a throw-away stack; the token waits for the end.
        Destroy {
            /// The stage; only the throw-away one is accepted.
            stage: StageName,
            /// The environment.
            environment: String,
            /// The waiting state.
            task: Task,
        },
        /// Look whether the throw-away stack is gone. Answers [`Next`] (`wait` or `done`).
        Destroyed {
            /// The stage.
            stage: StageName,
            /// The environment.
            environment: String,
        },
    }

    /// Where the state machine goes next.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Go {
        /// Recover the stack, then plan again.
        Recover,
        /// Make a change set.
        ChangeSet,
        /// Ask a person.
        Approve,
        /// Execute the change set.
        Execute,
        /// The change set was only to be shown.
        Planned,
        /// The rollback of what was executed failed: finish it, then observe again.
        FinishRollback,
        /// Nothing to change, or changed: run the checks.
        Check,
        /// Delete the stack.
        Delete,
        /// The operation still runs: wait again.
        Wait,
        /// The stack is gone.
        Done,
    }

    /// Where the state machine goes next.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Next {
        /// There.
        pub next: Go,
    }
}

/// The `image` function: EC2.
pub mod image {
    use super::*;

    /// What the state machines and the command ask for.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(tag = "action", rename_all = "snake_case")]
    pub enum Request {
        /// Are the images of this deployment's release usable where it goes? The error `ImageUnusable` says why not.
        Verify {
            /// The deployment.
            deployment: DeploymentId,
        },
        /// Look at the image and at what the target has. Answers [`Inspected`].
        Inspect {
            /// The execution.
            execution: String,
            /// The state machine's input.
            input: inputs::PromoteImage,
        },
        /// Share the image and its snapshots with the target account.
        Share {
            /// The promotion.
            promotion: DeploymentId,
        },
        /// Copy as the target account, or find the copy; the token waits for the end.
        Copy {
            /// The promotion.
            promotion: DeploymentId,
            /// The waiting state.
            task: Task,
        },
        /// Look at the copy. Answers [`Next`]; a failed copy is the error `ImageUnusable`.
        Observe {
            /// The promotion.
            promotion: DeploymentId,
        },
        /// Compare the copy with its source.
        Compare {
            /// The promotion.
            promotion: DeploymentId,
        },
        /// Withdraw what was shared; it may never have been.
        Unshare {
            /// The promotion.
            promotion: DeploymentId,
        },
        /// Record the copy as usable. Answers [`Promoted`].
        Record {
            /// The promotion.
            promotion: DeploymentId,
        },
        /// Remove a partial copy and its snapshots; there may be none.
        Discard {
            /// The promotion.
            promotion: DeploymentId,
        },
        /// Close the promotion as failed. Answers [`ledger::Failed`].
        Fail {
            /// The promotion.
            promotion: DeploymentId,
            /// What went wrong.
            error: Caught,
        },
        /// Take over an image made elsewhere: check it, tag it, record it. Answers [`Promoted`].
        Import {
            /// The image's id.
            ami: crate::ids::AmiId,
            /// The name it gets.
            name: ImageName,
            /// The version it gets.
            version: Version,
            /// The stage whose account and region has it.
            stage: StageName,
        },
    }

    /// What `inspect` found.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Inspected {
        /// The promotion.
        pub promotion: DeploymentId,
        /// Where the state machine goes next.
        pub next: Go,
    }

    /// Where the state machine goes next.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum Go {
        /// The target has it already.
        Present,
        /// Share and copy it.
        Copy,
        /// The copy is not finished: wait again.
        Wait,
        /// The copy is finished: compare it.
        Compare,
    }

    /// Where the state machine goes next.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Next {
        /// There.
        pub next: Go,
    }

    /// The image is usable.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Promoted {
        /// The image.
        pub image: ImageName,
        /// Its version.
        pub version: Version,
        /// Its id where it was brought to.
        pub ami: crate::ids::AmiId,
    }
}

/// The `verify` function.
pub mod verify {
    use super::*;

    /// Run the checks of a deployment's release. The error `CheckFailed` says which failed and how.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Request {
        /// The deployment.
        pub deployment: DeploymentId,
    }

    /// All checks passed.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Response {
        /// How many there were.
        pub passed: u32,
    }
}

/// The `resume` function, besides the events of EventBridge.
pub mod resume {
    use super::*;

    /// Look whether somebody waits for this operation, and answer.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Wake {
        /// The operation's key, see [`crate::records::Wait`].
        pub wake: String,
    }
}

/// What people ask of the `ledger` function over its IAM-authenticated URL, as the `lockstep` command does.
pub mod operator {
    use super::*;

    /// A request; the caller is who IAM says it is.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
    pub enum Request {
        /// Store a new version of `stages.toml`. Answers [`Applied`].
        ApplyStages {
            /// The file's text.
            text: String,
        },
        /// Store a new version of the organisation's parameters. Answers [`Applied`].
        ApplyParameters {
            /// The file's text.
            text: String,
        },
        /// Subscribe a repository, or change its branch or base URL. Answers [`Applied`].
        AddRepository {
            /// The repository.
            id: RepositoryId,
            /// The base URL of the provider's API.
            base_url: String,
            /// The default branch.
            branch: String,
        },
        /// Answer a deployment's question. Answers [`Applied`].
        Decide {
            /// The deployment.
            deployment: DeploymentId,
            /// The key of what the person saw, see [`crate::records::Subject::key`]; another one is refused.
            subject: String,
            /// The digest that the person saw, if there was one.
            #[serde(default)]
            digest: Option<Digest>,
            /// The answer.
            decision: Decision,
            /// Why.
            #[serde(default)]
            reason: Option<String>,
            /// The resources that the person gives up, by name: every one that a proposal names.
            #[serde(default)]
            names: Vec<String>,
        },
        /// Stop a deployment. Answers [`Applied`].
        Cancel {
            /// The deployment.
            deployment: DeploymentId,
            /// Why.
            reason: String,
        },
        /// Free an environment whose holder's execution has ended. Answers [`Applied`].
        Unlock {
            /// The stage.
            stage: StageName,
            /// The environment's name.
            environment: String,
        },
        /// Take the taint off an environment, which the caller reconciled by hand. Answers [`Applied`].
        Reconcile {
            /// The stage.
            stage: StageName,
            /// The environment's name.
            environment: String,
            /// What was done.
            reason: String,
        },
        /// Let a release into a stage without the evidence of the stage before. Answers [`Applied`].
        BreakGlass {
            /// The component.
            component: ComponentName,
            /// The release.
            version: Version,
            /// The stage.
            stage: StageName,
            /// Why.
            reason: String,
        },
    }

    /// Done.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Applied {
        /// The version of what was stored; for a decision, the number of the question.
        pub version: u32,
        /// Whether anything changed.
        pub changed: bool,
    }

    /// Refused.
    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Refused {
        /// The stable error name.
        pub error: String,
        /// A sentence a person can act on.
        pub message: String,
    }
}
