//! An image by name, and the versions of it that a template accepts.

use crate::model::error::chain;
use crate::model::ids::{ImageName, InvalidId};
use crate::model::text::stored_as_text;
use crate::model::version::Version;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// An image by name with a requirement for its version: `logstash@^2.1`.
///
/// The requirement follows Cargo's rules for SemVer
/// (<https://docs.rs/semver/latest/semver/struct.VersionReq.html>): a bare `2.1` means `^2.1`, which admits
/// every 2.x from 2.1 on. `~2.1` admits every 2.1, and `=2.1.37` admits that version only.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageConstraint {
    name: ImageName,
    requirement: semver::VersionReq,
}

impl ImageConstraint {
    /// Returns the image's name.
    pub fn name(&self) -> &ImageName {
        &self.name
    }

    /// Returns true if a version satisfies the requirement. The state of the version does not count here.
    pub fn admits(&self, version: &Version) -> bool {
        version.matches(&self.requirement)
    }
}

impl FromStr for ImageConstraint {
    type Err = InvalidConstraint;

    fn from_str(text: &str) -> Result<Self, InvalidConstraint> {
        let (name, requirement) = text.split_once('@').ok_or(InvalidConstraint::Shape)?;
        if requirement.contains('@') || requirement.trim().is_empty() || requirement.len() > 100 {
            return Err(InvalidConstraint::Shape);
        }
        let requirement: semver::VersionReq = requirement
            .parse()
            .map_err(|error: semver::Error| InvalidConstraint::Requirement(chain(&error)))?;
        if requirement.comparators.iter().any(|c| !c.pre.is_empty()) {
            return Err(InvalidConstraint::PreRelease);
        }
        Ok(Self { name: name.parse().map_err(InvalidConstraint::Name)?, requirement })
    }
}

stored_as_text!(ImageConstraint);

impl fmt::Display for ImageConstraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.requirement)
    }
}

/// An image constraint that cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConstraint {
    /// There is no `@`, or more than one.
    #[error("write the image as name@requirement, such as \"logstash@^2.1\"")]
    Shape,
    /// Invalid name before the `@`.
    #[error(transparent)]
    Name(InvalidId),
    /// Invalid requirement behind the `@`.
    #[error("what follows the @ is not a version requirement ({0}); write one such as ^2.1, ~2.1 or =2.1.37")]
    Requirement(String),
    /// The requirement asks for a pre-release.
    #[error(
        "an image constraint cannot name a pre-release: they are not promoted; name a release such as ^2.1"
    )]
    PreRelease,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_constraint_gets_an_example() {
        let error = |text: &str| text.parse::<ImageConstraint>().unwrap_err();
        for shape in ["", "logstash", "logstash@", "logstash@ ", "logstash@1@2", "@"] {
            assert_eq!(error(shape), InvalidConstraint::Shape, "{shape}");
        }
        assert!(matches!(error("Log Stash@1"), InvalidConstraint::Name(_)));
        assert!(matches!(error("logstash@latest"), InvalidConstraint::Requirement(_)));
        assert_eq!(error("logstash@^2.1.0-rc.1"), InvalidConstraint::PreRelease);
    }
}
