//! Lifecycle of an image version: its states, their transitions, and the uses that each state permits.
//!
//! ```text
//! bake:    Building -> Withheld -> Usable
//!          Building, Withheld -> Discarding -> Discarded
//! import:  Usable
//! sweep:   Usable -> Retiring -> Retired, and from Retiring back to Usable if a reference needs it again
//! ```
//!
//! Revocation is not a state: a revoked version is retained while something runs from it, and then retires.

use crate::model::error::Failure;
use crate::model::ids::AmiId;
use crate::model::image_version_state::ImageVersionState;
use crate::records::{Image, ImageVersion, Revocation};
use jiff::Timestamp;

/// A transition of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transition {
    /// The build made this AMI, which was inspected and recorded. Required locations may lack it.
    Built {
        /// Id of the AMI.
        source_ami: AmiId,
        /// Reason why the version is withheld, as a sentence.
        why: String,
    },
    /// Every required location has the version.
    Complete,
    /// The version failed finally.
    Fail {
        /// Reason, as a sentence.
        why: String,
    },
    /// All images of a failed version are deleted.
    Discarded,
    /// No reference needs the version, and it is not among the retained ones.
    Retire {
        /// Time at which the sweep found that.
        at: Timestamp,
    },
    /// A reference needs the version again.
    Keep,
    /// Every account reported that nothing refers to the images, so they can be deleted.
    Retired,
}

/// Returns the version after `change`. The same change again has no effect; a change that the state does not allow is a
/// bug.
pub fn apply(version: &ImageVersion, change: &Transition) -> Result<ImageVersion, Failure> {
    use ImageVersionState::{Building, Discarded, Discarding, Retired, Retiring, Usable, Withheld};
    let mut next = version.clone();
    match (change, version.state) {
        (Transition::Built { source_ami, why }, Building) => {
            next.state = Withheld;
            next.source_ami = Some(source_ami.clone());
            next.why = Some(why.clone());
        }
        (Transition::Built { source_ami, .. }, Withheld | Usable)
            if version.source_ami.as_ref() == Some(source_ami) => {}
        (Transition::Complete, Withheld) => {
            next.state = Usable;
            next.why = None;
        }
        (Transition::Complete, Usable | Retiring) => {}
        (Transition::Fail { why }, Building | Withheld) => {
            next.state = Discarding;
            next.why = Some(why.clone());
        }
        (Transition::Fail { .. }, Discarding | Discarded) => {}
        (Transition::Discarded, Discarding) => next.state = Discarded,
        (Transition::Discarded, Discarded) => {}
        (Transition::Retire { at }, Usable) => {
            next.state = Retiring;
            next.retiring_since = Some(*at);
        }
        (Transition::Retire { .. }, Retiring | Retired) => {}
        (Transition::Keep, Retiring) => {
            next.state = Usable;
            next.retiring_since = None;
        }
        (Transition::Keep, Usable) => {}
        (Transition::Retired, Retiring) => next.state = Retired,
        (Transition::Retired, Retired) => {}
        (
            Transition::Built { .. }
            | Transition::Complete
            | Transition::Fail { .. }
            | Transition::Discarded
            | Transition::Retire { .. }
            | Transition::Keep
            | Transition::Retired,
            state,
        ) => {
            return Err(Failure::bug(format!(
                "image {}@{} is {state}; {change:?} does not follow that",
                version.name, version.version
            )));
        }
    }
    Ok(next)
}

/// Intended use of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Pin the version in the image lock of a new release.
    Pin,
    /// Run the version in an environment, as a lock requires.
    Run,
    /// Copy the version to another account or region.
    Promote,
}

