//! The capabilities of the `sweep` function, and their adapters on AWS.

use lockstep_aws::artifacts;
use lockstep_aws::aws::Aws;
use lockstep_aws::config::{Config, Setting};
use lockstep_aws::ec2::Ec2;
use lockstep_aws::executions::Executions;
use lockstep_aws::functions::{Called, Functions};
use lockstep_aws::git_host::GitHosts;
use lockstep_aws::ledger::Ledger;
use lockstep_domain::installation::target_roles::IMAGE_KEEPER;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::CommitSha;
use lockstep_domain::model::location::Location;
use lockstep_domain::records::Repository;
use lockstep_runtime::{
    Artifacts, BranchHeads, Callbacks, CallsFunctions, HasCallbacks, HasExecutions, HasLedger, KeptImagesOf,
    ReleaseMachine, TeardownMachine,
};
use serde_json::Value;
use std::time::Duration;

/// The capabilities of this function.
pub trait SweepContext:
    HasLedger
    + HasCallbacks
    + HasExecutions
    + Artifacts
    + BranchHeads
    + CallsFunctions
    + KeptImagesOf
    + ReleaseMachine
    + TeardownMachine
{
}

impl<T> SweepContext for T where
    T: HasLedger
        + HasCallbacks
        + HasExecutions
        + Artifacts
        + BranchHeads
        + CallsFunctions
        + KeptImagesOf
        + ReleaseMachine
        + TeardownMachine
{
}

/// The settings that [`AwsContext::new`] reads.
pub const SETTINGS: [Setting; 5] = [
    Setting::Bucket,
    Setting::ExternalId,
    Setting::ResumeFunction,
    Setting::ReleaseArn,
    Setting::TeardownArn,
];

/// The capabilities on AWS.
pub struct AwsContext {
    aws: Aws,
    ledger: Ledger,
    callbacks: Callbacks,
    executions: Executions,
    functions: Functions,
    artifacts: artifacts::Artifacts,
    hosts: GitHosts,
    external_id: String,
    release: String,
    teardown: String,
}

impl AwsContext {
    /// Creates the adapters without a call to AWS.
    pub fn new(aws: &Aws, config: &Config) -> Result<Self, Failure> {
        let ledger = Ledger::new(aws);
        Ok(Self {
            aws: aws.clone(),
            callbacks: Callbacks::new(aws, config.get(Setting::ResumeFunction)?),
            ledger,
            executions: Executions::new(aws),
            functions: Functions::new(aws),
            artifacts: artifacts::Artifacts::new(aws, config.get(Setting::Bucket)?),
            hosts: GitHosts::new(aws),
            external_id: config.get(Setting::ExternalId)?.to_owned(),
            release: config.get(Setting::ReleaseArn)?.to_owned(),
            teardown: config.get(Setting::TeardownArn)?.to_owned(),
        })
    }

    /// Returns a configuration for calls at `location` with the role of the image keeper.
    async fn keeper(&self, location: &Location) -> Result<Aws, Failure> {
        self.aws.assume(location, IMAGE_KEEPER, &self.external_id, "lockstep-sweep").await
    }
}

impl HasLedger for AwsContext {
    fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

impl HasCallbacks for AwsContext {
    fn callbacks(&self) -> &Callbacks {
        &self.callbacks
    }
}

impl HasExecutions for AwsContext {
    fn executions(&self) -> &Executions {
        &self.executions
    }
}

impl Artifacts for AwsContext {
    async fn artifact(&self, key: &str) -> Result<Vec<u8>, Failure> {
        self.artifacts.artifact(key).await
    }
}

impl BranchHeads for AwsContext {
    async fn head(&self, repository: &Repository, branch: &str) -> Result<Option<CommitSha>, Failure> {
        self.hosts.head(repository, branch).await
    }
}

impl CallsFunctions for AwsContext {
    async fn call(&self, function: &str, payload: &Value, time_limit: Duration) -> Result<Called, Failure> {
        self.functions.call(function, payload, time_limit).await
    }
}

impl KeptImagesOf for AwsContext {
    type RetainedImages = Ec2;

    async fn kept_images(&self, location: &Location) -> Result<Ec2, Failure> {
        Ok(Ec2::new(&self.keeper(location).await?))
    }
}

impl ReleaseMachine for AwsContext {
    fn release_machine(&self) -> &str {
        &self.release
    }
}

impl TeardownMachine for AwsContext {
    fn teardown_machine(&self) -> &str {
        &self.teardown
    }
}
