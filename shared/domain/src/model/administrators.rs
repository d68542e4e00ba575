//! Number of administrators of an installation.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

/// Number of administrators of an installation, from `install --administrators`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, EnumString, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Administrators {
    /// One: no second person can confirm.
    One,
    /// Two at least.
    Many,
}

impl Administrators {
    /// Returns the word of the number.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
