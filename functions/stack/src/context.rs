//! The capabilities of the `stack` function, and their adapters on AWS.

use lockstep_aws::artifacts;
use lockstep_aws::aws::Aws;
use lockstep_aws::buckets;
use lockstep_aws::cloudformation::CloudFormation;
use lockstep_aws::config::{Config, Setting};
use lockstep_aws::ledger::Ledger;
use lockstep_aws::simulation::Simulator;
use lockstep_aws::stored_values::ValueStores;
use lockstep_domain::delivery::function_code::{FunctionCode, MAX_ZIP_BYTES};
use lockstep_domain::delivery::local_files::artifact_bucket;
use lockstep_domain::installation::target_roles::TargetRole;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::{AccountId, Digest};
use lockstep_domain::model::location::Location;
use lockstep_domain::stacks::identity::InstallationId;
use lockstep_domain::stacks::permissions::missing::{SimulationRequest, SimulationResult};
use lockstep_runtime::{
    Artifacts, AssumedRoles, Callbacks, Clock, HasCallbacks, HasLedger, Installed, PolicySimulation,
    StacksOf, StoredValuesOf, TargetBuckets, TargetRoles,
};

/// The capabilities of this function.
pub trait StackContext:
    Clock
    + HasLedger
    + HasCallbacks
    + Artifacts
    + Installed
    + TargetRoles
    + StacksOf
    + StoredValuesOf
    + TargetBuckets
    + PolicySimulation
{
}

impl<T> StackContext for T where
    T: Clock
        + HasLedger
        + HasCallbacks
        + Artifacts
        + Installed
        + TargetRoles
        + StacksOf
        + StoredValuesOf
        + TargetBuckets
        + PolicySimulation
{
}

/// The settings that [`AwsContext::new`] reads.
pub const SETTINGS: [Setting; 4] =
    [Setting::Bucket, Setting::ExternalId, Setting::Path, Setting::ResumeFunction];

/// The capabilities on AWS.
pub struct AwsContext {
    ledger: Ledger,
    callbacks: Callbacks,
    artifacts: artifacts::Artifacts,
    roles: AssumedRoles,
}

impl AwsContext {
    /// Creates the adapters without a call to AWS.
    pub fn new(aws: &Aws, config: &Config) -> Result<Self, Failure> {
        let ledger = Ledger::new(aws);
        Ok(Self {
            callbacks: Callbacks::new(aws, config.get(Setting::ResumeFunction)?),
            ledger,
            artifacts: artifacts::Artifacts::new(aws, config.get(Setting::Bucket)?),
            roles: AssumedRoles::new(aws, config)?,
        })
    }

    async fn deployer(&self, location: &Location, session: &str) -> Result<Aws, Failure> {
        self.roles.assume(TargetRole::Deployer, location, session).await
    }

    /// Returns the bucket of the target account. CloudFormation there reads from no other bucket.
    async fn bucket(&self, location: &Location, session: &str) -> Result<artifacts::Artifacts, Failure> {
        let name = artifact_bucket(&location.account, &location.region);
        Ok(artifacts::Artifacts::new(&self.deployer(location, session).await?, &name))
    }
}

impl Clock for AwsContext {}

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

impl Artifacts for AwsContext {
    async fn artifact(&self, key: &str) -> Result<Vec<u8>, Failure> {
        self.artifacts.artifact(key).await
    }
}

impl Installed for AwsContext {
    fn installation(&self) -> InstallationId {
        self.roles.installation()
    }
}

impl TargetRoles for AwsContext {
    fn path(&self) -> DeploymentPath {
        self.roles.path()
    }

    fn partition(&self) -> &str {
        self.roles.partition()
    }

    fn role_arn(&self, role: TargetRole, account: &AccountId) -> String {
        self.roles.role_arn(role, account)
    }
}

impl StacksOf for AwsContext {
    type Stacks = CloudFormation;

    async fn stacks(&self, location: &Location, session: &str) -> Result<CloudFormation, Failure> {
        Ok(CloudFormation::new(&self.deployer(location, session).await?))
    }
}

impl StoredValuesOf for AwsContext {
    type StoredValues = ValueStores;

    async fn stored_values(&self, location: &Location, session: &str) -> Result<ValueStores, Failure> {
        Ok(ValueStores::new(&self.deployer(location, session).await?))
    }
}

impl TargetBuckets for AwsContext {
    async fn empty_bucket(&self, location: &Location, session: &str, bucket: &str) -> Result<(), Failure> {
        buckets::empty(&self.deployer(location, session).await?, bucket).await
    }

    async fn put_function(
        &self,
        location: &Location,
        session: &str,
        code: &FunctionCode,
    ) -> Result<(), Failure> {
        let key = code.to_string();
        let zip = self.artifacts.get(&key, MAX_ZIP_BYTES).await?;
        if Digest::of(&zip) != code.digest {
            return Err(Failure::rejected(format!("{key} does not hold what it is named after")));
        }
        self.bucket(location, session).await?.put_or_compare(&key, "application/zip", zip).await
    }

    async fn put_file(
        &self,
        location: &Location,
        session: &str,
        key: &str,
        bytes: Vec<u8>,
    ) -> Result<(), Failure> {
        let bucket = self.bucket(location, session).await?;
        bucket.put_or_compare(key, "application/octet-stream", bytes).await
    }

    async fn put_template(
        &self,
        location: &Location,
        session: &str,
        key: &str,
        text: String,
    ) -> Result<String, Failure> {
        let bucket = self.bucket(location, session).await?;
        bucket.put(key, "application/octet-stream", text.into_bytes()).await?;
        Ok(bucket.template_url(key))
    }
}

impl PolicySimulation for AwsContext {
    async fn simulate(
        &self,
        location: &Location,
        session: &str,
        questions: &[SimulationRequest],
    ) -> Result<Vec<SimulationResult>, Failure> {
        let simulator = Simulator::new(&self.deployer(location, session).await?);
        simulator.ask(&self.role_arn(TargetRole::Execution, &location.account), questions).await
    }
}
