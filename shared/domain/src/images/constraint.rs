//! Image constraints, and the lock that pins them; no AMI id is written by hand.
//!
//! A template parameter is bound to a constraint such as `logstash@^2.1`. Packaging resolves it to one version and pins
//! that version in the release's image lock. Deploying reads the AMI id for the account and region.
//! [`super::lifecycle`] defines the states of versions and their permitted uses.

use crate::images::lifecycle::{Purpose, obstacle};
use crate::model::ids::LogicalId;
use crate::model::image_constraint::ImageConstraint;
use crate::model::image_lock::LockedImage;
use crate::records::ImageVersion;

/// Pins `parameter` to the newest of `versions` that `constraint` admits and that can be pinned: usable, not revoked,
/// and no pre-release. The error is a sentence that lists the existing versions and the reason against each.
pub fn resolve(
    parameter: &LogicalId,
    constraint: &ImageConstraint,
    versions: &[ImageVersion],
) -> Result<LockedImage, String> {
    let mut candidates: Vec<&ImageVersion> =
        versions.iter().filter(|v| &v.name == constraint.name()).collect();
    candidates.sort_by(|a, b| b.version.cmp(&a.version));
    let pinned = |version: &&ImageVersion| {
        let admitted = constraint.admits(&version.version) && obstacle(version, Purpose::Pin).is_none();
        admitted.then(|| lock(parameter, version)).flatten()
    };
    candidates.iter().find_map(pinned).ok_or_else(|| refusal(constraint, &candidates))
}

/// Returns the lock; `None` for a version without an image, to which nothing resolves anyway.
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
        return format!("no version of image {} exists; bake or import it first", constraint.name());
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
    use crate::model::image_constraint::ImageConstraint;
    use crate::model::image_lock::ImageLock;
    use crate::model::image_version_state::ImageVersionState;
    use crate::model::operator_action::OperatorAction;
    use crate::records::{ImageOrigin, Revocation};
    use jiff::Timestamp;
    use proptest::prelude::*;

    /// Returns a usable version of the image `logstash`.
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
        let action = OperatorAction::new("arn", reason, Timestamp::UNIX_EPOCH).unwrap();
        let version = known(version);
        ImageVersion { revoked: Some(Revocation::new(&version.name, &version.version, &action)), ..version }
    }

    fn pick(constraint: &str, versions: &[ImageVersion]) -> Result<String, String> {
        resolve(&"ImageId".parse().unwrap(), &constraint.parse().unwrap(), versions)
            .map(|locked| locked.version.to_string())
    }

    #[test]
    fn the_newest_version_within_the_constraint_is_pinned() {
        let all = ["2.1.9", "2.1.37", "2.0.99", "3.0.0"].map(known);
        assert_eq!(pick("logstash@^2.1", &all).unwrap(), "2.1.37");
        assert_eq!(pick("logstash@=2.1.9", &all).unwrap(), "2.1.9");
        assert_eq!(pick("logstash@2.0.1", &all).unwrap(), "2.1.37");
        assert_eq!(pick("logstash@~2.0", &all).unwrap(), "2.0.99");
        assert_eq!(pick("logstash@*", &all).unwrap(), "3.0.0");
    }

    #[test]
    fn withheld_revoked_retiring_and_pre_release_versions_are_skipped() {
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
    fn an_image_with_another_name_never_satisfies() {
        let other = ImageVersion { name: "broker".parse().unwrap(), ..known("2.1.1") };
        assert_eq!(
            pick("logstash@^2.1", &[other]),
            Err("no version of image logstash exists; bake or import it first".into())
        );
    }

    #[test]
    fn a_refusal_lists_the_versions_and_the_reason_against_each() {
        let all = [known("1.9.0"), known("2.1.0-fix.1"), withheld("2.1.2"), revoked("2.1.3", "CVE-1")];
        assert_eq!(
            pick("logstash@^2.1", &all).unwrap_err(),
            "no usable version satisfies logstash@^2.1; there are 2.1.3 (revoked: CVE-1), \
             2.1.2 (withheld: production lacks it), 2.1.0-fix.1 (a pre-release), \
             1.9.0 (outside the constraint)"
        );
    }

    #[test]
    fn a_refusal_is_bounded_for_any_number_of_versions() {
        let all: Vec<_> = (0..50).map(|n| known(&format!("1.0.{n}"))).collect();
        assert!(pick("logstash@^2.1", &all).unwrap_err().ends_with("and 40 older"));
    }

    #[test]
    fn equal_locks_have_equal_digests_and_other_versions_have_others() {
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
        fn a_resolved_version_is_admitted_usable_and_the_newest_such(
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
