//! What every step starts from.

use crate::world::World;
use lockstep_domain::error::{Failure, FailureKind};
use lockstep_domain::ids::{AmiId, CommitSha, DeploymentId, ImageName, SnapshotId, StageName};
use lockstep_domain::promotion::{Origin, TAG_BUILT_AT, TAG_COMMIT, TAG_REPOSITORY, TAG_SOURCE, tags};
use lockstep_domain::records::{
    ConfigKind, Deployment, DeploymentKind, DeploymentState, Image, ImageVersion, Location,
};
use lockstep_domain::stages::{Stage, Stages};
use lockstep_platform::ledger::{Order, Versioned};
use lockstep_platform::ports::Records;
use std::collections::{BTreeMap, BTreeSet};

/// The most records of one version of an image: accounts times regions.
const PLACES_MAX: usize = 1000;

/// The journal's keys beside those of the tags.
const ENCRYPT: &str = "encrypt";
const SNAPSHOTS: &str = "snapshots";

/// A promotion of the ledger.
pub struct Promotion {
    /// Its record.
    pub deployment: Versioned<Deployment>,
    /// The image.
    pub image: ImageName,
    /// Where it comes from.
    pub source: Location,
}

impl Promotion {
    /// Loads it, whatever its state.
    pub async fn load<W: World>(world: &W, id: &DeploymentId) -> Result<Self, Failure> {
        let what = format!("the promotion {id}");
        let deployment = world.records().expect::<Deployment>(&Deployment::key_of(id), &what).await?;
        match &deployment.record.kind {
            DeploymentKind::PromoteImage { image, source } => {
                let (image, source) = (image.clone(), source.clone());
                Ok(Self { deployment, image, source })
            }
            DeploymentKind::Deploy { .. } | DeploymentKind::Teardown { .. } => {
                Err(Failure::rejected(format!("{id} is a deployment of a release")))
            }
        }
    }

    /// Loads it; one that is over is `Superseded`.
    pub async fn load_running<W: World>(world: &W, id: &DeploymentId) -> Result<Self, Failure> {
        let promotion = Self::load(world, id).await?;
        if promotion.deployment.record.state == DeploymentState::Running {
            return Ok(promotion);
        }
        Err(Failure::new(FailureKind::Superseded, format!("the promotion {id} is not running any more")))
    }

    /// Its id.
    pub fn id(&self) -> &DeploymentId {
        &self.deployment.record.id
    }

    /// Where the image goes.
    pub fn target(&self) -> &Location {
        &self.deployment.record.location
    }

    /// What people in the other accounts see of who came.
    pub fn session(&self) -> String {
        session(self.id())
    }

    /// Whether the image leaves its account at all: another region of the same one needs no sharing.
    pub fn leaves_its_account(&self) -> bool {
        self.source.account != self.target().account
    }

    /// What the journal says of the copy.
    pub fn wanted(&self) -> Result<Wanted, Failure> {
        Wanted::read(&self.deployment.record.parameters)
    }

    /// The tags of the copy and of its snapshots.
    pub fn tags(&self) -> Result<Vec<(String, String)>, Failure> {
        let wanted = self.wanted()?;
        let origin = Origin {
            name: &self.image,
            version: &self.deployment.record.version,
            commit: wanted.commit.as_ref(),
            repository: wanted.repository.as_deref(),
            source_ami: &wanted.source_ami,
            built_at: wanted.built_at.as_deref(),
            deployment: Some(self.id()),
        };
        Ok(tags(&origin))
    }

    /// The ledger's record of the image at `location`.
    pub async fn image_at<W: World>(
        &self,
        world: &W,
        location: &Location,
    ) -> Result<Option<Versioned<Image>>, Failure> {
        let key = Image::key_of(&self.image, &self.deployment.record.version, location);
        world.records().get::<Image>(&key).await
    }

    /// The record of the copy, which this promotion must own.
    pub async fn copy<W: World>(&self, world: &W) -> Result<Versioned<Image>, Failure> {
        let execution = &self.deployment.record.execution;
        let found = self.image_at(world, self.target()).await?;
        found.filter(|image| image.record.recorded_by == *execution).ok_or_else(|| {
            let id = self.id();
            Failure::new(
                FailureKind::Superseded,
                format!("the promotion {id} does not bring this image any more"),
            )
        })
    }
}

