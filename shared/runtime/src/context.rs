//! Capabilities of functions, one per trait.
//!
//! A function names in its signatures the capabilities that it uses, usually by one trait that unites them. So the
//! compiler keeps `webhook` from EC2, and a simulation implements a capability once for every function that has it.
//!
//! The ledger, callbacks and executions are the real services in every context: tests run them against an in-process
//! DynamoDB and Step Functions (`lockstep_sim`). The clouds of target accounts are traits of `lockstep_aws`, which
//! a simulation implements.

#[cfg(feature = "lambda")]
use crate::Callbacks;
#[cfg(feature = "ssm")]
use lockstep_aws::channels::Channels;
#[cfg(feature = "cloudformation")]
use lockstep_aws::cloudformation::Stacks;
#[cfg(all(feature = "codebuild", feature = "s3"))]
use lockstep_aws::codebuild::Builds;
#[cfg(feature = "ec2")]
use lockstep_aws::ec2::{Images, references::References, retention::ImageRetention};
#[cfg(feature = "answer-tokens")]
use lockstep_aws::executions::Answered;
#[cfg(feature = "sfn")]
use lockstep_aws::executions::Executions;
#[cfg(feature = "lambda")]
use lockstep_aws::functions::Called;
#[cfg(feature = "kms")]
use lockstep_aws::kms::Keys;
use lockstep_aws::ledger::Ledger;
#[cfg(all(feature = "ec2", feature = "ssm"))]
use lockstep_aws::public_images::PublicImages;
#[cfg(all(feature = "secretsmanager", feature = "ssm"))]
use lockstep_aws::stored_values::StoredValues;
#[cfg(feature = "secretsmanager")]
use lockstep_aws::{hook_key::HookKey, secrets::Secrets};
use lockstep_domain::delivery::function_code::{FunctionCode, FunctionLock};
use lockstep_domain::images::bake::Encryption;
use lockstep_domain::installation::target_roles::TargetRole;
use lockstep_domain::model::administrators::Administrators;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::{AccountId, CommitSha, Region};
use lockstep_domain::model::late_values::{Answer, StoredParameter};
use lockstep_domain::model::location::Location;
use lockstep_domain::records::{ReleaseCommits, Repository};
use lockstep_domain::stacks::identity::InstallationId;
use lockstep_domain::stacks::permissions::Table;
use lockstep_domain::stacks::permissions::missing::{SimulationRequest, SimulationResult};
#[cfg(feature = "lambda")]
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
#[cfg(feature = "lambda")]
use std::time::Duration;

/// Reaches the ledger.
pub trait HasLedger {
    /// Returns the ledger.
    fn ledger(&self) -> &Ledger;
}

/// Distinguishes AWS from the local cloud.
pub trait Locality {
    /// Returns true in the local cloud.
    fn is_local(&self) -> bool;
}

/// Has the settings of the installation.
pub trait InstallationSettings {
    /// Returns the beginning of the ARN of each state machine: everything before the hyphen and the machine's own name.
    fn state_machines(&self) -> &str;

    /// Returns the number of administrators that the installation chose. The configuration may have another one since.
    fn administrators(&self) -> Administrators;
}

/// Reaches the task tokens that wait for an operation.
#[cfg(feature = "lambda")]
pub trait HasCallbacks {
    /// Returns the callbacks.
    fn callbacks(&self) -> &Callbacks;
}

/// Reaches Step Functions.
#[cfg(feature = "sfn")]
pub trait HasExecutions {
    /// Returns the executions.
    fn executions(&self) -> &Executions;
}

/// Reads secrets.
#[cfg(feature = "secretsmanager")]
pub trait HasSecrets {
    /// Returns the secrets.
    fn secrets(&self) -> &Secrets;
}

/// Reaches the installation's webhook key.
#[cfg(feature = "secretsmanager")]
pub trait HasHookKey {
    /// Returns the webhook key.
    fn hook_key(&self) -> &HookKey;
}

/// Reads the control plane's bucket.
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait Artifacts {
    /// Returns the artifact at `key`.
    async fn artifact(&self, key: &str) -> Result<Vec<u8>, Failure>;
}

/// Writes artifacts into the control plane's bucket.
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait StoresArtifacts {
    /// Stores a zip archive at `key`. A key names its content: repeating the call changes nothing and needs no undo.
    async fn store_artifact(&self, key: &str, zip: Vec<u8>) -> Result<(), Failure>;
}

