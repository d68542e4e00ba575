//! The capabilities of this function.

use lockstep_aws::aws::Aws;
use lockstep_aws::cloud_control::{CloudControl, LiveModels};
use lockstep_aws::cloudformation::detection::Detections;
use lockstep_aws::cloudformation::{CloudFormation, Stacks};
use lockstep_aws::config::{Config, Setting};
use lockstep_aws::ledger::Ledger;
use lockstep_domain::installation::target_roles::TargetRole;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::location::Location;
use lockstep_runtime::{AssumedRoles, Clock, HasLedger, TargetRoles};

/// Capabilities that the handler uses.
pub trait DriftContext: Clock + HasLedger + Sources {}

impl<T: Clock + HasLedger + Sources> DriftContext for T {}

/// Both sources of a look, in target accounts.
pub trait Sources {
    /// CloudFormation in one account and region.
    type Stacks: Stacks + Detections;

    /// Cloud Control in one account and region.
    type Models: LiveModels;

    /// Returns the path of the function.
    fn path(&self) -> DeploymentPath;

    /// Returns both sources at `location`; `session` names the caller in the logs of that account.
    fn sources(
        &self,
        location: &Location,
        session: &str,
    ) -> impl Future<Output = Result<(Self::Stacks, Self::Models), Failure>>;
}

/// Settings that [`AwsContext::new`] reads.
pub const SETTINGS: [Setting; 2] = [Setting::ExternalId, Setting::Path];

/// Capabilities on AWS.
pub struct AwsContext {
    ledger: Ledger,
    roles: AssumedRoles,
}

impl AwsContext {
    /// Creates the adapters. Calls no service.
    pub fn new(aws: &Aws, config: &Config) -> Result<Self, Failure> {
        Ok(Self { ledger: Ledger::new(aws), roles: AssumedRoles::new(aws, config)? })
    }
}

impl Clock for AwsContext {}

impl HasLedger for AwsContext {
    fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

impl Sources for AwsContext {
    type Stacks = CloudFormation;
    type Models = CloudControl;

    fn path(&self) -> DeploymentPath {
        self.roles.path()
    }

    async fn sources(
        &self,
        location: &Location,
        session: &str,
    ) -> Result<(CloudFormation, CloudControl), Failure> {
        let there = self.roles.assume(TargetRole::DriftReader, location, session).await?;
        Ok((CloudFormation::new(&there), CloudControl::new(&there)))
    }
}