/// What is to be copied, as it was decided when the promotion began: the parameters of a call with a token come from
/// here, since AWS refuses the same token with others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The AMI to copy.
    pub source_ami: AmiId,
    /// Its snapshots.
    pub snapshots: BTreeSet<SnapshotId>,
    /// The commit of its recipe.
    pub commit: Option<CommitSha>,
    /// The repository of its recipe.
    pub repository: Option<String>,
    /// When it was built.
    pub built_at: Option<String>,
    /// Whether the copy is encrypted anew.
    pub encrypt: bool,
}

impl Wanted {
    /// For the journal.
    pub fn write(&self) -> BTreeMap<String, String> {
        let snapshots: Vec<&str> = self.snapshots.iter().map(SnapshotId::as_str).collect();
        let all = [
            (TAG_SOURCE, Some(self.source_ami.to_string())),
            (SNAPSHOTS, Some(snapshots.join(","))),
            (TAG_COMMIT, self.commit.as_ref().map(ToString::to_string)),
            (TAG_REPOSITORY, self.repository.clone()),
            (TAG_BUILT_AT, self.built_at.clone()),
            (ENCRYPT, Some(self.encrypt.to_string())),
        ];
        all.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }

    fn read(journal: &BTreeMap<String, String>) -> Result<Self, Failure> {
        let text = |key: &str| journal.get(key).map(String::as_str);
        let bug =
            |error: lockstep_domain::ids::InvalidId| Failure::bug(format!("the journal is damaged: {error}"));
        let snapshots = text(SNAPSHOTS).unwrap_or_default().split(',').filter(|id| !id.is_empty());
        Ok(Self {
            source_ami: text(TAG_SOURCE).unwrap_or_default().parse().map_err(bug)?,
            snapshots: snapshots.map(str::parse).collect::<Result<_, _>>().map_err(bug)?,
            commit: text(TAG_COMMIT).map(str::parse).transpose().map_err(bug)?,
            repository: text(TAG_REPOSITORY).map(str::to_owned),
            built_at: text(TAG_BUILT_AT).map(str::to_owned),
            encrypt: text(ENCRYPT) == Some("true"),
        })
    }
}

/// A session's name.
pub fn session(id: &DeploymentId) -> String {
    format!("lockstep-{id}")
}

/// Every record of one version of an image.
pub async fn everywhere<W: World>(
    world: &W,
    image: &ImageName,
    version: &lockstep_domain::version::Version,
) -> Result<Vec<Versioned<Image>>, Failure> {
    let (pk, prefix) = Image::version_of(image, version);
    world.records().list::<Image>(&pk, &prefix, Order::Oldest, PLACES_MAX).await
}

/// The record of one version of an image.
pub async fn version<W: World>(
    world: &W,
    image: &ImageName,
    version: &lockstep_domain::version::Version,
) -> Result<ImageVersion, Failure> {
    let found = world.records().get::<ImageVersion>(&ImageVersion::key_of(image, version)).await?;
    found.map(|found| found.record).ok_or_else(|| unknown(image, version))
}

/// An image that nobody baked or imported.
pub fn unknown(image: &ImageName, version: &lockstep_domain::version::Version) -> Failure {
    Failure::not_found(format!(
        "the ledger knows no image {image}@{version}; import it with `lockstep images import`"
    ))
}

/// The stage called `name`.
pub async fn stage<W: World>(world: &W, name: &StageName) -> Result<Stage, Failure> {
    let newest = world.records().config(ConfigKind::Stages).await?;
    let missing = || Failure::not_found("there are no stages yet; run `lockstep stages apply stages.toml`");
    let stages = Stages::parse("stages.toml", &newest.ok_or_else(missing)?.text).map_err(|problems| {
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Failure::bug(format!("the applied stages cannot be read: {}", told.join("; ")))
    })?;
    stages.get(name).cloned().ok_or_else(|| Failure::not_found(format!("there is no stage `{name}`")))
}

/// Where a stage is.
pub fn location(stage: &Stage) -> Location {
    Location { account: stage.account.clone(), region: stage.region.clone() }
}

/// An image that cannot be used or copied.
pub fn unusable(why: impl Into<String>) -> Failure {
    Failure::new(FailureKind::ImageUnusable, why)
}
