//! The capabilities of this function.

use lockstep_aws::aws::Aws;
use lockstep_aws::codebuild::CodeBuild;
use lockstep_aws::config::{Config, Setting};
use lockstep_aws::ec2::Ec2;
use lockstep_aws::executions::Executions;
use lockstep_aws::kms::{Keys, Kms};
use lockstep_aws::ledger::Ledger;
use lockstep_aws::public_images::Published;
use lockstep_domain::images::bake::{Encryption, EncryptionKey};
use lockstep_domain::images::promotion::KEY_ALIAS;
use lockstep_domain::installation::target_roles::TargetRole;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::location::Location;
use lockstep_runtime::{
    Artifacts, AssumedRoles, BuildsOf, Callbacks, Clock, EncryptionOf, HasCallbacks, HasExecutions,
    HasLedger, ImagesOf, PublicImagesOf,
};

/// Capabilities that the handlers use.
pub trait BakeContext:
    Clock
    + HasLedger
    + HasCallbacks
    + HasExecutions
    + Artifacts
    + ImagesOf
    + BuildsOf
    + EncryptionOf
    + PublicImagesOf
{
}

impl<T> BakeContext for T where
    T: Clock
        + HasLedger
        + HasCallbacks
        + HasExecutions
        + Artifacts
        + ImagesOf
        + BuildsOf
        + EncryptionOf
        + PublicImagesOf
{
}

/// Settings that [`AwsContext::new`] reads.
pub const SETTINGS: [Setting; 4] =
    [Setting::Bucket, Setting::ExternalId, Setting::Path, Setting::ResumeFunction];

/// Capabilities on AWS.
pub struct AwsContext {
    ledger: Ledger,
    callbacks: Callbacks,
    executions: Executions,
    artifacts: lockstep_aws::artifacts::Artifacts,
    roles: AssumedRoles,
}

impl AwsContext {
    /// Creates the adapters. Calls no service.
    pub fn new(aws: &Aws, config: &Config) -> Result<Self, Failure> {
        let ledger = Ledger::new(aws);
        Ok(Self {
            callbacks: Callbacks::new(aws, config.get(Setting::ResumeFunction)?),
            ledger,
            executions: Executions::new(aws),
            artifacts: lockstep_aws::artifacts::Artifacts::new(aws, config.get(Setting::Bucket)?),
            roles: AssumedRoles::new(aws, config)?,
        })
    }

    /// Returns the account and region of `location` with the credentials of the image builder.
    async fn builder(&self, location: &Location, session: &str) -> Result<Aws, Failure> {
        self.roles.assume(TargetRole::ImageBuilder, location, session).await
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

impl ImagesOf for AwsContext {
    type Images = Ec2;

    async fn images(&self, role: TargetRole, location: &Location, session: &str) -> Result<Ec2, Failure> {
        Ok(Ec2::new(&self.roles.assume(role, location, session).await?))
    }
}

impl BuildsOf for AwsContext {
    type Builds = CodeBuild;

    async fn builds(&self, location: &Location, session: &str) -> Result<CodeBuild, Failure> {
        Ok(CodeBuild::new(&self.builder(location, session).await?, location))
    }
}

impl EncryptionOf for AwsContext {
    async fn encryption(&self, location: &Location, session: &str) -> Result<Encryption, Failure> {
        let there = self.builder(location, session).await?;
        let Some(default_key) = Ec2::new(&there).default_key().await? else {
            return Ok(Encryption::default());
        };
        let keys = Kms::new(&there);
        let of_customer = keys.describe(&default_key).await?.is_some_and(|key| !key.managed_by_aws);
        let default_key = if of_customer { EncryptionKey::OfCustomer } else { EncryptionKey::OfAws };
        let has_image_key = keys.describe(KEY_ALIAS).await?.is_some();
        Ok(Encryption { default_key: Some(default_key), has_image_key })
    }
}

impl PublicImagesOf for AwsContext {
    type PublicImages = Published;

    async fn public_images(&self, location: &Location, session: &str) -> Result<Published, Failure> {
        Ok(Published::new(&self.builder(location, session).await?))
    }
}
