//! Loads the records that each step starts from.

use crate::context::ImageContext;
use lockstep_domain::images::promotion::{
    Origin, TAG_BUILT_AT, TAG_COMMIT, TAG_DEPLOYMENT, TAG_REPOSITORY, TAG_SOURCE, tags,
};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{AmiId, CommitSha, DeploymentId, ImageName, SnapshotId};
use lockstep_domain::model::location::Location;
use lockstep_domain::records::{Deployment, DeploymentKind, DeploymentState, Image, ImageVersion};
use lockstep_platform::ledger::{Order, Versioned};
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of records of one version of an image: accounts times regions.
const PLACES_MAX: usize = 1000;

/// Keys of the promotion's parameters, beside those of the tags.
const COPIED_FROM: &str = "copied-from";
const SNAPSHOTS: &str = "snapshots";
const KEYS: &str = "keys";
const KEY: &str = "key";

/// A promotion with its record.
pub struct Promotion {
    /// Record of the promotion.
    pub deployment: Versioned<Deployment>,
    /// Image that is promoted.
    pub image: ImageName,
    /// Location that the image is copied from.
    pub source: Location,
}

impl Promotion {
    /// Loads a promotion in any state.
    pub async fn load<C: ImageContext>(context: &C, id: &DeploymentId) -> Result<Self, Failure> {
        let what = format!("the promotion {id}");
        let deployment = context.ledger().expect::<Deployment>(&Deployment::key_of(id), &what).await?;
        match &deployment.record.kind {
            DeploymentKind::PromoteImage { image, source } => {
                let (image, source) = (image.clone(), source.clone());
                Ok(Self { deployment, image, source })
            }
            DeploymentKind::Deploy { .. } | DeploymentKind::Teardown { .. } => {
                Err(Failure::rejected(format!("{id} is a deployment of a release")))
            }
            DeploymentKind::BuildImage { .. } => {
                Err(Failure::rejected(format!("{id} is the build of an image")))
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

    /// Returns true if the plan of the copy is recorded. Nothing is shared or copied before that.
    pub fn has_a_plan(&self) -> bool {
        !self.deployment.record.parameters.is_empty()
    }

    /// Returns the location that the image is copied to.
    pub fn target(&self) -> &Location {
        &self.deployment.record.location
    }

    /// Returns the session name that the other accounts see in CloudTrail.
    pub fn session(&self) -> String {
        session(self.id())
    }

    /// Returns true if the target is another account. A copy to another region of one account needs no share.
    pub fn leaves_its_account(&self) -> bool {
        self.source.account != self.target().account
    }

    /// Returns the recorded plan of the copy.
    pub fn wanted(&self) -> Result<Wanted, Failure> {
        Wanted::read(&self.deployment.record.parameters)
    }

    /// Returns the tags of the copy and of its snapshots.
    pub fn tags(&self) -> Result<Vec<(String, String)>, Failure> {
        let wanted = self.wanted()?;
        let origin = Origin {
            name: &self.image,
            version: &self.deployment.record.version,
            commit: wanted.commit.as_ref(),
            repository: wanted.repository.as_deref(),
            source_ami: &wanted.source_ami,
            built_at: wanted.built_at.as_deref(),
            deployment: Some(&wanted.made_by),
        };
        Ok(tags(&origin))
    }

    /// Returns the ledger's record of the image at `location`.
    pub async fn image_at<C: ImageContext>(
        &self,
        context: &C,
        location: &Location,
    ) -> Result<Option<Versioned<Image>>, Failure> {
        let key = Image::key_of(&self.image, &self.deployment.record.version, location);
        context.ledger().get::<Image>(&key).await
    }

    /// Returns the record of the copy. Fails with `Superseded` if another promotion owns it.
    pub async fn copy<C: ImageContext>(&self, context: &C) -> Result<Versioned<Image>, Failure> {
        let found = self.image_at(context, self.target()).await?;
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

/// Plan of a copy, as decided when the promotion began. AWS refuses a token with different parameters, so the parameters of
/// each call come from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// AMI to copy.
    pub copied_from: AmiId,
    /// AMI that all copies descend from.
    pub source_ami: AmiId,
    /// Snapshots of the AMI to copy.
    pub snapshots: BTreeSet<SnapshotId>,
    /// Commit of the recipe.
    pub commit: Option<CommitSha>,
    /// Repository of the recipe.
    pub repository: Option<String>,
    /// Time of the build.
    pub built_at: Option<String>,
    /// ARNs of the snapshots' keys that the target must be allowed to use.
    pub keys: BTreeSet<String>,
    /// ARN of the key that encrypts the copy.
    pub key: Option<String>,
    /// Promotion that first requested the copy. The copy's tags, name, token and grants name it, also after another promotion
    /// takes over.
    pub made_by: DeploymentId,
}

impl Wanted {
    /// Returns the plan as parameters of the deployment record.
    pub fn write(&self) -> BTreeMap<String, String> {
        let snapshots: Vec<&str> = self.snapshots.iter().map(SnapshotId::as_str).collect();
        let keys: Vec<&str> = self.keys.iter().map(String::as_str).collect();
        let all = [
            (COPIED_FROM, Some(self.copied_from.to_string())),
            (TAG_SOURCE, Some(self.source_ami.to_string())),
            (SNAPSHOTS, Some(snapshots.join(","))),
            (TAG_COMMIT, self.commit.as_ref().map(ToString::to_string)),
            (TAG_REPOSITORY, self.repository.clone()),
            (TAG_BUILT_AT, self.built_at.clone()),
            (KEYS, (!keys.is_empty()).then(|| keys.join(","))),
            (KEY, self.key.clone()),
            (TAG_DEPLOYMENT, Some(self.made_by.to_string())),
        ];
        all.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }

    fn read(parameters: &BTreeMap<String, String>) -> Result<Self, Failure> {
        let text = |key: &str| parameters.get(key).map(String::as_str);
        let list = |key: &str| text(key).unwrap_or_default().split(',').filter(|item| !item.is_empty());
        let bug = |error: lockstep_domain::model::ids::InvalidId| {
            Failure::bug(format!("the record of the promotion is damaged: {error}"))
        };
        Ok(Self {
            copied_from: text(COPIED_FROM).unwrap_or_default().parse().map_err(bug)?,
            source_ami: text(TAG_SOURCE).unwrap_or_default().parse().map_err(bug)?,
            snapshots: list(SNAPSHOTS).map(str::parse).collect::<Result<_, _>>().map_err(bug)?,
            commit: text(TAG_COMMIT).map(str::parse).transpose().map_err(bug)?,
            repository: text(TAG_REPOSITORY).map(str::to_owned),
            built_at: text(TAG_BUILT_AT).map(str::to_owned),
            keys: list(KEYS).map(str::to_owned).collect(),
            key: text(KEY).map(str::to_owned),
            made_by: text(TAG_DEPLOYMENT).unwrap_or_default().parse().map_err(bug)?,
        })
    }
}

/// Returns the name of a session.
pub fn session(id: &DeploymentId) -> String {
    format!("lockstep-{id}")
}

/// Returns the records of one version of an image in all locations.
pub async fn everywhere<C: ImageContext>(
    context: &C,
    image: &ImageName,
    version: &lockstep_domain::model::version::Version,
) -> Result<Vec<Versioned<Image>>, Failure> {
    let (pk, prefix) = Image::version_of(image, version);
    context.ledger().list::<Image>(&pk, &prefix, Order::Oldest, PLACES_MAX).await
}

/// Returns the record of one version of an image.
pub async fn version<C: ImageContext>(
    context: &C,
    image: &ImageName,
    version: &lockstep_domain::model::version::Version,
) -> Result<ImageVersion, Failure> {
    let found = context.ledger().get::<ImageVersion>(&ImageVersion::key_of(image, version)).await?;
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
