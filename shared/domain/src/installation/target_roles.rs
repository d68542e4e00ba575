//! The roles that the control plane assumes, or passes, in the accounts that it deploys to.

use crate::model::deployment_path::DeploymentPath;
use crate::model::ids::AccountId;
use strum::{IntoStaticStr, VariantArray};

/// Purpose of a role in a target account. The name of the role carries the deployment path, so that no policy
/// of one path can match a role of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum TargetRole {
    /// Calls CloudFormation.
    Deployer,
    /// The role that CloudFormation assumes.
    #[strum(serialize = "cloudformation")]
    Execution,
    /// Shares images.
    ImageSource,
    /// Copies images.
    ImageTarget,
    /// Starts builds of images.
    ImageBuilder,
    /// Invokes check functions.
    Verifier,
    /// Reads stacks for the ledger.
    StackReader,
    /// Reads stacks and their resources, to find drift.
    DriftReader,
}

/// Name of the role of the sweep, which belongs to neither path.
pub const IMAGE_KEEPER: &str = "lockstep-image-keeper";

impl TargetRole {
    /// Every role.
    pub const ALL: &[TargetRole] = TargetRole::VARIANTS;

    /// Returns the role's name on `path`, such as `lockstep-delivery-deployer`.
    pub fn name(self, path: DeploymentPath) -> String {
        let role: &str = self.into();
        format!("lockstep-{}-{role}", path.as_str())
    }

    /// Returns the role's ARN in `account`.
    pub fn arn(self, path: DeploymentPath, partition: &str, account: &AccountId) -> String {
        format!("arn:{partition}:iam::{account}:role/{}", self.name(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_named_after_its_path() {
        assert_eq!(TargetRole::Deployer.name(DeploymentPath::Delivery), "lockstep-delivery-deployer");
        let account = "222222222222".parse().unwrap();
        assert_eq!(
            TargetRole::Execution.arn(DeploymentPath::Promotion, "aws-cn", &account),
            "arn:aws-cn:iam::222222222222:role/lockstep-promotion-cloudformation"
        );
    }
}