/// Returns the reason why a version cannot be used for this purpose, in a few words; `None` if it can.
pub fn obstacle(version: &ImageVersion, purpose: Purpose) -> Option<String> {
    use ImageVersionState::{Building, Discarded, Discarding, Retired, Retiring, Usable, Withheld};
    if let Some(revoked) = &version.revoked {
        return Some(format!("revoked: {}", revoked.reason));
    }
    if version.version.is_pre_release() {
        // A pre-release was built from a branch, exists only where it was built, and expires.
        return Some("a pre-release".to_owned());
    }
    let because = |what: &str| match &version.why {
        Some(why) => Some(format!("{what}: {why}")),
        None => Some(what.to_owned()),
    };
    match (version.state, purpose) {
        (Building, _) => Some("still being built".to_owned()),
        // Promotion is the step that ends the withholding.
        (Withheld, Purpose::Promote) | (Usable, _) => None,
        (Withheld, Purpose::Pin | Purpose::Run) => because("withheld"),
        (Discarding | Discarded, _) => because("discarded"),
        (Retiring, Purpose::Pin) => Some("being retired".to_owned()),
        // The images still exist, and a reference to them retains them.
        (Retiring, Purpose::Run | Purpose::Promote) => None,
        (Retired, _) => Some("retired".to_owned()),
    }
}

/// Returns a withheld version as usable once every required location has it; `None` if nothing changes. `places` holds
/// the image records of this version at all locations.
pub fn completed(version: &ImageVersion, places: &[Image]) -> Option<ImageVersion> {
    let complete = version.state == ImageVersionState::Withheld && version.missing(places).is_empty();
    if complete { apply(version, &Transition::Complete).ok() } else { None }
}

