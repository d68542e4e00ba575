//! Image constraints and the lock that pins them: an AMI id is never typed.
//!
//! A template parameter is bound to a constraint such as `logstash@^2.1`. Packaging resolves it to one version and
//! pins that in the release's image lock; deploying reads the version's id for the account and region. Which versions
//! there are and what may be done with them is the [`super::life`] of a version.

use crate::images::{Purpose, obstacle};
use crate::model::canonical::canonical_json;
use crate::model::ids::{AmiId, CommitSha, Digest, ImageName, InvalidId, LogicalId};
use crate::model::version::Version;
use crate::records::ImageVersion;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// An image by name, and which of its versions will do: `logstash@^2.1`.
///
/// The requirement follows Cargo's rules for SemVer (<https://docs.rs/semver/latest/semver/struct.VersionReq.html>):
/// a bare `2.1` means `^2.1`, which admits every 2.x from 2.1 on; `~2.1` admits every 2.1; `=2.1.37` that one only.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageConstraint {
    name: ImageName,
    requirement: semver::VersionReq,
}

/// An image constraint that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConstraint {
    /// There is no `@`, or more than one.
    #[error("write the image as name@requirement, such as \"logstash@^2.1\"")]
    Shape,
    /// What stands before the `@`.
    #[error(transparent)]
    Name(InvalidId),
    /// What stands behind the `@`.
    #[error("what follows the @ is not a version requirement ({0}); write one such as ^2.1, ~2.1 or =2.1.37")]
    Requirement(String),
    /// The requirement asks for a pre-release.
    #[error(
        "an image constraint cannot name a pre-release: they are not promoted; name a release such as ^2.1"
    )]
    PreRelease,
}

impl ImageConstraint {
    /// The image's name.
    pub fn name(&self) -> &ImageName {
        &self.name
    }

    /// Whether a version satisfies the requirement; says nothing of whether it may be used.
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
        let requirement: semver::VersionReq =
            requirement.parse().map_err(|e: semver::Error| InvalidConstraint::Requirement(e.to_string()))?;
        if requirement.comparators.iter().any(|c| !c.pre.is_empty()) {
            return Err(InvalidConstraint::PreRelease);
        }
        Ok(Self { name: name.parse().map_err(InvalidConstraint::Name)?, requirement })
    }
}

impl TryFrom<String> for ImageConstraint {
    type Error = InvalidConstraint;

    fn try_from(text: String) -> Result<Self, InvalidConstraint> {
        text.parse()
    }
}

impl From<ImageConstraint> for String {
    fn from(constraint: ImageConstraint) -> String {
        constraint.to_string()
    }
}

impl fmt::Display for ImageConstraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.requirement)
    }
}

/// One template parameter pinned to one version of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedImage {
    /// The template parameter that receives the AMI id.
    pub parameter: LogicalId,
    /// The image.
    pub name: ImageName,
    /// The version it is pinned to.
    pub version: Version,
    /// The commit it was built from, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitSha>,
    /// Its AMI in the account that built it.
    pub source_ami: AmiId,
}

/// Every image of a release, by template parameter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageLock(pub BTreeMap<LogicalId, LockedImage>);

impl ImageLock {
    /// The lock as the release carries it: JSON with sorted keys and no spaces, so that equal locks are equal bytes.
    pub fn to_json(&self) -> String {
        serde_json::to_value(self).map(canonical_json).unwrap_or_default()
    }

    /// The digest of [`ImageLock::to_json`]; with the commit, the key under which a build number is given out.
    pub fn digest(&self) -> Digest {
        Digest::of(self.to_json().as_bytes())
    }
}

