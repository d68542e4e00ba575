use super::*;
use proptest::prelude::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn task(token: &str, entered: i64, retry: u32) -> Task {
    Task { token: token.into(), execution: "e".into(), entered_at: at(entered), retry }
}

/// Returns the callback that a registration writes, and true if `resume` must be asked to look.
fn registered(existing: Option<&Callback>, task: &Task) -> Option<(Callback, bool)> {
    match register(existing, "op", task, false, at(99)) {
        Registration::Stale | Registration::Refused { .. } => None,
        Registration::Open { wait, is_over } => Some((wait, is_over)),
    }
}

fn token(wait: &Callback) -> Option<&str> {
    match &wait.state {
        CallbackState::Open { token, .. } => Some(token),
        _ => None,
    }
}

fn wait(state: CallbackState) -> Callback {
    Callback { operation: "op".into(), state, at: at(0) }
}

#[test]
fn the_first_registration_opens_a_callback() {
    let (wait, is_over) = registered(None, &task("a", 1, 0)).unwrap();
    assert_eq!((token(&wait), is_over), (Some("a"), false));
}

#[test]
fn a_newer_registration_replaces_an_older_one_and_never_the_reverse() {
    let (old, _) = registered(None, &task("old", 10, 1)).unwrap();
    for (entered, retry, wins) in [(11, 0, true), (10, 2, true), (10, 1, true), (10, 0, false), (9, 5, false)]
    {
        let replaced = registered(Some(&old), &task("new", entered, retry));
        assert_eq!(replaced.is_some(), wins, "{entered} {retry}");
        if let Some((wait, is_over)) = replaced {
            assert_eq!((token(&wait), is_over), (Some("new"), false));
        }
    }
}

#[test]
fn registering_the_same_task_again_writes_nothing_new() {
    let (first, _) = registered(None, &task("a", 1, 0)).unwrap();
    assert_eq!(registered(Some(&first), &task("a", 1, 0)), Some((first, false)));
}

#[test]
fn a_callback_is_taken_only_from_an_execution_that_has_ended() {
    let (held, _) = registered(None, &task("a", 1, 0)).unwrap();
    let rival = Task { execution: "rival".into(), ..task("b", 2, 0) };
    let refused = register(Some(&held), "op", &rival, false, at(99));
    assert!(
        matches!(&refused, Registration::Refused { why } if why.contains("may still wait")),
        "{refused:?}"
    );
    let taken = register(Some(&held), "op", &rival, true, at(99));
    assert!(matches!(&taken, Registration::Open { wait, .. } if token(wait) == Some("b")), "{taken:?}");
}

#[test]
fn a_registration_from_the_future_is_refused() {
    for (entered, is_refused) in [(99 + SKEW_SECONDS, false), (100 + SKEW_SECONDS, true)] {
        let decided = register(None, "op", &task("a", entered, 0), false, at(99));
        assert_eq!(matches!(decided, Registration::Refused { .. }), is_refused, "{entered}: {decided:?}");
    }
}

#[test]
fn a_registration_after_the_end_is_completed_at_once() {
    let answered = CallbackState::Answered { execution: "e".into() };
    for state in [CallbackState::Completed, answered.clone()] {
        let ended = Callback { at: at(1), ..wait(state) };
        let (wait, is_over) = registered(Some(&ended), &task("a", 1, 0)).unwrap();
        assert_eq!((token(&wait), is_over), (Some("a"), true));
    }
    // A state that was entered after the answer has looked, and waits for an operation that still runs.
    let answered = Callback { at: at(1), ..wait(answered) };
    let (wait, is_over) = registered(Some(&answered), &task("a", 2, 0)).unwrap();
    assert_eq!((token(&wait), is_over), (Some("a"), false));
}

#[test]
fn an_end_completes_the_callback_or_leaves_a_completed_record() {
    let (open, _) = registered(None, &task("a", 1, 0)).unwrap();
    let Completion::Answer { token, then } = complete(Some(&open), "op", at(2)) else { panic!("no answer") };
    assert_eq!(token, "a");
    assert_eq!(then.state, CallbackState::Answered { execution: "e".into() });
    assert_eq!(complete(Some(&then), "op", at(3)), Completion::Known);
    let Completion::RecordEnd(note) = complete(None, "op", at(2)) else { panic!("no note") };
    assert_eq!(note.state, CallbackState::Completed);
    assert_eq!(complete(Some(&note), "op", at(3)), Completion::Known);
}

#[test]
fn only_a_completed_callback_expires() {
    use crate::records::Record;
    let (open, _) = registered(None, &task("a", 1, 0)).unwrap();
    assert_eq!(open.expires_at(), None);
    assert!(wait(CallbackState::Completed).expires_at().is_some());
    assert!(wait(CallbackState::Answered { execution: "e".into() }).expires_at().is_some());
}

proptest! {
    /// Runs registrations and ends in any order; a registration that finds the operation over asks for another end.
    #[test]
    fn once_the_operation_has_ended_the_newest_callback_is_completed(
        steps in proptest::collection::vec(proptest::option::of((0i64..4, 0u32..3)), 1..12)
    ) {
        let mut stored: Option<Callback> = None;
        let mut newest: Option<((i64, u32), String)> = None;
        let mut answered = Vec::new();
        let mut tell = |stored: &mut Option<Callback>| match complete(stored.as_ref(), "op", at(50)) {
            Completion::Answer { token, then } => {
                answered.push(token);
                *stored = Some(then);
            }
            Completion::RecordEnd(note) => *stored = Some(note),
            Completion::Known => {}
        };
        for (n, step) in steps.iter().enumerate() {
            let Some((entered, retry)) = *step else {
                tell(&mut stored);
                continue;
            };
            let token = n.to_string();
            if let Some((wait, is_over)) = registered(stored.as_ref(), &task(&token, entered, retry)) {
                stored = Some(wait);
                newest = Some(((entered, retry), token));
                if is_over {
                    tell(&mut stored);
                }
            }
        }
        tell(&mut stored);
        if let Some((_, token)) = newest {
            prop_assert!(answered.contains(&token), "{token} waits for ever: {answered:?}");
        }
        let still_open = stored.is_some_and(|wait| matches!(wait.state, CallbackState::Open { .. }));
        prop_assert!(!still_open);
    }
}
