//! What each kind of deployment adds to the fields that all of them have.

use super::{
    BreakGlass, BuildSubject, ChangeSet, CopyPlan, Deployment, FailedEvent, NamedResource, Proposal,
};
use crate::model::ids::{
    AmiId, CommitSha, ComponentName, DeploymentId, Digest, ImageName, RepositoryId, StackName, StageName,
};
use crate::model::late_values::LateReadings;
use crate::model::location::Location;
use crate::model::missing_permissions::MissingPermissions;
use crate::model::output_name::OutputName;
use crate::model::person::GithubLogin;
use crate::model::version::Version;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use strum::IntoStaticStr;

/// Body of a deployment, by its kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case", tag = "kind")]
#[strum(serialize_all = "snake_case")]
pub enum DeploymentBody {
    /// Deploys a release to an environment.
    Deploy(Box<DeployBody>),
    /// Deletes the stack of an environment for good.
    Teardown(TeardownBody),
    /// Copies an image to another account.
    PromoteImage(PromoteImageBody),
    /// Builds an image in an account.
    BuildImage(BuildImageBody),
    /// Lets the parameters of an account name a version of an image.
    PublishImage(PublishImageBody),
}

impl DeploymentBody {
    /// Returns the word of the kind in the record, which is also the value of the dimension `kind`.
    pub fn kind(&self) -> &'static str {
        self.into()
    }
}

impl From<DeployBody> for DeploymentBody {
    fn from(body: DeployBody) -> Self {
        Self::Deploy(Box::new(body))
    }
}

impl From<TeardownBody> for DeploymentBody {
    fn from(body: TeardownBody) -> Self {
        Self::Teardown(body)
    }
}

impl From<PromoteImageBody> for DeploymentBody {
    fn from(body: PromoteImageBody) -> Self {
        Self::PromoteImage(body)
    }
}

impl From<BuildImageBody> for DeploymentBody {
    fn from(body: BuildImageBody) -> Self {
        Self::BuildImage(body)
    }
}

impl From<PublishImageBody> for DeploymentBody {
    fn from(body: PublishImageBody) -> Self {
        Self::PublishImage(body)
    }
}

/// Work on the stack of an environment: the part that a deploy and a teardown share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackRun {
    /// The component.
    pub component: ComponentName,
    /// Name of the environment within its stage.
    pub environment: String,
    /// Name of the stack.
    #[serde(rename = "stack")]
    pub name: StackName,
    /// ARN of the stack, once it exists.
    #[serde(rename = "stack_arn", default, skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// The proposal that an approver must allow before the stack can be planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposal: Option<Proposal>,
    /// Time at which it began to wait for a foreign operation on its stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_since: Option<Timestamp>,
    /// Resources that remained when the stack was deleted. No stack manages them any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orphans: Vec<NamedResource>,
    /// What the deployment reports about the stack of its environment. The owner of the environment copies it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<StackClaim>,
    /// State that a recovery of this deployment left unreconciled. The owner of the environment copies it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taint: Option<String>,
}

/// Report of a deployment about the stack of its environment. It is a claim: `ledger` owns the environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackClaim {
    /// ARN of the stack.
    pub arn: String,
    /// True if the stack was in a stable state.
    pub stable: bool,
}

impl StackRun {
    /// Returns the work on a stack that no step has found yet.
    pub fn new(component: ComponentName, environment: String, name: StackName) -> Self {
        Self {
            component,
            environment,
            name,
            arn: None,
            proposal: None,
            waits_since: None,
            orphans: Vec::new(),
            claim: None,
            taint: None,
        }
    }
}

/// A value that a deployment read from the output of another component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Digest of the value.
    pub digest: Digest,
    /// The value, for display; `None` if it is hidden or long. The resolved parameters hold it in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<String>,
}

impl Input {
    /// Maximum bytes of a value that is shown.
    const SHOWN_BYTES: usize = 300;

    /// Returns the input with this value. A hidden value belongs to a parameter with `NoEcho`.
    pub fn new(value: &str, is_hidden: bool) -> Self {
        let shown = (!is_hidden && value.len() <= Self::SHOWN_BYTES).then(|| value.to_owned());
        Self { digest: Digest::of(value.as_bytes()), shown }
    }
}

/// Reason of a deployment that brings the inputs of a running release up to date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follows {
    /// The deployment of the producer, which changed the inputs.
    pub producer: DeploymentId,
    /// The deployment that brought the release, with other inputs.
    pub replaces: DeploymentId,
    /// Digest of the new inputs, and of the deployment that they replace.
    pub inputs: Digest,
    /// Revision of the environment's record when this was decided.
    pub revision: u64,
}

/// Body of the deployment of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployBody {
    /// The environment and its stack.
    #[serde(flatten)]
    pub stack: StackRun,
    /// Digest of the release's artifact.
    pub digest: Digest,
    /// Digest of the template that the stack must run. For a test stack, that of the derived template.
    pub template_digest: Digest,
    /// Repository of the release, for links to lines of the template.
    pub repository: RepositoryId,
    /// The account that pushed the release, if the git host authenticated one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pusher: Option<GithubLogin>,
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
    /// The changed inputs for which Lockstep made this deployment; `None` for every other deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<Follows>,
    /// Outputs of other components in the parameters, as the step `plan` read them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<OutputName, Input>,
    /// The resolved parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// Digest of the resolved parameters, once the step `plan` resolved them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters_digest: Option<Digest>,
    /// Values that CloudFormation reads when it deploys, as the step `plan` read them. After the operation, as the stack has
    /// them.
    #[serde(default, skip_serializing_if = "LateReadings::is_empty")]
    pub late_values: LateReadings,
    /// The current change set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_set: Option<ChangeSet>,
    /// Permissions that the execution role lacks, as far as AWS reported them when the change set was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lack: Option<MissingPermissions>,
    /// True if this deployment updated the stack to the release.
    #[serde(default)]
    pub stack_changed: bool,
    /// Outputs of the stack after the operation.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, String>,
    /// Events that caused the failure, first cause first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnosis: Vec<FailedEvent>,
}

