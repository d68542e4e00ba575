use super::{Key, Record, Table};
use crate::model::ids::{AccountId, DeploymentId, ImageName};
use crate::model::location::Location;
use crate::model::version::Version;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Share of an image, its snapshots and the use of their keys with an account. It is recorded before the sharing and removed
/// after it is undone. None exists outside a promotion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageShare {
    /// The image's name.
    pub image: ImageName,
    /// Version of the image.
    pub version: Version,
    /// Account and region of the image that is shared.
    pub source: Location,
    /// Account that the image is shared with.
    pub account: AccountId,
    /// Promotions that need the share. The last one withdraws it.
    pub promotions: BTreeSet<DeploymentId>,
}

impl ImageShare {
    /// Returns the key of the share of `version` of `image` at `source` with `account`.
    pub fn key_of(image: &ImageName, version: &Version, source: &Location, account: &AccountId) -> Key {
        Key::new(
            Table::PromotionImages,
            format!("IMAGE#{image}"),
            format!("SHARE#{}#{}#{}#{account}", version.sortable(), source.account, source.region),
        )
    }

    /// Returns true if the image of this version is shared.
    pub fn is_of(&self, image: &ImageName, version: &Version) -> bool {
        self.image == *image && self.version == *version
    }
}

impl Record for ImageShare {
    const KIND: &'static str = "SHARE";
    const TABLES: &'static [Table] = &[Table::PromotionImages];

    fn key(&self) -> Key {
        Self::key_of(&self.image, &self.version, &self.source, &self.account)
    }

    fn listed_at(&self) -> Option<String> {
        Some(format!("{}#{}", self.image, self.version.sortable()))
    }
}
