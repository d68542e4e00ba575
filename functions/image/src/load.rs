//! Loads the records that each step starts from.

use crate::context::ImageContext;
use lockstep_aws::ledger::Versioned;
use lockstep_aws::scope;
use lockstep_domain::images::promotion::{Origin, tags};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{DeploymentId, ImageName};
use lockstep_domain::model::location::Location;
use lockstep_domain::records::{
    CopyPlan, Deployment, DeploymentBody, DeploymentState, Image, ImageVersion, PromoteImageBody,
};
use lockstep_runtime::{images, stages};

/// A promotion with its record.
pub struct Promotion {
    /// Record of the promotion.
    pub deployment: Versioned<Deployment>,
    /// Image that is promoted.
    pub image: ImageName,
    /// Location that the image is copied from.
    pub source: Location,
    /// Plan of the copy. Nothing is shared or copied before it is recorded.
    pub plan: Option<CopyPlan>,
}

impl Promotion {
    /// Loads the promotion of the request in any state. The log lines that follow name it.
    pub async fn load<C: ImageContext>(context: &C, id: &DeploymentId) -> Result<Self, Failure> {
        let promotion = Self::read(context, id).await?;
        scope::about(&promotion.deployment.record);
        Ok(promotion)
    }

    /// Reads a promotion in any state, which may be another one than that of the request.
    pub async fn read<C: ImageContext>(context: &C, id: &DeploymentId) -> Result<Self, Failure> {
        let what = format!("the promotion {id}");
        let deployment = context.ledger().expect::<Deployment>(&Deployment::key_of(id), &what).await?;
        match &deployment.record.body {
            DeploymentBody::PromoteImage(PromoteImageBody { image, source, plan }) => {
                let (image, source, plan) = (image.clone(), source.clone(), plan.clone());
                Ok(Self { deployment, image, source, plan })
            }
            DeploymentBody::Deploy(_) | DeploymentBody::Teardown(_) => {
                Err(Failure::rejected(format!("{id} is a deployment of a release")))
            }
            DeploymentBody::BuildImage(_) => Err(Failure::rejected(format!("{id} is the build of an image"))),
            DeploymentBody::PublishImage(_) => {
                Err(Failure::rejected(format!("{id} is the publication of an image")))
            }
        }
    }

    /// Loads a running promotion. Returns `Superseded` if the promotion has ended.
    pub async fn load_running<C: ImageContext>(context: &C, id: &DeploymentId) -> Result<Self, Failure> {
        let promotion = Self::load(context, id).await?;
        if promotion.deployment.record.state == DeploymentState::Running {
            return Ok(promotion);
        }
        Err(Failure::new(FailureKind::Superseded, format!("the promotion {id} is not running any more")))
    }

    /// Returns the id of the promotion.
    pub fn id(&self) -> &DeploymentId {
        &self.deployment.record.id
    }

    /// Returns the execution that runs the promotion.
    pub fn execution(&self) -> &str {
        &self.deployment.record.execution
    }

    /// Returns the location that the image is copied to.
    pub fn target(&self) -> &Location {
        &self.deployment.record.location
    }

    /// Returns the session name that the other accounts see in CloudTrail.
    pub fn session(&self) -> String {
        self.id().session()
    }

    /// Returns true if the target is another account. A copy to another region of one account needs no share.
    pub fn leaves_its_account(&self) -> bool {
        self.source.account != self.target().account
    }

    /// Returns the recorded plan of the copy.
    pub fn plan(&self) -> Result<&CopyPlan, Failure> {
        self.plan.as_ref().ok_or_else(|| Failure::bug(format!("the promotion {} has no plan", self.id())))
    }

    /// Returns the tags of the copy and of its snapshots.
    pub fn tags(&self) -> Result<Vec<(String, String)>, Failure> {
        let plan = self.plan()?;
        let origin = Origin {
            name: &self.image,
            version: &self.deployment.record.version,
            commit: plan.commit.as_ref(),
            repository: plan.repository.as_deref(),
            source_ami: &plan.source_ami,
            built_at: plan.built_at.as_deref(),
            deployment: Some(&plan.made_by),
        };
        Ok(tags(&origin))
    }

    /// Returns the ledger's record of the image at the target.
    pub async fn at_target<C: ImageContext>(&self, context: &C) -> Result<Option<Versioned<Image>>, Failure> {
        let Deployment { version, location, path, .. } = &self.deployment.record;
        context.ledger().get::<Image>(&Image::key_of(&self.image, version, location, *path)).await
    }

    /// Returns the record of the copy. Fails with `Superseded` if another promotion owns it.
    pub async fn copy<C: ImageContext>(&self, context: &C) -> Result<Versioned<Image>, Failure> {
        let found = self.at_target(context).await?;
        found.filter(|image| self.brings(&image.record)).ok_or_else(|| self.superseded())
    }

    /// Returns true if this promotion owns the copy. Another promotion may have taken it over.
    pub fn brings(&self, copy: &Image) -> bool {
        copy.recorded_by == self.deployment.record.execution
    }

    /// Returns the failure of a promotion that another one replaced.
    pub fn superseded(&self) -> Failure {
        let id = self.id();
        Failure::new(FailureKind::Superseded, format!("the promotion {id} does not copy this image any more"))
    }
}

/// Returns the records of one version of an image in all locations.
pub async fn everywhere<C: ImageContext>(
    context: &C,
    image: &ImageName,
    version: &lockstep_domain::model::version::Version,
) -> Result<Vec<Versioned<Image>>, Failure> {
    let stages = stages::stages(context.ledger()).await?;
    images::everywhere(context.ledger(), &stages, image, version).await
}

/// Returns the record of one version of an image.
pub async fn version<C: ImageContext>(
    context: &C,
    image: &ImageName,
    version: &lockstep_domain::model::version::Version,
) -> Result<ImageVersion, Failure> {
    let found = images::version(context.ledger(), image, version).await?;
    found.map(|found| found.record).ok_or_else(|| unknown(image, version))
}

/// Returns the failure for an image that was never baked or imported.
pub fn unknown(image: &ImageName, version: &lockstep_domain::model::version::Version) -> Failure {
    Failure::not_found(format!(
        "the ledger knows no image {image}@{version}; import it with `lockstep images import`"
    ))
}

/// Returns the failure for an image that cannot be used or copied.
pub fn unusable(why: impl Into<String>) -> Failure {
    Failure::new(FailureKind::ImageUnusable, why)
}