/// Names the functions that this installation ships for components.
pub trait ShippedFunctions {
    /// Returns their code.
    fn shipped_functions(&self) -> &FunctionLock;
}

/// Reads the permissions that resource types need.
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait PermissionTable {
    /// Returns the table that `install` uploaded.
    async fn permission_table(&self) -> Result<Arc<Table>, Failure>;
}

/// Names the roles of target accounts.
pub trait TargetRoles {
    /// Returns the path of the roles.
    fn path(&self) -> DeploymentPath;

    /// Returns the partition of every ARN here.
    fn partition(&self) -> &str;

    /// Returns the ARN of `role` in `account`.
    fn role_arn(&self, role: TargetRole, account: &AccountId) -> String;
}

/// Identifies the installation.
pub trait Installed {
    /// Returns the identity that the tags of the installation's stacks name.
    fn installation(&self) -> InstallationId;
}

/// Reaches CloudFormation in target accounts.
#[cfg(feature = "cloudformation")]
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait StacksOf {
    /// CloudFormation in one account and region.
    type Stacks: Stacks;

    /// Returns CloudFormation at `location`; `session` names the caller in the logs of that account.
    async fn stacks(&self, location: &Location, session: &str) -> Result<Self::Stacks, Failure>;
}

/// Reads what a deployment made, with a role that can change nothing.
#[cfg(feature = "cloudformation")]
pub trait ReadsBack {
    /// Artifacts of releases, and stacks in target accounts.
    type Reader: Artifacts + Installed + StacksOf;

    /// Returns the reader, or fails with `Bug` in a function that has none.
    fn reader(&self) -> Result<&Self::Reader, Failure>;
}

/// Writes the objects that CloudFormation reads in a target account, and empties the buckets that it cannot delete.
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait TargetBuckets {
    /// Deletes everything in a bucket of a test stack at `location`; the bucket may be gone. This cannot be undone.
    async fn empty_bucket(&self, location: &Location, session: &str, bucket: &str) -> Result<(), Failure>;

    /// Copies the code of a function of Lockstep to a bucket that CloudFormation at `location` can read: the pinned
    /// zip, byte for byte, under the key it has in the control plane's bucket. A repeated call changes nothing, and
    /// needs no undo.
    async fn put_function(
        &self,
        location: &Location,
        session: &str,
        code: &FunctionCode,
    ) -> Result<(), Failure>;

    /// Writes a packaged file of a component to a bucket that CloudFormation at `location` can read. The key is the
    /// digest of the file, so that a repeated call changes nothing and needs no undo.
    async fn put_file(
        &self,
        location: &Location,
        session: &str,
        key: &str,
        bytes: Vec<u8>,
    ) -> Result<(), Failure>;

    /// Writes a template to a bucket that CloudFormation at `location` can read, and returns its URL. The key is the
    /// template's digest, so that a repeated call changes nothing and needs no undo.
    async fn put_template(
        &self,
        location: &Location,
        session: &str,
        key: &str,
        text: String,
    ) -> Result<String, Failure>;
}

/// Simulates the permissions of a role in IAM.
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait PolicySimulation {
    /// Returns the permissions of the execution role at `location`; changes nothing.
    async fn simulate(
        &self,
        location: &Location,
        session: &str,
        questions: &[SimulationRequest],
    ) -> Result<Vec<SimulationResult>, Failure>;
}

/// Reaches EC2 in target accounts.
#[cfg(feature = "ec2")]
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait ImagesOf {
    /// EC2 in one account and region.
    type Images: Images + References;

    /// Returns EC2 at `location` in `role`; `session` names the caller in the logs of that account.
    async fn images(
        &self,
        role: TargetRole,
        location: &Location,
        session: &str,
    ) -> Result<Self::Images, Failure>;
}

/// Reaches KMS in target accounts.
#[cfg(feature = "kms")]
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait KeysOf {
    /// KMS in one account and region.
    type Keys: Keys;

    /// Returns KMS at `location` in `role`.
    async fn keys(&self, role: TargetRole, location: &Location, session: &str)
    -> Result<Self::Keys, Failure>;
}

/// Reads the default encryption of volumes in target accounts.
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait EncryptionOf {
    /// Returns the default encryption of volumes at `location`.
    async fn encryption(&self, location: &Location, session: &str) -> Result<Encryption, Failure>;
}

