//! Roles of target accounts.

use crate::{Installed, TargetRoles};
use lockstep_aws::aws::Aws;
use lockstep_aws::config::{Config, Setting};
use lockstep_domain::installation::target_roles::TargetRole;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::AccountId;
use lockstep_domain::model::location::Location;
use lockstep_domain::stacks::identity::InstallationId;

/// The roles that functions of one deployment path assume in target accounts.
pub struct AssumedRoles {
    aws: Aws,
    external_id: String,
    path: DeploymentPath,
}

impl AssumedRoles {
    /// Reads the settings `ExternalId` and `DeploymentPath`; nothing is called yet.
    pub fn new(aws: &Aws, config: &Config) -> Result<Self, Failure> {
        let external_id = config.get(Setting::ExternalId)?.to_owned();
        Ok(Self { aws: aws.clone(), external_id, path: config.path()? })
    }

    /// Returns the account and region of `location` with the credentials of `role`.
    pub async fn assume(&self, role: TargetRole, location: &Location, session: &str) -> Result<Aws, Failure> {
        self.aws.assume(location, &role.name(self.path), &self.external_id, session).await
    }
}

impl Installed for AssumedRoles {
    fn installation(&self) -> InstallationId {
        InstallationId::of_external_id(&self.external_id)
    }
}

impl TargetRoles for AssumedRoles {
    fn path(&self) -> DeploymentPath {
        self.path
    }

    fn partition(&self) -> &str {
        self.aws.partition()
    }

    fn role_arn(&self, role: TargetRole, account: &AccountId) -> String {
        role.arn(self.path, self.aws.partition(), account)
    }
}
