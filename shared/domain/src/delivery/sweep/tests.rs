use super::*;
use crate::delivery::approval::operation;
use crate::model::ids::{DeploymentId, Digest};
use crate::records::{
    Approval, ChangeSet, DeploymentBody, FailureRecord, LeaseHolder, Record as _, Subject, testing,
};

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(minute * 60).unwrap()
}

fn pushed(delivery: &str, state: WebhookDeliveryState, minute: i64) -> WebhookDelivery {
    WebhookDelivery {
        provider: "github".into(),
        delivery: delivery.into(),
        repository: "github.acme.logs".parse().unwrap(),
        reference: "refs/heads/main".into(),
        commit: "0123456789012345678901234567890123456789".parse().unwrap(),
        pusher: None,
        state,
        execution: "t1".into(),
        end: None,
        accepted_at: at(minute),
        finished_at: None,
    }
}

#[test]
fn an_accepted_delivery_without_execution_is_started_after_a_while() {
    // FAILURES 52 and 61: the webhook function died between accepting and starting it.
    let accepted = pushed("a", WebhookDeliveryState::Accepted, 0);
    assert_eq!(event(&accepted, std::slice::from_ref(&accepted), at(4)), DeliveryStep::Leave);
    assert_eq!(event(&accepted, std::slice::from_ref(&accepted), at(5)), DeliveryStep::Start);
}

#[test]
fn an_old_push_is_not_started_after_a_newer_one_to_its_branch() {
    // FAILURES 53.
    let accepted = pushed("a", WebhookDeliveryState::Accepted, 0);
    let later = pushed("b", WebhookDeliveryState::Finished, 1);
    let DeliveryStep::Supersede(overtaken) = event(&accepted, std::slice::from_ref(&later), at(9)) else {
        panic!("it would be started")
    };
    assert_eq!(
        (overtaken.state, overtaken.end),
        (WebhookDeliveryState::Finished, Some(DeliveryEnd::superseded()))
    );
    for elsewhere in [
        WebhookDelivery { reference: "refs/heads/fix".into(), ..later.clone() },
        WebhookDelivery { repository: "github.acme.cache".parse().unwrap(), ..later },
        pushed("c", WebhookDeliveryState::Finished, -1),
    ] {
        assert_eq!(event(&accepted, &[elsewhere], at(9)), DeliveryStep::Start);
    }
}

const HEAD: &str = "1111111111111111111111111111111111111111";

fn subscribed() -> Repository {
    Repository {
        id: "github.acme.logs".parse().unwrap(),
        base_url: "https://api.github.com".into(),
        branch: "main".into(),
        branches: Vec::new(),
        added_by: "ada".into(),
        added_at: at(0),
    }
}

fn seen(events: &[WebhookDelivery], minute: i64) -> Option<WebhookDelivery> {
    unheard_of(&subscribed(), None, &HEAD.parse().unwrap(), events, at(minute))
}

#[test]
fn an_unreported_head_becomes_a_delivery_with_a_derived_id() {
    // FAILURES 52: the webhook was lost.
    let known = [pushed("a", WebhookDeliveryState::Finished, 0)];
    let found = seen(&known, 30).unwrap();
    assert_eq!((found.state, found.commit.as_str()), (WebhookDeliveryState::Accepted, HEAD));
    assert_eq!(found.reference, "refs/heads/main");
    assert!(found.delivery.parse::<crate::delivery::webhook::DeliveryId>().is_ok(), "{}", found.delivery);
    assert!(crate::model::token::is_client_token(&found.execution));
    let again = seen(&known, 45).unwrap();
    assert_eq!((again.key(), &again.execution), (found.key(), &found.execution), "two sweeps write one");
    let later = seen(&[pushed("b", WebhookDeliveryState::Finished, 1)], 45).unwrap();
    assert_ne!(later.delivery, found.delivery, "after another push it is another find");
    assert!(seen(&[], 0).is_some(), "a repository that was just subscribed has a head too");
}

