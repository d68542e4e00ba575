//! An account in a region.

use crate::model::ids::{AccountId, Region};
use serde::{Deserialize, Serialize};

/// One account in one region: where a stack or an image lives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Location {
    /// The AWS account.
    pub account: AccountId,
    /// The AWS region.
    pub region: Region,
}
