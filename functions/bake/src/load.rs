//! What every step starts from.

use crate::context::BakeContext;
use lockstep_domain::images::promotion::TAG_SOURCE;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{AmiId, DeploymentId, ImageName};
use lockstep_domain::model::location::Location;
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{
    Deployment, DeploymentKind, DeploymentState, Image, ImageOrigin, ImageVersion,
};
use lockstep_platform::ledger::{Order, Versioned};

/// The most records of one version of an image: accounts times regions.
const PLACES_MAX: usize = 1000;

/// A build of the ledger.
pub struct Building {
    /// Its record.
    pub deployment: Versioned<Deployment>,
    /// The image.
    pub image: ImageName,
}

impl Building {
    /// Loads it, whatever its state.
    pub async fn load<C: BakeContext>(context: &C, id: &DeploymentId) -> Result<Self, Failure> {
        let what = format!("the build {id}");
        let deployment = context.ledger().expect::<Deployment>(&Deployment::key_of(id), &what).await?;
        match &deployment.record.kind {
            DeploymentKind::BuildImage { image } => {
                let image = image.clone();
                Ok(Self { deployment, image })
            }
            DeploymentKind::Deploy { .. }
            | DeploymentKind::Teardown { .. }
            | DeploymentKind::PromoteImage { .. } => {
                Err(Failure::rejected(format!("{id} is not the build of an image")))
            }
        }
    }

    /// Loads it; one that is over is `Superseded`.
    pub async fn load_running<C: BakeContext>(context: &C, id: &DeploymentId) -> Result<Self, Failure> {
        let building = Self::load(context, id).await?;
        if building.deployment.record.state == DeploymentState::Running {
            return Ok(building);
        }
        Err(Failure::new(FailureKind::Superseded, format!("the build {id} is not running any more")))
    }

    /// Its id.
    pub fn id(&self) -> &DeploymentId {
        &self.deployment.record.id
    }

    /// The version that is built.
    pub fn version(&self) -> &Version {
        &self.deployment.record.version
    }

    /// Where it is built.
    pub fn location(&self) -> &Location {
        &self.deployment.record.location
    }

    /// The image it starts from, as it was found when the build began.
    pub fn base(&self) -> Result<AmiId, Failure> {
        let ami = self.deployment.record.parameters.get(TAG_SOURCE).map(String::as_str).unwrap_or_default();
        ami.parse().map_err(|error| Failure::bug(format!("the journal is damaged: {error}")))
    }

    /// Writes the record as `change` leaves it.
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

/// What people in the other account see of who came.
pub fn session(id: &DeploymentId) -> String {
    format!("lockstep-{id}")
}

/// The recipe that a version is built from.
pub struct Baked<'a> {
    /// The record's origin, taken apart.
    pub repository: String,
    /// The commit.
    pub commit: &'a lockstep_domain::model::ids::CommitSha,
    /// The key of the artifact.
    pub artifact: &'a str,
    /// The base.
    pub base: &'a lockstep_domain::model::base_image::Base,
}

/// The recipe of a version; an imported one has none.
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

/// The record of a version.
pub async fn version<C: BakeContext>(
    context: &C,
    image: &ImageName,
    version: &Version,
) -> Result<Versioned<ImageVersion>, Failure> {
    let what = format!("the image {image}@{version}");
    context.ledger().expect::<ImageVersion>(&ImageVersion::key_of(image, version), &what).await
}

/// Every record of one version of an image.
pub async fn everywhere<C: BakeContext>(
    context: &C,
    image: &ImageName,
    version: &Version,
) -> Result<Vec<Versioned<Image>>, Failure> {
    let (pk, prefix) = Image::version_of(image, version);
    context.ledger().list::<Image>(&pk, &prefix, Order::Oldest, PLACES_MAX).await
}

/// An image that cannot be built or used.
pub fn unusable(why: impl Into<String>) -> Failure {
    Failure::new(FailureKind::ImageUnusable, why)
}