/// Pins `parameter` to the newest of `versions` that `constraint` admits and that nothing keeps from being pinned: it is
/// usable, not revoked, and no pre-release. The refusal is a sentence that lists what exists and why it will not do.
pub fn resolve(
    parameter: &LogicalId,
    constraint: &ImageConstraint,
    versions: &[ImageVersion],
) -> Result<LockedImage, String> {
    let mut candidates: Vec<&ImageVersion> = versions.iter().filter(|v| v.name == constraint.name).collect();
    candidates.sort_by(|a, b| b.version.cmp(&a.version));
    let pinned = |version: &&ImageVersion| {
        let admitted = constraint.admits(&version.version) && obstacle(version, Purpose::Pin).is_none();
        admitted.then(|| lock(parameter, version)).flatten()
    };
    candidates.iter().find_map(pinned).ok_or_else(|| refusal(constraint, &candidates))
}

/// Nothing for a version that has no image yet, to which nothing resolves anyway.
fn lock(parameter: &LogicalId, version: &ImageVersion) -> Option<LockedImage> {
    Some(LockedImage {
        parameter: parameter.clone(),
        name: version.name.clone(),
        version: version.version.clone(),
        commit: version.commit().cloned(),
        source_ami: version.source_ami.clone()?,
    })
}

fn refusal(constraint: &ImageConstraint, candidates: &[&ImageVersion]) -> String {
    const LISTED: usize = 10;
    if candidates.is_empty() {
        return format!("no version of image {} exists; bake or import it first", constraint.name);
    }
    let reason =
        |v: &ImageVersion| obstacle(v, Purpose::Pin).unwrap_or_else(|| "outside the constraint".to_owned());
    let mut lines: Vec<String> =
        candidates.iter().take(LISTED).map(|v| format!("{} ({})", v.version, reason(v))).collect();
    if candidates.len() > LISTED {
        lines.push(format!("and {} older", candidates.len() - LISTED));
    }
    format!("no usable version satisfies {constraint}; there are {}", lines.join(", "))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::images::ImageVersionState;
    use crate::records::{ImageOrigin, Revocation};
    use jiff::Timestamp;
    use proptest::prelude::*;

    /// A usable version of the image `logstash`.
    pub(crate) fn known(version: &str) -> ImageVersion {
        ImageVersion {
            name: "logstash".parse().unwrap(),
            version: version.parse().unwrap(),
            state: ImageVersionState::Usable,
            why: None,
            revoked: None,
            origin: ImageOrigin::Imported { commit: None },
            source_ami: Some("ami-0123456789abcdef0".parse().unwrap()),
            required: Default::default(),
            expires_at: None,
            retiring_since: None,
            recorded_by: "arn".into(),
            recorded_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn withheld(version: &str) -> ImageVersion {
        let why = Some("production lacks it".into());
        ImageVersion { state: ImageVersionState::Withheld, why, ..known(version) }
    }

    fn revoked(version: &str, reason: &str) -> ImageVersion {
        let revoked = Revocation { reason: reason.into(), by: "arn".into(), at: Timestamp::UNIX_EPOCH };
        ImageVersion { revoked: Some(revoked), ..known(version) }
    }

    fn pick(constraint: &str, versions: &[ImageVersion]) -> Result<String, String> {
        resolve(&"ImageId".parse().unwrap(), &constraint.parse().unwrap(), versions)
            .map(|locked| locked.version.to_string())
    }

    #[test]
    fn the_newest_version_within_the_constraint_is_taken() {
        let all = ["2.1.9", "2.1.37", "2.0.99", "3.0.0"].map(known);
        assert_eq!(pick("logstash@^2.1", &all).unwrap(), "2.1.37");
        assert_eq!(pick("logstash@=2.1.9", &all).unwrap(), "2.1.9");
        assert_eq!(pick("logstash@2.0.1", &all).unwrap(), "2.1.37");
        assert_eq!(pick("logstash@~2.0", &all).unwrap(), "2.0.99");
        assert_eq!(pick("logstash@*", &all).unwrap(), "3.0.0");
    }

    #[test]
    fn withheld_revoked_retiring_and_pre_release_versions_are_passed_over() {
        let all = [
            known("2.1.1"),
            withheld("2.1.2"),
            revoked("2.1.3", "CVE"),
            known("2.1.4-fix.1"),
            ImageVersion { state: ImageVersionState::Retiring, ..known("2.1.5") },
        ];
        assert_eq!(pick("logstash@^2.1", &all).unwrap(), "2.1.1");
    }

    #[test]
    fn an_image_of_another_name_never_satisfies() {
        let other = ImageVersion { name: "broker".parse().unwrap(), ..known("2.1.1") };
        assert_eq!(
            pick("logstash@^2.1", &[other]),
            Err("no version of image logstash exists; bake or import it first".into())
        );
    }

    #[test]
    fn a_refusal_lists_what_there_is_and_why_it_will_not_do() {
        let all = [known("1.9.0"), known("2.1.0-fix.1"), withheld("2.1.2"), revoked("2.1.3", "CVE-1")];
        assert_eq!(
            pick("logstash@^2.1", &all).unwrap_err(),
            "no usable version satisfies logstash@^2.1; there are 2.1.3 (revoked: CVE-1), \
             2.1.2 (withheld: production lacks it), 2.1.0-fix.1 (a pre-release), \
             1.9.0 (outside the constraint)"
        );
    }

    #[test]
    fn a_refusal_is_bounded_however_many_versions_there_are() {
        let all: Vec<_> = (0..50).map(|n| known(&format!("1.0.{n}"))).collect();
        assert!(pick("logstash@^2.1", &all).unwrap_err().ends_with("and 40 older"));
    }

    #[test]
    fn a_malformed_constraint_says_what_to_write() {
        let error = |text: &str| text.parse::<ImageConstraint>().unwrap_err();
        for shape in ["", "logstash", "logstash@", "logstash@ ", "logstash@1@2", "@"] {
            assert_eq!(error(shape), InvalidConstraint::Shape, "{shape}");
        }
        assert!(matches!(error("Log Stash@1"), InvalidConstraint::Name(_)));
        assert!(matches!(error("logstash@latest"), InvalidConstraint::Requirement(_)));
        assert_eq!(error("logstash@^2.1.0-rc.1"), InvalidConstraint::PreRelease);
    }

    #[test]
    fn equal_locks_have_equal_digests_and_another_version_another() {
        let lock = |version: &str| {
            let parameter: LogicalId = "ImageId".parse().unwrap();
            let locked = resolve(&parameter, &"logstash@*".parse().unwrap(), &[known(version)]).unwrap();
            ImageLock([(parameter, locked)].into())
        };
        assert_eq!(lock("2.1.1").digest(), lock("2.1.1").digest());
        assert_ne!(lock("2.1.1").digest(), lock("2.1.2").digest());
        assert_eq!(
            lock("2.1.1").to_json(),
            r#"{"ImageId":{"name":"logstash","parameter":"ImageId","source_ami":"ami-0123456789abcdef0","version":"2.1.1"}}"#
        );
        assert_eq!(serde_json::from_str::<ImageLock>(&lock("2.1.1").to_json()).unwrap(), lock("2.1.1"));
    }

    proptest! {
        #[test]
        fn a_resolved_version_is_admitted_usable_and_no_older_than_any_other_such(
            versions in proptest::collection::vec((0u32..4, 0u32..4, 0u32..4, any::<bool>(), any::<bool>()), 0..12)
        ) {
            let all: Vec<_> = versions
                .into_iter()
                .map(|(a, b, c, is_withheld, is_revoked)| match (format!("{a}.{b}.{c}"), is_withheld, is_revoked) {
                    (version, true, _) => withheld(&version),
                    (version, false, true) => revoked(&version, "x"),
                    (version, false, false) => known(&version),
                })
                .collect();
            let constraint: ImageConstraint = "logstash@^2.1".parse().unwrap();
            let usable: Vec<_> = all.iter().filter(|v| constraint.admits(&v.version) && obstacle(v, Purpose::Pin).is_none()).collect();
            let resolved = resolve(&"ImageId".parse().unwrap(), &constraint, &all);
            prop_assert_eq!(resolved.ok().map(|l| l.version), usable.iter().map(|v| v.version.clone()).max());
        }
    }
}
