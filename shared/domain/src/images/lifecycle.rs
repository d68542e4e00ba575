//! The life of an image version: which state follows which, and what each state lets happen.
//!
//! ```text
//! bake:    Building -> Withheld -> Usable
//!          Building, Withheld -> Discarding -> Discarded
//! import:  Usable
//! sweep:   Usable -> Retiring -> Retired, and from Retiring back to Usable if something uses it after all
//! ```
//!
//! Whether it is revoked is no state: a revoked version is still kept while something runs from it, and retires.

use crate::model::error::Failure;
use crate::model::ids::AmiId;
use crate::model::image_version_state::ImageVersionState;
use crate::model::operator_action::OperatorAction;
use crate::records::{Image, ImageVersion, Revocation};
use jiff::Timestamp;

/// What happens to a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transition {
    /// The build made this AMI, which was looked at and recorded; the places that need it may lack it.
    Built {
        /// Its id.
        source_ami: AmiId,
        /// What keeps it withheld, as a sentence.
        why: String,
    },
    /// Every place that must have it has it.
    Complete,
    /// It failed for good.
    GiveUp {
        /// Why, as a sentence.
        why: String,
    },
    /// Its images are gone everywhere after it failed.
    Discarded,
    /// Nothing uses it, and it is not among those that are kept.
    Retire {
        /// When that was seen.
        at: Timestamp,
    },
    /// Something uses it after all.
    Keep,
    /// Every account said that nothing refers to its images: they go.
    Retired,
}

/// The version after `change`; the same change again changes nothing. Whatever else the state does not know is a bug.
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
        (Transition::GiveUp { why }, Building | Withheld) => {
            next.state = Discarding;
            next.why = Some(why.clone());
        }
        (Transition::GiveUp { .. }, Discarding | Discarded) => {}
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
            | Transition::GiveUp { .. }
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

/// What somebody wants with a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Pin it in the image lock of a new release.
    Pin,
    /// Run it in an environment, as a lock says.
    Run,
    /// Bring it to another account or region.
    Promote,
}

/// Why a version is not for this purpose, in a few words; nothing if it is.
pub fn obstacle(version: &ImageVersion, purpose: Purpose) -> Option<String> {
    use ImageVersionState::{Building, Discarded, Discarding, Retired, Retiring, Usable, Withheld};
    if let Some(revoked) = &version.revoked {
        return Some(format!("revoked: {}", revoked.reason));
    }
    if version.version.is_pre_release() {
        // It was built from a branch, lives where it was built, and expires.
        return Some("a pre-release".to_owned());
    }
    let because = |what: &str| match &version.why {
        Some(why) => Some(format!("{what}: {why}")),
        None => Some(what.to_owned()),
    };
    match (version.state, purpose) {
        (Building, _) => Some("still being built".to_owned()),
        // Promotion is what ends the withholding.
        (Withheld, Purpose::Promote) | (Usable, _) => None,
        (Withheld, Purpose::Pin | Purpose::Run) => because("withheld"),
        (Discarding | Discarded, _) => because("discarded"),
        (Retiring, Purpose::Pin) => Some("being retired".to_owned()),
        // Its images are still there; that something runs from them keeps them.
        (Retiring, Purpose::Run | Purpose::Promote) => None,
        (Retired, _) => Some("retired".to_owned()),
    }
}

/// A withheld version as the records of its images show it: usable once every place that must have it has it. `places`
/// holds the records of this version, from wherever; nothing if that changes nothing.
pub fn completed(version: &ImageVersion, places: &[Image]) -> Option<ImageVersion> {
    let complete = version.state == ImageVersionState::Withheld && version.missing(places).is_empty();
    if complete { apply(version, &Transition::Complete).ok() } else { None }
}

/// The version as a person revokes it; nothing if it is revoked already.
pub fn revoke(version: &ImageVersion, action: &OperatorAction) -> Option<ImageVersion> {
    let revoked = Revocation { reason: action.reason.clone(), by: action.by.clone(), at: action.at };
    version.revoked.is_none().then(|| ImageVersion { revoked: Some(revoked), ..version.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::constraint::tests::known;
    use crate::model::location::Location;
    use crate::records::ImageState;
    use proptest::prelude::*;

    fn changes() -> Vec<Transition> {
        vec![
            Transition::Built {
                source_ami: "ami-0123456789abcdef0".parse().unwrap(),
                why: "production lacks it".into(),
            },
            Transition::Complete,
            Transition::GiveUp { why: "it cannot be copied".into() },
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
    fn every_state_knows_what_may_follow() {
        use ImageVersionState::*;
        let expected = [
            // Built, Complete, GiveUp, Discarded, Retire, Keep, Retired
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
    fn another_ami_is_not_the_one_that_was_built() {
        let other = Transition::Built { source_ami: "ami-99999999".parse().unwrap(), why: String::new() };
        assert!(apply(&in_state(ImageVersionState::Withheld), &other).is_err());
    }

    #[test]
    fn a_withheld_version_is_for_promotion_alone_and_says_why() {
        let withheld =
            ImageVersion { why: Some("production lacks it".into()), ..in_state(ImageVersionState::Withheld) };
        assert_eq!(obstacle(&withheld, Purpose::Pin).unwrap(), "withheld: production lacks it");
        assert!(obstacle(&withheld, Purpose::Run).is_some());
        assert_eq!(obstacle(&withheld, Purpose::Promote), None);
    }

    #[test]
    fn a_retiring_version_still_runs_where_a_lock_names_it_but_nothing_new_pins_it() {
        let retiring = in_state(ImageVersionState::Retiring);
        assert!(obstacle(&retiring, Purpose::Pin).is_some());
        assert_eq!(obstacle(&retiring, Purpose::Run), None);
    }

    #[test]
    fn revoking_names_who_and_why_once() {
        let action = OperatorAction::new("arn:ada", "CVE-2027-1", Timestamp::UNIX_EPOCH).unwrap();
        let revoked = revoke(&known("2.1.37"), &action).unwrap();
        assert_eq!(
            revoked.revoked.as_ref().map(|r| (r.by.as_str(), r.reason.as_str())),
            Some(("arn:ada", "CVE-2027-1"))
        );
        assert_eq!(revoke(&revoked, &action), None);
        for purpose in [Purpose::Pin, Purpose::Run, Purpose::Promote] {
            assert_eq!(obstacle(&revoked, purpose).unwrap(), "revoked: CVE-2027-1");
        }
    }

    #[test]
    fn a_version_is_usable_when_every_required_place_has_it() {
        let place = |account: &str| Location {
            account: account.parse().unwrap(),
            region: "eu-west-1".parse().unwrap(),
        };
        let (development, production) = (place("222222222222"), place("333333333333"));
        let image = |location: &Location, state: ImageState| Image {
            name: "logstash".parse().unwrap(),
            version: "2.1.37".parse().unwrap(),
            location: location.clone(),
            state,
            ami: Some("ami-0123456789abcdef0".parse().unwrap()),
            snapshots: Default::default(),
            source_ami: "ami-0123456789abcdef0".parse().unwrap(),
            commit: None,
            shared_with: Default::default(),
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
        fn what_happens_twice_in_a_row_happens_once(state in 0usize..7, change in 0usize..7) {
            let change = &changes()[change];
            if let Ok(once) = apply(&in_state(ImageVersionState::ALL[state]), change) {
                prop_assert_eq!(apply(&once, change), Ok(once));
            }
        }

        #[test]
        fn what_is_gone_stays_gone(story in proptest::collection::vec(0usize..7, 0..30)) {
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