/// Reaches CodeBuild in target accounts.
#[cfg(all(feature = "codebuild", feature = "s3"))]
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait BuildsOf {
    /// CodeBuild in one account and region.
    type Builds: Builds;

    /// Returns CodeBuild at `location`.
    async fn builds(&self, location: &Location, session: &str) -> Result<Self::Builds, Failure>;
}

/// Reads the images that AWS and others publish.
#[cfg(all(feature = "ec2", feature = "ssm"))]
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait PublicImagesOf {
    /// Published images of one region.
    type PublicImages: PublicImages;

    /// Returns the published images at `location`.
    async fn public_images(&self, location: &Location, session: &str) -> Result<Self::PublicImages, Failure>;
}

/// Reaches the images that are kept in target accounts, to deprecate and remove them.
#[cfg(feature = "ec2")]
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait KeptImagesOf {
    /// EC2 in one account and region.
    type RetainedImages: ImageRetention + References;

    /// Returns EC2 at `location`.
    async fn kept_images(&self, location: &Location) -> Result<Self::RetainedImages, Failure>;
}

/// Reaches the parameters that name images in target accounts.
#[cfg(feature = "ssm")]
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait ChannelsOf {
    /// The parameters in one account and region.
    type Channels: Channels;

    /// Returns the parameters at `location`, with the credentials that copy images there.
    async fn channels(&self, location: &Location, session: &str) -> Result<Self::Channels, Failure>;
}

/// Reads the state of stored values in target accounts.
#[cfg(all(feature = "secretsmanager", feature = "ssm"))]
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait StoredValuesOf {
    /// The stored values of one account and region.
    type StoredValues: StoredValues;

    /// Returns the stored values at `location`, as the deployer may read them.
    async fn stored_values(&self, location: &Location, session: &str) -> Result<Self::StoredValues, Failure>;
}

/// Reads the parameters that AWS publishes in each region. They belong to no account.
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait PublishedParameters {
    /// Returns the parameters of these names in `region`.
    async fn public_parameters(
        &self,
        region: &Region,
        names: &[String],
    ) -> Result<BTreeMap<String, Answer<StoredParameter>>, Failure>;
}

/// Reads the heads of branches from git hosts.
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait BranchHeads {
    /// Returns the commit that `branch` of `repository` points to; `None` if the branch certainly does not exist.
    async fn head(&self, repository: &Repository, branch: &str) -> Result<Option<CommitSha>, Failure>;
}

/// Finds out from git hosts what is on a branch.
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait BranchCommits {
    /// Returns true if `commit` is on `branch` of `repository` now, as its head or an ancestor of it.
    async fn is_on_branch(
        &self,
        repository: &Repository,
        branch: &str,
        commit: &CommitSha,
    ) -> Result<bool, Failure>;

    /// Returns the commits that `commit` of `repository` has and `base` has not, as the git host lists them.
    async fn commits_since(
        &self,
        repository: &Repository,
        base: &CommitSha,
        commit: &CommitSha,
    ) -> Result<ReleaseCommits, Failure>;
}

/// A commit as its git host returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitArchive {
    /// The tarball, compressed with gzip.
    pub tarball: Vec<u8>,
    /// The author of the commit, for display.
    pub author: String,
}

/// Reads commits from git hosts.
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait CommitArchives {
    /// Returns the files and the author of `commit` of `repository`.
    async fn archive(&self, repository: &Repository, commit: &CommitSha) -> Result<CommitArchive, Failure>;
}

/// Calls Lambda functions.
#[cfg(feature = "lambda")]
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait CallsFunctions {
    /// Calls `function` in the control plane's account with `payload`, and waits for its answer at most for `patience`.
    async fn call(&self, function: &str, payload: &Value, patience: Duration) -> Result<Called, Failure>;
}

/// Names the state machine that releases a commit.
pub trait ReleaseMachine {
    /// Returns its ARN.
    fn release_machine(&self) -> &str;
}

/// Names the state machine that deletes a stack of the delivery path.
pub trait TeardownMachine {
    /// Returns its ARN.
    fn teardown_machine(&self) -> &str;
}

/// Answers task tokens: for `resume` alone.
#[cfg(feature = "answer-tokens")]
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait TaskTokens {
    /// Answers `token`.
    async fn answer(&self, token: &str) -> Result<Answered, Failure>;
}

/// Reads the registered accounts.
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait RegisteredAccounts {
    /// Returns true if `account` is registered.
    async fn is_registered(&self, account: &AccountId) -> Result<bool, Failure>;
}
