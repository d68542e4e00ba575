//! Loads the records that each step starts from.

use crate::context::BakeContext;
use lockstep_aws::ledger::Versioned;
use lockstep_aws::scope;
use lockstep_domain::images::promotion::{Origin, tags};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{DeploymentId, ImageName};
use lockstep_domain::model::location::Location;
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{
    BuildImageBody, Deployment, DeploymentState, Image, ImageOrigin, ImageVersion,
};
use lockstep_runtime::{images, stages};
use std::collections::BTreeMap;

/// A build with its record.
pub struct Building {
    /// Record of the build.
    pub deployment: Versioned<Deployment>,
    /// Image that is built, with the input of the build.
    pub body: BuildImageBody,
}

impl Building {
    /// Loads a build in any state.
    pub async fn load<C: BakeContext>(context: &C, id: &DeploymentId) -> Result<Self, Failure> {
        let what = format!("the build {id}");
        let deployment = context.ledger().expect::<Deployment>(&Deployment::key_of(id), &what).await?;
        scope::about(&deployment.record);
        match deployment.record.build().cloned() {
            Some(body) => Ok(Self { deployment, body }),
            None => Err(Failure::rejected(format!("{id} is not the build of an image"))),
        }
    }

    /// Loads a running build. Returns `Superseded` if the build has ended.
    pub async fn load_running<C: BakeContext>(context: &C, id: &DeploymentId) -> Result<Self, Failure> {
        let building = Self::load(context, id).await?;
        if building.deployment.record.state == DeploymentState::Running {
            return Ok(building);
        }
        Err(Failure::new(FailureKind::Superseded, format!("the build {id} is not running any more")))
    }

    /// Returns the id of the build.
    pub fn id(&self) -> &DeploymentId {
        &self.deployment.record.id
    }

    /// Returns the version that is built.
    pub fn version(&self) -> &Version {
        &self.deployment.record.version
    }

    /// Returns the account and region of the build.
    pub fn location(&self) -> &Location {
        &self.deployment.record.location
    }

    /// Returns the tags that the build gives to its image, which are the same for each attempt. The build adds its own ARN.
    pub fn tags(&self) -> BTreeMap<String, String> {
        let built_at = self.body.built_at.to_string();
        let origin = Origin {
            name: &self.body.image,
            version: self.version(),
            commit: Some(&self.body.commit),
            repository: Some(&self.body.repository),
            source_ami: &self.body.base,
            built_at: Some(&built_at),
            deployment: Some(self.id()),
        };
        tags(&origin).into_iter().collect()
    }

    /// Applies `change` to the record and writes it.
    pub async fn write<C: BakeContext>(
        &mut self,
        context: &C,
        change: impl FnOnce(&mut Deployment),
    ) -> Result<(), Failure> {
        let mut record = self.deployment.record.clone();
        change(&mut record);
        self.deployment = context.ledger().replace(&self.deployment, record).await?;
        Ok(())
    }
}

/// Recipe that a version is built from.
pub struct Baked<'a> {
    /// Full name of the repository of the recipe.
    pub repository: String,
    /// Commit of the recipe.
    pub commit: &'a lockstep_domain::model::ids::CommitSha,
    /// S3 key of the recipe's artifact.
    pub artifact: &'a str,
    /// Base image of the recipe.
    pub base: &'a lockstep_domain::model::base_image::Base,
}

/// Returns the recipe of a version. Fails for an imported version, which has none.
pub fn baked(version: &ImageVersion) -> Result<Baked<'_>, Failure> {
    match &version.origin {
        ImageOrigin::Baked { repository, commit, artifact, base, .. } => {
            Ok(Baked { repository: repository.full_name(), commit, artifact, base })
        }
        ImageOrigin::Imported { .. } => Err(Failure::rejected(format!(
            "the image {}@{} was imported: there is no recipe to build it from",
            version.name, version.version
        ))),
    }
}

/// Returns the record of a version.
pub async fn version<C: BakeContext>(
    context: &C,
    image: &ImageName,
    version: &Version,
) -> Result<Versioned<ImageVersion>, Failure> {
    let found = images::version(context.ledger(), image, version).await?;
    found.ok_or_else(|| Failure::not_found(format!("the image {image}@{version} does not exist")))
}

/// Returns the records of one version of an image in all locations.
pub async fn everywhere<C: BakeContext>(
    context: &C,
    image: &ImageName,
    version: &Version,
) -> Result<Vec<Versioned<Image>>, Failure> {
    let stages = stages::stages(context.ledger()).await?;
    images::everywhere(context.ledger(), &stages, image, version).await
}

/// Returns the failure for an image that cannot be built or used.
pub fn unusable(why: impl Into<String>) -> Failure {
    Failure::new(FailureKind::ImageUnusable, why)
}
