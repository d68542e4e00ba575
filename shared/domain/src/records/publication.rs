use super::{Deployment, DeploymentStart, Key, Partition, PublishImageBody, PublishSubject, Record, Table};
use crate::model::deployment_path::DeploymentPath;
use crate::model::error::Failure;
use crate::model::ids::{AmiId, DeploymentId, ImageName, StageName};
use crate::model::location::Location;
use crate::model::person::{Caller, Starter};
use crate::model::version::Version;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// State of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum PublicationState {
    /// The stage asks for an approval, which is not on record yet.
    Waiting,
    /// The parameters follow it since this time.
    Published {
        /// Time of the publication.
        at: Timestamp,
    },
    /// It was refused or cancelled.
    Ended,
}

/// The publication of a version of an image in a stage of the promotion path: the parameters below `/lockstep/images` in its
/// account name the version, until a later deployment or publication moves them.
///
/// Only the authority writes the record. A deployment of the promotion path carries its question, and counts only while it
/// states the facts of this record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// The deployment that carries the question.
    pub deployment: DeploymentId,
    /// The stage.
    pub stage: StageName,
    /// Account and region of the stage.
    pub location: Location,
    /// The image.
    pub image: ImageName,
    /// The version.
    pub version: Version,
    /// AMI of the version there.
    pub ami: AmiId,
    /// The caller who asked for it.
    pub by: Caller,
    /// Time of the request.
    pub asked_at: Timestamp,
    /// State of the publication.
    #[serde(flatten)]
    pub state: PublicationState,
}

impl Publication {
    /// Returns the id of the deployment that carries the question of the publication number `number` of a version.
    pub fn id_of(stage: &StageName, image: &ImageName, version: &Version, number: usize) -> DeploymentId {
        let name = format!("publish/{stage}/{image}/{version}/{number}");
        DeploymentId::on_path(DeploymentPath::Promotion, &name)
    }

    /// Returns the key of the publication of `image` in `stage` whose question `deployment` carries.
    pub fn key_of(stage: &StageName, image: &ImageName, deployment: &DeploymentId) -> Key {
        Key::new(Table::Authority, format!("STAGE#{stage}"), format!("PUBLICATION#{image}#{deployment}"))
    }

    /// Returns the partition and sort-key prefix of every publication in `stage`.
    pub fn all_of(stage: &StageName) -> Partition {
        Partition::new(Table::Authority, format!("STAGE#{stage}"), "PUBLICATION#")
    }

    /// Returns the partition and sort-key prefix of every publication of `image` in `stage`.
    pub fn of_image(stage: &StageName, image: &ImageName) -> Partition {
        Partition::new(Table::Authority, format!("STAGE#{stage}"), format!("PUBLICATION#{image}#"))
    }

    /// Returns the deployment that carries the question, as it begins.
    pub fn begun(&self) -> Deployment {
        let start = DeploymentStart {
            id: self.deployment.clone(),
            execution: "lockstep images publish".to_owned(),
            version: self.version.clone(),
            stage: self.stage.clone(),
            location: self.location.clone(),
            path: DeploymentPath::Promotion,
            at: self.asked_at,
        };
        let body = PublishImageBody { image: self.image.clone(), ami: self.ami.clone() };
        Deployment { starter: Starter::Caller(self.by.clone()), ..Deployment::new(start, body) }
    }

    /// Confirms that `deployment` states the facts of the publication. The functions of its path can write it.
    pub fn check(&self, deployment: &Deployment) -> Result<(), Failure> {
        let begun = self.begun();
        let facts = |it: &Deployment| {
            let place = (it.stage.clone(), it.location.clone(), it.path);
            (it.id.clone(), it.version.clone(), place, it.starter.clone(), it.body.clone())
        };
        match facts(&begun) == facts(deployment) {
            true => Ok(()),
            false => Err(Failure::rejected(format!(
                "the deployment {} is not the publication that was asked for: its record was changed; publish again",
                deployment.id
            ))),
        }
    }

    /// Returns the subject of its question.
    pub fn subject(&self) -> PublishSubject {
        PublishSubject {
            image: self.image.clone(),
            version: self.version.clone(),
            location: self.location.clone(),
            ami: self.ami.clone(),
        }
    }
}

impl Record for Publication {
    const KIND: &'static str = "PUBLICATION";
    const TABLES: &'static [Table] = &[Table::Authority];

    fn key(&self) -> Key {
        Self::key_of(&self.stage, &self.image, &self.deployment)
    }
}
