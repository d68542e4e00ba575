//! Clouds of target accounts, for contexts.

use super::{CloudFormations, SimContext};
use crate::codebuild::SimBuilds;
use crate::ec2::{SimImages, SimKeys};
use lockstep_domain::installation::target_roles::TargetRole;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::AccountId;
use lockstep_domain::model::location::Location;
use lockstep_runtime::{BuildsOf, ChannelsOf, ImagesOf, KeptImagesOf, KeysOf, StacksOf, TargetRoles};

impl<C> TargetRoles for SimContext<C> {
    fn partition(&self) -> &str {
        "aws"
    }

    fn role_arn(&self, role: TargetRole, account: &AccountId) -> String {
        role.arn(self.path, "aws", account)
    }
}

impl<C: CloudFormations> StacksOf for SimContext<C> {
    type Stacks = C::Stacks;

    async fn stacks(&self, location: &Location, _: &str) -> Result<C::Stacks, Failure> {
        self.reach(location)?;
        Ok(self.cloudformation.stacks())
    }
}

impl<C> ImagesOf for SimContext<C> {
    type Images = SimImages;

    async fn images(&self, _: TargetRole, location: &Location, _: &str) -> Result<SimImages, Failure> {
        self.reach(location)?;
        Ok(self.ec2.images(location))
    }
}

impl<C> KeysOf for SimContext<C> {
    type Keys = SimKeys;

    async fn keys(&self, _: TargetRole, location: &Location, _: &str) -> Result<SimKeys, Failure> {
        self.reach(location)?;
        Ok(self.ec2.keys(location))
    }
}

impl<C> BuildsOf for SimContext<C> {
    type Builds = SimBuilds;

    async fn builds(&self, location: &Location, _: &str) -> Result<SimBuilds, Failure> {
        self.reach(location)?;
        Ok(self.codebuild.builds(location))
    }
}

impl<C> KeptImagesOf for SimContext<C> {
    type RetainedImages = SimImages;

    async fn kept_images(&self, location: &Location) -> Result<SimImages, Failure> {
        self.reach(location)?;
        Ok(self.ec2.images(location))
    }
}

impl<C> ChannelsOf for SimContext<C> {
    type Channels = SimImages;

    async fn channels(&self, location: &Location) -> Result<SimImages, Failure> {
        self.reach(location)?;
        Ok(self.ec2.images(location))
    }
}
