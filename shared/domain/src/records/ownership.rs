//! The owner of a name.

use super::{Key, Record, Table};
use crate::model::ids::{ComponentName, ImageName, RepositoryId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A name that belongs to one repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", content = "name", rename_all = "snake_case")]
pub enum OwnedName {
    /// The name of a component.
    Component(ComponentName),
    /// The name of an image.
    Image(ImageName),
}

impl OwnedName {
    /// Returns the kind of the name, as in its key and in the command that moves it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Component(_) => "component",
            Self::Image(_) => "image",
        }
    }

    /// Returns the name without its kind.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Component(name) => name.as_str(),
            Self::Image(name) => name.as_str(),
        }
    }

    /// Returns the command by which an administrator gives the name to `repository`.
    pub fn assign_command(&self, repository: &RepositoryId) -> String {
        format!("lockstep {}s assign {} --to github:{}", self.kind(), self.as_str(), repository.full_name())
    }
}

impl fmt::Display for OwnedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind(), self.as_str())
    }
}

/// Origin of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimOrigin {
    /// A push to the default branch was the first to use the name.
    Push,
    /// An administrator imported an image under the name.
    Import,
    /// An administrator assigned the name.
    Assignment,
}

/// The claim to a name. A push writes it once, and afterwards only an administrator moves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ownership {
    /// The name.
    pub of: OwnedName,
    /// Repository that may release the component or build the image. `None` for an image that was imported without an
    /// owner: no push may use the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<RepositoryId>,
    /// Origin of the claim.
    pub origin: ClaimOrigin,
    /// Execution that claimed the name, or ARN of the administrator who imported the image or assigned the name.
    pub by: String,
    /// Time of the claim or of the last assignment.
    pub at: Timestamp,
}

impl Ownership {
    /// Returns the key of the claim to `name`.
    pub fn key_of(name: &OwnedName) -> Key {
        Key::single(Table::Authority, format!("OWNER#{}#{}", name.kind(), name.as_str()))
    }
}

impl Record for Ownership {
    const KIND: &'static str = "OWNER";
    const TABLES: &'static [Table] = &[Table::Authority];

    fn key(&self) -> Key {
        Self::key_of(&self.of)
    }

    fn listed_at(&self) -> Option<String> {
        Some(format!("{}#{}", self.of.kind(), self.of.as_str()))
    }
}
