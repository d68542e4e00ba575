//! Versions of releases and images, by SemVer 2.0 (<https://semver.org>).
//!
//! A release is `<major.minor>.<build>` on the default branch and `<major.minor>.<build>-<branch>.<n>` elsewhere.

use crate::model::text::stored_as_text;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The `major.minor` that an author writes into `lockstep.toml`. Lockstep assigns the build number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MajorMinor {
    /// Raised for an incompatible change.
    pub major: u32,
    /// Raised for a compatible change.
    pub minor: u32,
}

/// A version that cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a version: write {1}")]
pub struct InvalidVersion(String, &'static str);

impl FromStr for MajorMinor {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let invalid = || InvalidVersion(text.chars().take(100).collect(), "major.minor, such as \"2.1\"");
        let version: semver::Version = format!("{text}.0").parse().map_err(|_| invalid())?;
        let part = |n: u64| u32::try_from(n).map_err(|_| invalid());
        if !version.pre.is_empty() || !version.build.is_empty() {
            return Err(invalid());
        }
        Ok(Self { major: part(version.major)?, minor: part(version.minor)? })
    }
}

stored_as_text!(MajorMinor);

impl fmt::Display for MajorMinor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Maximum characters of a branch in a version.
const BRANCH_CHARS: usize = 40;

/// The version of a release or an image: three numbers, and for a pre-release its branch and number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(semver::Version);

impl Version {
    /// Returns the version of `build` on the default branch.
    pub fn release(of: MajorMinor, build: u32) -> Self {
        Self(semver::Version::new(of.major.into(), of.minor.into(), build.into()))
    }

    /// Returns the `n`th version built from `branch` after `build`.
    pub fn pre_release(of: MajorMinor, build: u32, branch: &str, n: u32) -> Self {
        let word = branch_word(branch);
        let mut version = Self::release(of, build).0;
        version.pre = semver::Prerelease::new(&format!("{word}.{n}")).unwrap_or(semver::Prerelease::EMPTY);
        Self(version)
    }

    /// Returns the build number if this is a version `of` these two parts, pre-releases included.
    pub fn build_of(&self, of: MajorMinor) -> Option<u32> {
        let ours = (self.0.major, self.0.minor) == (of.major.into(), of.minor.into());
        if ours { u32::try_from(self.0.patch).ok() } else { None }
    }

    /// Returns true for a build of a branch other than the default one. Such a release is never deployed
    /// beyond its test.
    pub fn is_pre_release(&self) -> bool {
        !self.0.pre.is_empty()
    }

    /// Returns a sort key for the ledger: its order as text is the order of the versions.
    ///
    /// Numbers are padded to ten digits. A release sorts after all its pre-releases because `~` is above
    /// every character of a pre-release.
    pub fn sortable(&self) -> String {
        let pre = if self.is_pre_release() {
            let words: Vec<String> = self
                .0
                .pre
                .split('.')
                .map(|w| match w.parse::<u64>() {
                    Ok(n) => format!("{n:010}"),
                    Err(_) => w.to_owned(),
                })
                .collect();
            format!("-{}", words.join("."))
        } else {
            "~".to_owned()
        };
        format!("{:010}.{:010}.{:010}{pre}", self.0.major, self.0.minor, self.0.patch)
    }

    /// Returns the author's part, such as `2.1`.
    pub fn major_minor(&self) -> String {
        format!("{}.{}", self.0.major, self.0.minor)
    }

    /// Returns true if a constraint admits this version.
    pub(crate) fn matches(&self, requirement: &semver::VersionReq) -> bool {
        requirement.matches(&self.0)
    }
}

/// Returns the branch's part of a version: its letters and digits, with single hyphens between them, at most
/// [`BRANCH_CHARS`]. It can be a part of the name of an environment and a stack.
fn branch_word(branch: &str) -> String {
    let parts = branch.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    let whole = parts.collect::<Vec<_>>().join("-");
    let word = whole.get(..BRANCH_CHARS).unwrap_or(&whole).trim_end_matches('-');
    match word {
        "" => "branch".to_owned(),
        // SemVer refuses numeric words with a leading zero. A letter in front makes any word alphanumeric.
        word if word.bytes().all(|b| b.is_ascii_digit()) => format!("b{word}"),
        word => word.to_owned(),
    }
}

impl FromStr for Version {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let invalid =
            || InvalidVersion(text.chars().take(100).collect(), "major.minor.build, such as \"2.1.37\"");
        let version: semver::Version = text.parse().map_err(|_| invalid())?;
        let small = |n: u64| n <= u32::MAX.into();
        if !version.build.is_empty()
            || !small(version.major)
            || !small(version.minor)
            || !small(version.patch)
        {
            return Err(invalid());
        }
        Ok(Self(version))
    }
}

stored_as_text!(Version);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn authors_write_major_and_minor_only() {
        assert_eq!("2.1".parse::<MajorMinor>().unwrap(), MajorMinor { major: 2, minor: 1 });
        for wrong in ["", "2", "2.1.3", "v2.1", "2.01", "-1.2", "2.1-a", "99999999999.1"] {
            assert!(wrong.parse::<MajorMinor>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_branch_name_never_breaks_a_version() {
        for branch in ["feature/x y", "007", "", "ünïcode", "a_b", "-", "dependabot/npm/x-1.2.3"] {
            let made = Version::pre_release(MajorMinor { major: 1, minor: 2 }, 3, branch, 4);
            assert!(made.is_pre_release(), "{branch}");
            assert_eq!(version(&made.to_string()), made);
        }
    }

    #[test]
    fn the_word_of_a_branch_is_readable() {
        for (branch, word) in [
            ("feature/JIRA-123_x", "feature-JIRA-123-x"),
            ("release-please--branches--main", "release-please-branches-main"),
            ("fix/parse(args)", "fix-parse-args"),
            ("wip/x-", "wip-x"),
            ("_private_", "private"),
            ("007", "b007"),
            ("\u{444}\u{438}\u{447}\u{430}", "branch"),
            ("dependabot/npm_and_yarn/packages/app-1.2.3", "dependabot-npm-and-yarn-packages-app-1-2"),
        ] {
            let made = Version::pre_release(MajorMinor { major: 1, minor: 2 }, 3, branch, 4);
            assert_eq!(made.to_string(), format!("1.2.3-{word}.4"), "{branch}");
        }
    }

    #[test]
    fn a_release_sorts_after_its_pre_releases_and_before_the_next() {
        let order = ["1.2.3-fix.2", "1.2.3-fix.10", "1.2.3", "1.2.4", "1.10.0", "2.0.0"];
        let mut keys: Vec<_> = order.iter().map(|v| version(v).sortable()).collect();
        keys.sort();
        assert_eq!(keys, order.iter().map(|v| version(v).sortable()).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn releases_sort_as_text_the_way_they_sort_as_versions(a in any::<[u32; 3]>(), b in any::<[u32; 3]>()) {
            let make = |n: [u32; 3]| Version::release(MajorMinor { major: n[0], minor: n[1] }, n[2]);
            prop_assert_eq!(make(a).cmp(&make(b)), make(a).sortable().cmp(&make(b).sortable()));
        }
    }
}
