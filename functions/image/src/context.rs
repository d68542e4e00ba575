//! The capabilities of this function.

use lockstep_aws::aws::Aws;
use lockstep_aws::channels::ParameterStore;
use lockstep_aws::config::{Config, Setting};
use lockstep_aws::ec2::Ec2;
use lockstep_aws::executions::Executions;
use lockstep_aws::kms::Kms;
use lockstep_aws::ledger::Ledger;
use lockstep_domain::installation::target_roles::TargetRole;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::AccountId;
use lockstep_domain::model::location::Location;
use lockstep_runtime::{
    AssumedRoles, Callbacks, ChannelsOf, Clock, HasCallbacks, HasExecutions, HasLedger, ImagesOf, KeysOf,
    TargetRoles,
};

/// Capabilities that the handlers use.
pub trait ImageContext:
    Clock + HasLedger + HasCallbacks + HasExecutions + TargetRoles + ImagesOf + KeysOf + ChannelsOf
{
}

impl<T> ImageContext for T where
    T: Clock + HasLedger + HasCallbacks + HasExecutions + TargetRoles + ImagesOf + KeysOf + ChannelsOf
{
}

/// Settings that [`AwsContext::new`] reads.
pub const SETTINGS: [Setting; 3] = [Setting::ExternalId, Setting::Path, Setting::ResumeFunction];

/// Capabilities on AWS.
pub struct AwsContext {
    ledger: Ledger,
    callbacks: Callbacks,
    executions: Executions,
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
            roles: AssumedRoles::new(aws, config)?,
        })
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

impl ImagesOf for AwsContext {
    type Images = Ec2;

    async fn images(&self, role: TargetRole, location: &Location, session: &str) -> Result<Ec2, Failure> {
        Ok(Ec2::new(&self.roles.assume(role, location, session).await?))
    }
}

impl KeysOf for AwsContext {
    type Keys = Kms;

    async fn keys(&self, role: TargetRole, location: &Location, session: &str) -> Result<Kms, Failure> {
        Ok(Kms::new(&self.roles.assume(role, location, session).await?))
    }
}

impl ChannelsOf for AwsContext {
    type Channels = ParameterStore;

    async fn channels(&self, location: &Location, session: &str) -> Result<ParameterStore, Failure> {
        Ok(ParameterStore::new(&self.roles.assume(TargetRole::ImageTarget, location, session).await?))
    }
}
