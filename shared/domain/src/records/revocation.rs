use super::{Key, Partition, Record, Table};
use crate::model::ids::ImageName;
use crate::model::operator_action::OperatorAction;
use crate::model::version::Version;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Revocation of a version of an image, with its reason. It is a record of the authority, so no function that handles images
/// withdraws it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Name of the image.
    pub image: ImageName,
    /// The version.
    pub version: Version,
    /// Fault of the version.
    pub reason: String,
    /// ARN of the administrator who revoked it, as IAM reports it.
    pub by: String,
    /// Time of the revocation.
    pub at: Timestamp,
}

impl Revocation {
    /// Returns the revocation of `version` of `image` by `action`.
    pub fn new(image: &ImageName, version: &Version, action: &OperatorAction) -> Self {
        Self {
            image: image.clone(),
            version: version.clone(),
            reason: action.reason.clone(),
            by: action.by.clone(),
            at: action.at,
        }
    }

    /// Returns the key of the revocation of `version` of `image`.
    pub fn key_of(image: &ImageName, version: &Version) -> Key {
        Key::new(Table::Authority, format!("IMAGE#{image}"), format!("REVOCATION#{}", version.sortable()))
    }

    /// Returns the partition and sort-key prefix of every revocation of `image`.
    pub fn all_of(image: &ImageName) -> Partition {
        Partition::new(Table::Authority, format!("IMAGE#{image}"), "REVOCATION#")
    }
}

impl Record for Revocation {
    const KIND: &'static str = "REVOCATION";
    const TABLES: &'static [Table] = &[Table::Authority];

    fn key(&self) -> Key {
        Self::key_of(&self.image, &self.version)
    }

    fn listed_at(&self) -> Option<String> {
        Some(format!("{}#{}", self.image, self.version.sortable()))
    }
}