impl DeployBody {
    /// Returns the deployment of a release without options, before its plan.
    pub fn new(stack: StackRun, digest: Digest, template_digest: Digest, repository: RepositoryId) -> Self {
        Self {
            stack,
            digest,
            template_digest,
            repository,
            pusher: None,
            overrides: BTreeMap::new(),
            plan_only: false,
            revert_drift: false,
            parameters_of: None,
            break_glass: None,
            follows: None,
            inputs: BTreeMap::new(),
            parameters: BTreeMap::new(),
            parameters_digest: None,
            late_values: LateReadings::default(),
            change_set: None,
            lack: None,
            stack_changed: false,
            outputs: BTreeMap::new(),
            diagnosis: Vec::new(),
        }
    }
}

/// Body of a teardown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeardownBody {
    /// The environment and its stack.
    #[serde(flatten)]
    pub stack: StackRun,
    /// Digest of the artifact that the stack runs; `None` if no deployment succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// Body of the promotion of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromoteImageBody {
    /// The image.
    pub image: ImageName,
    /// Location of the image that it copies.
    pub source: Location,
    /// The copy to make, once it is decided. Before that, the promotion shared and copied nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<CopyPlan>,
}

/// Body of the build of an image. Its fields stay the same in each attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildImageBody {
    /// The image.
    pub image: ImageName,
    /// AMI that the build starts from.
    pub base: AmiId,
    /// Commit of the recipe.
    pub commit: CommitSha,
    /// Full name of the recipe's repository.
    pub repository: String,
    /// S3 key of the recipe in the control plane's bucket.
    pub artifact: String,
    /// The recipe that the last build there was made from, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<BuiltRecipe>,
    /// Time that the tags of the image name as its build time.
    pub built_at: Timestamp,
    /// S3 version of the recipe in the bucket of the account, once stored there. Every attempt reads this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe_version: Option<String>,
}

impl BuildImageBody {
    /// Returns the subject of the question about the build, which `deployment` is.
    pub fn subject(&self, deployment: &Deployment) -> BuildSubject {
        BuildSubject {
            image: self.image.clone(),
            version: deployment.version.clone(),
            location: deployment.location.clone(),
            artifact: self.artifact.clone(),
            base: self.base.clone(),
            repository: self.repository.clone(),
            commit: self.commit.clone(),
            before: self.before.clone(),
        }
    }
}

/// Body of the publication of an image. The authority compares it with its [`Publication`](super::Publication).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishImageBody {
    /// The image.
    pub image: ImageName,
    /// AMI of the version in the account.
    pub ami: AmiId,
}

/// The recipe of an earlier build in the same account and region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuiltRecipe {
    /// The version that was built.
    pub version: Version,
    /// S3 key of the recipe in the control plane's bucket.
    pub artifact: String,
}

#[cfg(test)]
mod tests {
    use super::super::{CopyPlan, Deployment, testing};
    use super::*;
    use serde_json::{Value, json};

    fn stored(body: impl Into<DeploymentBody>) -> Value {
        let deployment = Deployment::new(testing::start("e", "1.0.0", "ci"), body);
        let stored = serde_json::to_value(&deployment).unwrap();
        assert_eq!(stored["kind"], json!(deployment.body.kind()));
        assert_eq!(serde_json::from_value::<Deployment>(stored.clone()).unwrap(), deployment);
        stored
    }

    #[test]
    fn a_record_is_stored_with_its_kind_and_the_fields_of_this_kind() {
        let plan = CopyPlan {
            copied_from: "ami-0123456789abcdef0".parse().unwrap(),
            source_ami: "ami-0123456789abcdef1".parse().unwrap(),
            snapshots: ["snap-0123456789abcdef0".parse().unwrap()].into(),
            commit: None,
            repository: None,
            built_at: None,
            keys: ["arn:a".to_owned(), "arn:b".to_owned()].into(),
            key: None,
            made_by: DeploymentId::of_execution("e"),
        };
        let promotion = PromoteImageBody { plan: Some(plan), ..testing::promotion() };
        for (stored, kind, own) in [
            (stored(testing::deploy("logs", "ci-logs")), "deploy", "repository"),
            (stored(testing::teardown("logs", "ci-logs")), "teardown", "stack"),
            (stored(promotion), "promote_image", "plan"),
            (stored(testing::build()), "build_image", "base"),
        ] {
            assert_eq!(stored["kind"], json!(kind));
            assert!(stored.get(own).is_some(), "{kind} without {own}: {stored}");
        }
    }

    #[test]
    fn the_word_of_metrics_is_the_kind_of_the_record() {
        let image: [DeploymentBody; 2] = [testing::promotion().into(), testing::build().into()];
        let stack: [DeploymentBody; 2] =
            [testing::deploy("logs", "ci-logs").into(), testing::teardown("logs", "ci-logs").into()];
        for body in image.into_iter().chain(stack) {
            let kind = body.kind();
            assert_eq!(stored(body)["kind"], json!(kind));
        }
    }

    #[test]
    fn a_record_without_a_field_of_its_kind_is_not_read() {
        let mut stored = stored(testing::deploy("logs", "ci-logs"));
        stored.as_object_mut().unwrap().remove("digest");
        assert!(serde_json::from_value::<Deployment>(stored).is_err());
    }
}
