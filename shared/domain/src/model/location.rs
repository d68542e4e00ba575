//! An account in a region.

use crate::model::ids::{AccountId, Region};
use serde::{Deserialize, Serialize};

/// One account in one region: the location of a stack or an image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Location {
    /// The AWS account.
    pub account: AccountId,
    /// The AWS region.
    pub region: Region,
}
