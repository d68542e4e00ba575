use super::*;
use crate::model::person::testing::user;
use proptest::prelude::*;

fn at(hour: i64) -> Timestamp {
    Timestamp::from_second(hour * 3600).unwrap()
}

fn difference(weakens: bool) -> Difference {
    Difference { sentence: "production asks for no approval".into(), weakens }
}

fn person(name: &str) -> Person {
    if name == "?" { Person::Unknown } else { Person::Known(name.parse().unwrap()) }
}

/// Proposes a change as `name` at hour 0, on version 3.
fn proposed(
    name: &str,
    weakens: bool,
    administrators: Administrators,
    open: Option<&PendingChange>,
    hour: i64,
) -> Result<NextStep, Failure> {
    let proposed = Proposed { text: "text", base: 3, differences: vec![difference(weakens)] };
    let (caller, person) = (user("admin"), person(name));
    let by = Administrator { caller: &caller, person: &person };
    propose(&proposed, by, administrators, open, at(hour))
}

fn pending(name: &str, administrators: Administrators) -> PendingChange {
    match proposed(name, true, administrators, None, 0).unwrap() {
        NextStep::Wait(change) => *change,
        NextStep::Apply => panic!("a weakening waits"),
    }
}

fn confirmed(change: &PendingChange, name: &str, current: u32, hour: i64) -> Result<PendingChange, Failure> {
    let (caller, person) = (user("second"), person(name));
    confirm(change, Administrator { caller: &caller, person: &person }, &change.proposer, current, at(hour))
}

#[test]
fn a_change_that_weakens_nothing_applies_at_once() {
    for administrators in [Administrators::One, Administrators::Many] {
        for name in ["ada", "?"] {
            assert_eq!(proposed(name, false, administrators, None, 0), Ok(NextStep::Apply));
        }
    }
}

#[test]
fn a_second_administrator_confirms_and_the_first_cannot() {
    let change = pending("ada", Administrators::Many);
    assert_eq!(change.state, PendingState::Open);
    for name in ["ada", "?"] {
        assert_eq!(confirmed(&change, name, 3, 1).unwrap_err().kind, FailureKind::Rejected);
    }
    let applied = confirmed(&change, "grace", 3, 1).unwrap();
    assert_eq!((applied.state, applied.ended_at), (PendingState::Applied, Some(at(1))));
    assert_eq!(applied.decided_by, Some(user("second")));
    assert_eq!(confirmed(&applied, "eve", 3, 2).unwrap_err().kind, FailureKind::Conflict);
}

#[test]
fn an_unknown_proposer_weakens_nothing_among_several_administrators() {
    let refused = proposed("?", true, Administrators::Many, None, 0).unwrap_err();
    assert_eq!(refused.kind, FailureKind::Rejected);
    let alone = pending("?", Administrators::One);
    assert_eq!(confirmed(&alone, "grace", 3, 1).unwrap_err().kind, FailureKind::Rejected);
}

#[test]
fn one_administrator_waits_for_a_day() {
    let change = pending("ada", Administrators::One);
    assert_eq!(due(&change, Administrators::One, 3, at(DELAY_HOURS - 1)), None);
    let applied = due(&change, Administrators::One, 3, at(DELAY_HOURS)).unwrap();
    assert_eq!((applied.state, applied.decided_by), (PendingState::Applied, None));
    assert_eq!(due(&change, Administrators::Many, 3, at(DELAY_HOURS)), None);
}

#[test]
fn any_administrator_cancels_an_open_change_only() {
    let change = pending("ada", Administrators::One);
    let cancelled = cancel(&change, &user("eve"), 3, at(2)).unwrap();
    assert_eq!(cancelled.state, PendingState::Cancelled);
    assert_eq!(due(&cancelled, Administrators::One, 3, at(30)), None);
    assert_eq!(cancel(&cancelled, &user("eve"), 3, at(3)).unwrap_err().kind, FailureKind::Conflict);
}

#[test]
fn a_pending_change_ends_after_seven_days() {
    let change = pending("ada", Administrators::Many);
    assert_eq!(state(&change, 3, at(LIFE_HOURS - 1)), PendingState::Open);
    assert_eq!(state(&change, 3, at(LIFE_HOURS)), PendingState::Expired);
    assert_eq!(closed(&change, 3, at(LIFE_HOURS)).unwrap().state, PendingState::Expired);
    assert_eq!(closed(&change, 3, at(1)), None);
    let late = confirmed(&change, "grace", 3, LIFE_HOURS).unwrap_err();
    assert_eq!(late.message, "the weakening ended after seven days; propose it again");
    let never_due = pending("ada", Administrators::One);
    assert_eq!(due(&never_due, Administrators::One, 3, at(LIFE_HOURS)), None);
}