#[test]
fn a_head_known_to_a_delivery_or_the_repository_is_left_alone() {
    let head =
        WebhookDelivery { commit: HEAD.parse().unwrap(), ..pushed("b", WebhookDeliveryState::Accepted, 1) };
    let before = pushed("a", WebhookDeliveryState::Finished, 0);
    for state in
        [WebhookDeliveryState::Accepted, WebhookDeliveryState::Started, WebhookDeliveryState::Finished]
    {
        assert_eq!(seen(&[before.clone(), WebhookDelivery { state, ..head.clone() }], 30), None, "{state:?}");
    }
    let cursor = Cursor { repository: subscribed().id, commit: HEAD.parse().unwrap() };
    let packaged = unheard_of(&subscribed(), Some(&cursor), &HEAD.parse().unwrap(), &[before], at(30));
    assert_eq!(packaged, None, "its events expired, or a person released it");
}

#[test]
fn only_the_last_push_that_was_not_superseded_counts_as_known() {
    let commit = |event: WebhookDelivery| WebhookDelivery { commit: HEAD.parse().unwrap(), ..event };
    let head_first = [
        commit(pushed("a", WebhookDeliveryState::Finished, 0)),
        pushed("b", WebhookDeliveryState::Finished, 1),
    ];
    assert!(seen(&head_first, 30).is_some(), "a force-push back, whose webhook was lost");
    let superseded = WebhookDelivery {
        end: Some(DeliveryEnd::superseded()),
        ..pushed("b", WebhookDeliveryState::Finished, 1)
    };
    let overtaken = [pushed("a", WebhookDeliveryState::Finished, 0), commit(superseded)];
    assert!(seen(&overtaken, 30).is_some(), "the git host was slow to tell where the branch is");
    for elsewhere in [
        WebhookDelivery {
            reference: "refs/heads/fix".into(),
            ..pushed("c", WebhookDeliveryState::Finished, 2)
        },
        WebhookDelivery {
            repository: "github.acme.cache".parse().unwrap(),
            ..pushed("c", WebhookDeliveryState::Finished, 2)
        },
    ] {
        assert!(seen(&[commit(elsewhere)], 30).is_some(), "another place says nothing of this one");
    }
}

#[test]
fn a_head_found_by_the_sweep_yields_to_its_webhook_delivery() {
    let found = seen(&[], 10).unwrap();
    assert_eq!(event(&found, std::slice::from_ref(&found), at(14)), DeliveryStep::Leave, "it may still come");
    assert_eq!(event(&found, std::slice::from_ref(&found), at(15)), DeliveryStep::Start);
    for minute in [9, 11] {
        let delivered = WebhookDelivery {
            commit: HEAD.parse().unwrap(),
            ..pushed("late", WebhookDeliveryState::Accepted, minute)
        };
        let both = [found.clone(), delivered.clone()];
        assert!(matches!(event(&found, &both, at(20)), DeliveryStep::Supersede(_)), "{minute}");
        assert_eq!(event(&delivered, &both, at(20)), DeliveryStep::Start, "{minute}");
        let superseded = [WebhookDelivery { end: Some(DeliveryEnd::superseded()), ..delivered }];
        assert_eq!(event(&found, &superseded, at(20)), DeliveryStep::Start, "{minute}");
    }
    let newer = pushed("newer", WebhookDeliveryState::Accepted, 12);
    assert!(matches!(event(&found, &[newer], at(20)), DeliveryStep::Supersede(_)));
}

#[test]
fn a_started_delivery_is_checked_and_a_finished_one_left_alone() {
    assert_eq!(event(&pushed("a", WebhookDeliveryState::Started, 0), &[], at(9)), DeliveryStep::Look);
    assert_eq!(event(&pushed("a", WebhookDeliveryState::Finished, 0), &[], at(9)), DeliveryStep::Leave);
}

#[test]
fn a_delivery_whose_execution_died_is_quarantined_once() {
    let ended = event_of_ended(&pushed("a", WebhookDeliveryState::Started, 0), at(9)).unwrap();
    let end = ended.end.as_ref().unwrap();
    assert!(end.outcome == Outcome::Quarantined && end.reason.contains("t1"), "{end:?}");
    assert_eq!(event_of_ended(&ended, at(10)), None);
}

fn deployment(body: impl Into<DeploymentBody>, state: DeploymentState) -> Deployment {
    Deployment { state, ..Deployment::new(testing::start("e", "1.0.0", "test"), body) }
}

