//! Clouds of target accounts, for contexts.

use super::{EXTERNAL_ID, SimContext};
use crate::cloudformation::SimStacks;
use crate::codebuild::SimBuilds;
use crate::ec2::{SimImages, SimKeys};
use lockstep_domain::installation::target_roles::TargetRole;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::AccountId;
use lockstep_domain::model::location::Location;
use lockstep_domain::stacks::identity::InstallationId;
use lockstep_runtime::{
    BuildsOf, ChannelsOf, ImagesOf, Installed, KeptImagesOf, KeysOf, StacksOf, TargetRoles,
};

impl Installed for SimContext {
    fn installation(&self) -> InstallationId {
        InstallationId::of_external_id(EXTERNAL_ID)
    }
}

impl TargetRoles for SimContext {
    fn path(&self) -> DeploymentPath {
        self.path
    }

    fn partition(&self) -> &str {
        "aws"
    }

    fn role_arn(&self, role: TargetRole, account: &AccountId) -> String {
        role.arn(self.path, "aws", account)
    }
}

impl StacksOf for SimContext {
    type Stacks = SimStacks;

    async fn stacks(&self, location: &Location, _: &str) -> Result<SimStacks, Failure> {
        self.reach(location)?;
        Ok(self.cloudformation.stacks())
    }
}

impl ImagesOf for SimContext {
    type Images = SimImages;

    async fn images(&self, _: TargetRole, location: &Location, _: &str) -> Result<SimImages, Failure> {
        self.reach(location)?;
        Ok(self.ec2.images(location))
    }
}

impl KeysOf for SimContext {
    type Keys = SimKeys;

    async fn keys(&self, _: TargetRole, location: &Location, _: &str) -> Result<SimKeys, Failure> {
        self.reach(location)?;
        Ok(self.ec2.keys(location))
    }
}

impl BuildsOf for SimContext {
    type Builds = SimBuilds;

    async fn builds(&self, location: &Location, _: &str) -> Result<SimBuilds, Failure> {
        self.reach(location)?;
        Ok(self.codebuild.builds(location))
    }
}

impl KeptImagesOf for SimContext {
    type RetainedImages = SimImages;

    async fn kept_images(&self, location: &Location) -> Result<SimImages, Failure> {
        self.reach(location)?;
        Ok(self.ec2.images(location))
    }
}

impl ChannelsOf for SimContext {
    type Channels = SimImages;

    async fn channels(&self, location: &Location, _: &str) -> Result<SimImages, Failure> {
        self.reach(location)?;
        Ok(self.ec2.images(location))
    }
}