#[test]
fn another_version_supersedes_a_pending_change() {
    let change = pending("ada", Administrators::Many);
    assert_eq!(state(&change, 4, at(1)), PendingState::Superseded);
    assert_eq!(confirmed(&change, "grace", 4, 1).unwrap_err().kind, FailureKind::Conflict);
    assert_eq!(closed(&change, 4, at(1)).unwrap().state, PendingState::Superseded);
}

#[test]
fn one_weakening_waits_at_a_time() {
    let change = pending("ada", Administrators::Many);
    let second = |hour| proposed("grace", true, Administrators::Many, Some(&change), hour);
    assert_eq!(second(1).unwrap_err().kind, FailureKind::Rejected);
    assert!(matches!(second(LIFE_HOURS), Ok(NextStep::Wait(_))));
    let cancelled = cancel(&change, &user("eve"), 3, at(2)).unwrap();
    let after = proposed("grace", true, Administrators::Many, Some(&cancelled), 3);
    assert!(matches!(after, Ok(NextStep::Wait(_))));
}

#[test]
fn a_pending_change_says_what_it_waits_for() {
    let change = pending("ada", Administrators::Many);
    assert_eq!(
        waits_for(&change, Administrators::Many),
        "waits for another administrator than ada, until 1970-01-08T00:00:00Z"
    );
    assert_eq!(
        waits_for(&change, Administrators::One),
        "takes effect at 1970-01-02T00:00:00Z unless an administrator cancels it"
    );
}

#[derive(Clone, Debug)]
enum Step {
    Confirm(&'static str),
    Cancel,
    Look,
    Other,
}

fn steps() -> impl Strategy<Value = Vec<(Step, i64)>> {
    let step = prop_oneof![
        proptest::sample::select(vec!["ada", "grace", "?"]).prop_map(Step::Confirm),
        Just(Step::Cancel),
        Just(Step::Look),
        Just(Step::Other),
    ];
    proptest::collection::vec((step, 0..60_i64), 1..8)
}

proptest! {
    #[test]
    fn a_weakening_takes_effect_only_after_a_second_person_or_a_day(
        steps in steps(), one in any::<bool>(), proposer in proptest::sample::select(vec!["ada", "grace"]),
    ) {
        let administrators = if one { Administrators::One } else { Administrators::Many };
        let (mut change, mut current, mut hour) = (pending(proposer, administrators), 3, 0);
        let mut confirmed_by = None;
        for (step, pause) in steps {
            hour += pause;
            let before = change.clone();
            let next = match step {
                Step::Confirm(name) => {
                    let next = confirmed(&change, name, current, hour).ok();
                    confirmed_by = confirmed_by.or(next.as_ref().map(|_| name));
                    next
                }
                Step::Cancel => cancel(&change, &user("eve"), current, at(hour)).ok(),
                Step::Look => {
                    due(&change, administrators, current, at(hour)).or_else(|| closed(&change, current, at(hour)))
                }
                Step::Other => {
                    current += 1;
                    None
                }
            };
            change = next.unwrap_or(change);
            prop_assert!(before.state == PendingState::Open || change == before, "an ended change changed");
            if before.state == PendingState::Open && change.state == PendingState::Applied {
                let second = confirmed_by.is_some_and(|name| name != proposer && name != "?");
                prop_assert!(second || (one && hour >= DELAY_HOURS));
                prop_assert!(hour < LIFE_HOURS && current == 3);
            }
        }
    }
}

#[test]
fn a_second_identity_that_was_joined_since_confirms_nothing() {
    let change = pending("user:AIDAEXAMPLE0000ADA", Administrators::Many);
    let (caller, ada) = (user("second"), person("ada"));
    let by = Administrator { caller: &caller, person: &ada };
    assert_eq!(confirm(&change, by, &ada, 3, at(1)).unwrap_err().kind, FailureKind::Rejected);
    assert!(confirm(&change, by, &Person::Unknown, 3, at(1)).is_err());
    assert!(confirm(&change, by, &change.proposer, 3, at(1)).is_ok());
}