fn deployed() -> Deployment {
    deployment(testing::deploy("logs-1", "test-logs-1"), DeploymentState::Succeeded)
}

/// Returns a teardown that ended at minute 60.
fn teardown(state: DeploymentState) -> Deployment {
    let body = testing::teardown("logs-1", "test-logs-1");
    let failure = FailureRecord { error: "StackNeedsHuman".into(), message: "a bucket is not empty".into() };
    let ended = state.is_final().then(|| at(60));
    Deployment { failure: Some(failure), finished_at: ended, ..deployment(body, state) }
}

fn environment(held: bool) -> Environment {
    let id = DeploymentId::of_execution("e");
    Environment {
        epoch: 3,
        holder: held.then(|| LeaseHolder { deployment: id.clone(), execution: "e".into(), since: at(0) }),
        last_deployment: Some(id),
        ..Environment::new("test".parse().unwrap(), "logs-1", "logs".parse().unwrap())
    }
}

fn look(last: &Deployment, ttl: Option<u32>, minute: i64) -> TestStackStep {
    test_stack(&environment(false), Some(last), ttl, at(minute))
}

fn name(found: &TestStackStep) -> &str {
    match found {
        TestStackStep::Remove { execution } => execution,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_test_stack_lives_exactly_as_long_as_its_manifest_says() {
    assert_eq!(look(&deployed(), Some(30), 29), TestStackStep::Leave);
    assert!(matches!(look(&deployed(), Some(30), 30), TestStackStep::Remove { .. }));
    let longest = i64::from(*TTL_MINUTES.end());
    assert_eq!(look(&deployed(), None, longest - 1), TestStackStep::Leave);
    assert!(matches!(look(&deployed(), None, longest), TestStackStep::Remove { .. }));
}

#[test]
fn a_held_test_stack_is_left_alone_at_any_age() {
    assert_eq!(test_stack(&environment(true), Some(&deployed()), Some(5), at(9999)), TestStackStep::Leave);
}

#[test]
fn two_sweeps_start_one_teardown_and_the_next_day_another() {
    // FAILURES 66: the schedule fires twice, or misses.
    let (first, second) = (look(&deployed(), Some(30), 31), look(&deployed(), Some(30), 46));
    assert_eq!(name(&first), name(&second));
    assert!(crate::model::token::is_client_token(name(&first)));
    assert_ne!(name(&look(&deployed(), Some(30), 31 + 24 * 60)), name(&first));
    let other = Deployment { id: DeploymentId::of_execution("f"), ..deployed() };
    assert_ne!(name(&look(&other, Some(30), 31)), name(&first));
}

#[test]
fn a_failed_removal_is_reported_and_tried_again_the_next_day() {
    for state in [DeploymentState::Failed, DeploymentState::Refused, DeploymentState::Abandoned] {
        let TestStackStep::Stuck { why } = look(&teardown(state), None, 61) else { panic!("{state:?}") };
        assert!(why.ends_with("could not remove it: a bucket is not empty"), "{why}");
        assert!(matches!(look(&teardown(state), None, 60 + RETRY_HOURS * 60), TestStackStep::Remove { .. }));
    }
}

#[test]
fn a_teardown_with_an_open_question_is_reported_and_not_restarted() {
    let TestStackStep::Stuck { why } = look(&teardown(DeploymentState::AwaitingApproval), None, 9999) else {
        panic!("it would be started again")
    };
    assert!(why.contains("waits for an answer"), "{why}");
}

#[test]
fn a_test_stack_without_a_known_deployment_is_reported() {
    let found = test_stack(&environment(false), None, None, at(9999));
    assert!(matches!(found, TestStackStep::Stuck { .. }), "{found:?}");
}

#[test]
fn a_lease_is_too_long_only_beyond_the_longest_execution() {
    assert!(!is_held_too_long(at(0), at(HOLD_DAYS * 24 * 60 - 1)));
    assert!(is_held_too_long(at(0), at(HOLD_DAYS * 24 * 60)));
}

fn open(operation: &str) -> Callback {
    let state = CallbackState::Open { token: "x".into(), execution: "e".into(), entered_at: at(0), retry: 0 };
    Callback { operation: operation.into(), state, at: at(0) }
}

/// Returns a deployment with its first question.
fn asking() -> Deployment {
    let change_set = ChangeSet {
        review: Default::default(),
        arn: "arn".into(),
        attempt: 1,
        changes: Vec::new(),
        unexamined: Vec::new(),
        template_digest: Digest::of(b"t"),
        parameters_digest: Digest::of(b"p"),
        late_digest: None,
    };
    let question = Approval {
        shown: None,
        number: 1,
        reasons: Vec::new(),
        subject: Subject::ChangeSet(change_set),
        digest: None,
        asked_at: at(0),
    };
    Deployment { approvals: vec![question], state: DeploymentState::AwaitingApproval, ..deployed() }
}

#[test]
fn a_callback_is_removed_only_if_its_execution_certainly_ended() {
    let wait_for = |is_running, minute| wait(&open("stack#t"), is_running, None, false, at(minute));
    assert_eq!(wait_for(Some(false), 1), CallbackStep::Remove(None));
    for may_run in [Some(true), None] {
        assert_eq!(wait_for(may_run, WAIT_MINUTES - 1), CallbackStep::Leave);
        // FAILURES 58 and 59: the event, or the token, was lost.
        assert_eq!(wait_for(may_run, WAIT_MINUTES), CallbackStep::Wake);
    }
}

#[test]
fn a_completed_callback_is_left_alone() {
    for state in [CallbackState::Completed, CallbackState::Answered { execution: "e".into() }] {
        assert_eq!(
            wait(&Callback { state, ..open("stack#t") }, Some(false), None, false, at(9999)),
            CallbackStep::Leave
        );
    }
}

#[test]
fn open_callbacks_are_counted_by_kind_with_the_age_of_the_oldest() {
    let counted = |callbacks: &[Callback]| {
        open_callbacks(callbacks, at(60)).map(|k| (k.kind, k.open, k.oldest_seconds))
    };
    assert_eq!(counted(&[]), [("operation", 0, 0), ("approval", 0, 0)]);
    let callbacks = [
        Callback { at: at(50), ..open("stack#a") },
        Callback { at: at(20), ..open("stack#b") },
        open(&operation(&deployed().id, 1)),
        Callback { state: CallbackState::Completed, ..open("stack#c") },
        // A clock that is behind makes no age below zero.
        Callback { at: at(61), ..open("stack#d") },
    ];
    assert_eq!(counted(&callbacks), [("operation", 3, 2400), ("approval", 1, 3600)]);
}

#[test]
fn the_sweep_never_answers_an_open_question() {
    let key = operation(&deployed().id, 1);
    for (asking, is_answered, expected) in [
        (Some(asking()), false, CallbackStep::Leave),
        (None, false, CallbackStep::Leave),
        (Some(asking()), true, CallbackStep::Wake),
    ] {
        assert_eq!(wait(&open(&key), Some(true), asking.as_ref(), is_answered, at(9999)), expected);
    }
}

#[test]
fn a_deployment_that_died_over_a_question_is_closed_with_its_callback() {
    let key = operation(&deployed().id, 1);
    let step = wait(&open(&key), Some(false), Some(&asking()), false, at(1));
    assert_eq!(step, CallbackStep::Remove(Some(asking().id)));
    assert_eq!(close_unanswered(&asking(), at(1)).unwrap().state, DeploymentState::Abandoned);
    let running = Deployment { state: DeploymentState::Running, ..asking() };
    assert_eq!(close_unanswered(&running, at(1)), None);
    let other = Deployment { execution: "f".into(), ..asking() };
    assert_eq!(wait(&open(&key), Some(false), Some(&other), false, at(1)), CallbackStep::Remove(None));
}

#[test]
fn only_a_promotion_that_certainly_ended_is_dead() {
    let promoted = deployment(testing::promotion(), DeploymentState::Running);
    let built = deployment(testing::build(), DeploymentState::Running);
    assert!(is_dead_promotion(&promoted, Some(false)));
    assert!(!is_dead_promotion(&promoted, Some(true)) && !is_dead_promotion(&promoted, None));
    assert!(!is_dead_promotion(&built, Some(false)));
}
