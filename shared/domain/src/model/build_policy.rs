//! Permission of builds in an account of the promotion path.

use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Permission of builds in an account of the promotion path: `builds` of its stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum BuildPolicy {
    /// A person approves each build.
    Approved,
    /// Each build begins without a person.
    Automatic,
}

impl BuildPolicy {
    /// The risk and the gain of each value, as the end of a sentence. Who adds an account reads it.
    pub const CHOICE: &str = "write \"approved\" (no code of an author runs in the account before a person has seen the \
        recipe's difference and approved the build; a push with such an image waits for the answer, for 14 days at most) or \
        \"automatic\" (no push waits; everyone who may push to the default branch of a repository runs code in the account, \
        in the network and with the instance profile of its builds)";

    /// Returns the word in `stages.toml`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Automatic => "automatic",
        }
    }
}

impl FromStr for BuildPolicy {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "approved" => Ok(Self::Approved),
            "automatic" => Ok(Self::Automatic),
            _ => Err(Self::CHOICE),
        }
    }
}