/// Returns `versions` with their revocations. A revocation that a version carries without a record of the authority
/// counts for nothing.
pub fn with_revocations(versions: Vec<ImageVersion>, revocations: &[Revocation]) -> Vec<ImageVersion> {
    let revoked = |version: &ImageVersion| {
        let is_it = |it: &&Revocation| it.image == version.name && it.version == version.version;
        revocations.iter().find(is_it).cloned()
    };
    versions.into_iter().map(|version| ImageVersion { revoked: revoked(&version), ..version }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::constraint::tests::known;
    use crate::model::deployment_path::DeploymentPath;
    use crate::model::location::Location;
    use crate::model::operator_action::OperatorAction;
    use crate::records::ImageState;
    use proptest::prelude::*;

    fn changes() -> Vec<Transition> {
        vec![
            Transition::Built {
                source_ami: "ami-0123456789abcdef0".parse().unwrap(),
                why: "production lacks it".into(),
            },
            Transition::Complete,
            Transition::Fail { why: "it cannot be copied".into() },
            Transition::Discarded,
            Transition::Retire { at: Timestamp::UNIX_EPOCH },
            Transition::Keep,
            Transition::Retired,
        ]
    }

    fn in_state(state: ImageVersionState) -> ImageVersion {
        ImageVersion { state, ..known("2.1.37") }
    }

    #[test]
    fn every_state_has_its_permitted_transitions() {
        use ImageVersionState::*;
        let expected = [
            // Built, Complete, Fail, Discarded, Retire, Keep, Retired
            (Building, [Some(Withheld), None, Some(Discarding), None, None, None, None]),
            (Withheld, [Some(Withheld), Some(Usable), Some(Discarding), None, None, None, None]),
            (Usable, [Some(Usable), Some(Usable), None, None, Some(Retiring), Some(Usable), None]),
            (Discarding, [None, None, Some(Discarding), Some(Discarded), None, None, None]),
            (Discarded, [None, None, Some(Discarded), Some(Discarded), None, None, None]),
            (Retiring, [None, Some(Retiring), None, None, Some(Retiring), Some(Usable), Some(Retired)]),
            (Retired, [None, None, None, None, Some(Retired), None, Some(Retired)]),
        ];
        assert_eq!(expected.len(), ImageVersionState::ALL.len());
        for (state, follows) in expected {
            for (change, wanted) in changes().iter().zip(follows) {
                let next = apply(&in_state(state), change).ok().map(|version| version.state);
                assert_eq!(next, wanted, "{state}: {change:?}");
            }
        }
    }

    #[test]
    fn an_ami_other_than_the_built_one_is_refused() {
        let other = Transition::Built { source_ami: "ami-99999999".parse().unwrap(), why: String::new() };
        assert!(apply(&in_state(ImageVersionState::Withheld), &other).is_err());
    }

    #[test]
    fn a_withheld_version_is_for_promotion_only_and_names_the_reason() {
        let withheld =
            ImageVersion { why: Some("production lacks it".into()), ..in_state(ImageVersionState::Withheld) };
        assert_eq!(obstacle(&withheld, Purpose::Pin).unwrap(), "withheld: production lacks it");
        assert!(obstacle(&withheld, Purpose::Run).is_some());
        assert_eq!(obstacle(&withheld, Purpose::Promote), None);
    }

    #[test]
    fn a_retiring_version_runs_from_existing_locks_but_is_not_pinned_again() {
        let retiring = in_state(ImageVersionState::Retiring);
        assert!(obstacle(&retiring, Purpose::Pin).is_some());
        assert_eq!(obstacle(&retiring, Purpose::Run), None);
    }

    #[test]
    fn a_revocation_of_the_authority_forbids_every_use() {
        let action = OperatorAction::new("arn:ada", "CVE-2027-1", Timestamp::UNIX_EPOCH).unwrap();
        let of = |version: &str| Revocation::new(&known(version).name, &known(version).version, &action);
        let versions =
            || vec![known("2.1.36"), ImageVersion { revoked: Some(of("2.1.37")), ..known("2.1.37") }];
        let found = with_revocations(versions(), &[of("2.1.36")]);
        assert_eq!(
            found[0].revoked.as_ref().map(|r| (r.by.as_str(), r.reason.as_str())),
            Some(("arn:ada", "CVE-2027-1"))
        );
        for purpose in [Purpose::Pin, Purpose::Run, Purpose::Promote] {
            assert_eq!(obstacle(&found[0], purpose).unwrap(), "revoked: CVE-2027-1");
            assert_eq!(obstacle(&found[1], purpose), None, "the version alone says so");
        }
    }

    #[test]
    fn a_version_is_usable_when_every_required_location_has_it() {
        let place = |account: &str| Location {
            account: account.parse().unwrap(),
            region: "eu-west-1".parse().unwrap(),
        };
        let (development, production) = (place("222222222222"), place("333333333333"));
        let image = |location: &Location, state: ImageState| Image {
            name: "logstash".parse().unwrap(),
            version: "2.1.37".parse().unwrap(),
            location: location.clone(),
            path: DeploymentPath::Delivery,
            state,
            ami: Some("ami-0123456789abcdef0".parse().unwrap()),
            snapshots: Default::default(),
            source_ami: "ami-0123456789abcdef0".parse().unwrap(),
            commit: None,
            recorded_by: "e".into(),
            recorded_at: Timestamp::UNIX_EPOCH,
        };
        let mut withheld = in_state(ImageVersionState::Withheld);
        withheld.required = [development.clone(), production.clone()].into();
        let mut places =
            vec![image(&development, ImageState::Available), image(&production, ImageState::Promoting)];
        assert_eq!(withheld.missing(&places), [&production]);
        assert_eq!(completed(&withheld, &places), None);
        places[1].state = ImageState::Available;
        assert_eq!(completed(&withheld, &places).unwrap().state, ImageVersionState::Usable);
    }

    proptest! {
        #[test]
        fn a_repeated_transition_has_no_effect(state in 0usize..7, change in 0usize..7) {
            let change = &changes()[change];
            if let Ok(once) = apply(&in_state(ImageVersionState::ALL[state]), change) {
                prop_assert_eq!(apply(&once, change), Ok(once));
            }
        }

        #[test]
        fn a_deleted_version_never_returns(story in proptest::collection::vec(0usize..7, 0..30)) {
            let mut version = in_state(ImageVersionState::Building);
            let mut gone = None;
            for change in story {
                if let Ok(next) = apply(&version, &changes()[change]) {
                    version = next;
                }
                if let Some(gone) = gone {
                    prop_assert_eq!(version.state, gone);
                }
                if matches!(version.state, ImageVersionState::Discarded | ImageVersionState::Retired) {
                    gone = Some(version.state);
                }
            }
        }
    }
}
