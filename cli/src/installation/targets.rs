//! Adds accounts and regions that Lockstep deploys to: their own stack, and their registration.

use super::{
    BUCKET_TEMPLATE, Installation, Step, TARGET_STACK, TARGET_TEMPLATE, alarms, bucket, not_installed,
    places, rendered,
};
use crate::failure::Failure;
use lockstep_aws::aws::Aws;
use lockstep_aws::cloudformation::TemplateSource;
use lockstep_aws::operator::control_plane;
use lockstep_aws::operator::stacks::Installer;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::ids::{AccountId, Region};

/// The settings of an account to add.
#[derive(Clone, Debug)]
pub struct TargetAccount {
    /// The deployment path whose functions may act there.
    pub path: DeploymentPath,
    /// The managed policies of the execution role, which CloudFormation uses there.
    pub policies: Vec<String>,
    /// The permissions boundary of that role.
    pub boundary: String,
    /// True if a KMS key for images is created there, unless there is one.
    pub image_key: bool,
}

impl Installation<'_> {
    /// Adds an account that Lockstep deploys to: creates its own stack first, and registers it then.
    pub async fn add_account(&self, target: &Aws, wanted: &TargetAccount) -> Result<Vec<Step>, Failure> {
        // The roles are in the control plane's region, whatever region the profile names. `add_region` adds other regions.
        let target = &target.in_region(self.aws.region());
        let (account, _) = control_plane::identity(target).await?;
        if account == self.account {
            return Err(Failure::new(format!("{account} is the account of the control plane")).next(
                "deploy to another account: a component must never be able to touch the control plane",
            ));
        }
        let installed = control_plane::find(self.aws).await?.ok_or_else(not_installed)?;
        let registered = self.room_for(&account, wanted.path).await?;
        let image_key = image_key(target, wanted.image_key).await?;
        let parameters = [
            ("ToolingAccount", self.account.to_string()),
            ("EventBusArn", installed.event_bus_arn.clone()),
            ("ExternalId", installed.external_id.clone()),
            ("Path", wanted.path.as_str().to_owned()),
            ("ExecutionPolicyArns", wanted.policies.join(",")),
            ("ExecutionBoundaryArn", wanted.boundary.clone()),
            ("CreateImageKey", image_key),
            (alarms::PARAMETER, self.installed_alarm_address().await?),
        ];
        let in_target = self.in_target(target, &account, &parameters).await?;
        let mut steps = vec![in_target];
        steps.extend(self.let_in(&registered, &account).await?);
        Ok(steps)
    }

    /// Adds another region of an account. The account's roles are valid in every region. Their stack is in the control
    /// plane's region, where the account was added first.
    pub async fn add_region(
        &self,
        target: &Aws,
        region: &Region,
        wants_image_key: bool,
    ) -> Result<Vec<Step>, Failure> {
        let (account, _) = control_plane::identity(target).await?;
        let installed = control_plane::find(self.aws).await?.ok_or_else(not_installed)?;
        if region == self.aws.region() {
            return Err(Failure::usage(format!(
                "{region} is the control plane's region, in which an account is added first"
            ))
            .next("leave --in-region out"));
        }
        let first = target.in_region(self.aws.region());
        let mut parameters = Installer::new(&first).parameters(TARGET_STACK).await?;
        if parameters.is_empty() {
            return Err(Failure::new(format!("account {account} is not known yet"))
                .next("add it first: lockstep accounts add without --in-region"));
        }
        let there = target.in_region(region);
        places::can_be_reached(region, there.partition(), self.aws.partition())?;
        parameters.extend([
            ("FurtherRegion".to_owned(), "true".to_owned()),
            ("EventBusArn".to_owned(), installed.event_bus_arn),
            ("CreateImageKey".to_owned(), image_key(&there, wants_image_key).await?),
            (alarms::PARAMETER.to_owned(), self.installed_alarm_address().await?),
        ]);
        let parameters: Vec<_> =
            parameters.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        Ok(vec![self.in_target(&there, &account, &parameters).await?])
    }

    /// Creates or updates the stack of a target account.
    ///
    /// The template is uploaded into the bucket of this same stack. Without a bucket yet, the stack is created with the
    /// bucket alone first.
    async fn in_target(
        &self,
        target: &Aws,
        account: &AccountId,
        parameters: &[(&str, String)],
    ) -> Result<Step, Failure> {
        let is_new = !bucket(target, account).is_there(account).await?;
        if is_new {
            let bucket = TemplateSource::Body(rendered(&self.sources, BUCKET_TEMPLATE, account, target)?);
            self.apply(target, TARGET_STACK, bucket, &[]).await?;
        }
        let template = self.uploaded(TARGET_TEMPLATE, target, account).await?;
        let step = self.apply(target, TARGET_STACK, template, parameters).await?;
        Ok(if is_new { Step { outcome: "created", ..step } } else { step })
    }
}

/// Returns the parameter that creates a key for images. An existing key is retained, because images are encrypted under it.
async fn image_key(target: &Aws, is_wanted: bool) -> Result<String, Failure> {
    let known = Installer::new(target).parameters(TARGET_STACK).await?;
    let has = known.get("CreateImageKey").is_some_and(|value| value == "true");
    Ok((is_wanted || has).to_string())
}
