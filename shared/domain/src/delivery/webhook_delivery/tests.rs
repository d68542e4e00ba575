use super::*;

fn packaged(name: &str) -> PackagedComponent {
    PackagedComponent::Packaged(PackagedRelease {
        component: name.parse().unwrap(),
        version: "1.0.0".parse().unwrap(),
        environment: String::new(),
        pre_release: false,
        producers: Default::default(),
        test_execution: String::new(),
        deployments: Vec::new(),
    })
}

fn unchanged(name: &str) -> PackagedComponent {
    PackagedComponent::Unchanged { component: name.parse().unwrap(), version: "1.0.0".parse().unwrap() }
}

fn rejected_for(name: &str, problems: &[&str]) -> PackagedComponent {
    let problems = problems.iter().map(|p| (*p).to_owned()).collect();
    PackagedComponent::Rejected { component: name.into(), problems }
}

fn result(name: &str, outcome: Outcome, cause: &str) -> ComponentResult {
    ComponentResult { component: name.into(), version: "1.0.0".into(), outcome, cause: cause.into() }
}

#[test]
fn a_release_is_named_once_in_the_line_about_it() {
    let results = [
        result("a", Outcome::Failed, "a 1.0.0 was not deployed to ci: no"),
        result("b", Outcome::Failed, "no"),
    ];
    let (summary, _) = conclude(&[], &results, None);
    assert_eq!(summary.cause, "a 1.0.0 was not deployed to ci: no\nb 1.0.0: no");
}

fn event() -> WebhookDelivery {
    WebhookDelivery {
        provider: "github".into(),
        delivery: "d".into(),
        repository: "github.acme.logs".parse().unwrap(),
        reference: "refs/heads/main".into(),
        commit: "0123456789012345678901234567890123456789".parse().unwrap(),
        pusher: None,
        state: WebhookDeliveryState::Started,
        execution: "e".into(),
        end: None,
        accepted_at: Timestamp::UNIX_EPOCH,
        finished_at: None,
    }
}

#[test]
fn a_push_is_done_when_every_component_succeeded() {
    let components = [packaged("a"), packaged("b"), unchanged("c")];
    let results = [result("a", Outcome::Deployed, ""), result("b", Outcome::Published, "")];
    let (summary, end) = conclude(&components, &results, None);
    assert_eq!((summary.outcome, summary.error.as_str()), (Outcome::Done, ""));
    assert_eq!(summary.results.len(), 3);
    assert_eq!(end, DeliveryEnd::done());
    assert_eq!(conclude(&[], &[], None).1, DeliveryEnd::done());
}

#[test]
fn an_overtaken_push_is_superseded_and_not_a_failure() {
    let error = CaughtError {
        error: "Superseded".into(),
        cause: r#"{"errorMessage": "main is at 1111111 now"}"#.into(),
    };
    let (summary, end) = conclude(&[], &[], Some(&error));
    assert_eq!((summary.outcome, summary.error.as_str()), (Outcome::Superseded, ""));
    assert_eq!(summary.cause, "main is at 1111111 now");
    assert_eq!(end, DeliveryEnd::superseded());
}

#[test]
fn a_release_that_a_later_push_overtook_is_no_failure() {
    let cause = r#"{"Error":"Overtaken","Cause":"superseded in ci by 1.0.4"}"#;
    let overtaken = result("a", Outcome::Failed, cause);
    let (summary, end) = conclude(&[packaged("a"), unchanged("b")], std::slice::from_ref(&overtaken), None);
    assert_eq!((summary.outcome, end), (Outcome::Superseded, DeliveryEnd::done()));
    assert_eq!(summary.cause, "a 1.0.0: superseded in ci by 1.0.4");
    assert_eq!(summary.results.last().unwrap().outcome, Outcome::Superseded);
    // A deployment that lost its environment to another one has failed.
    let lost = result("b", Outcome::Failed, r#"{"Error":"Superseded","Cause":"no longer holds"}"#);
    let (summary, _) = conclude(&[packaged("a"), packaged("b")], &[overtaken, lost], None);
    assert_eq!((summary.outcome, summary.cause.as_str()), (Outcome::Rejected, "b 1.0.0: no longer holds"));
}

#[test]
fn a_deployment_that_was_stopped_does_not_reject_the_push() {
    let nested = |error: &str| format!(r#"{{"Error":"{error}","Cause":"why"}}"#);
    for (error, outcome) in [
        ("Cancelled", Outcome::Cancelled),
        ("Expired", Outcome::Expired),
        ("ApprovalRefused", Outcome::Refused),
    ] {
        let stopped = result("a", Outcome::Failed, &nested(error));
        let overtaken = result("c", Outcome::Failed, &nested("Overtaken"));
        let consumer = result("b", outcome, "not begun");
        let results = [stopped.clone(), consumer, overtaken];
        let (summary, end) = conclude(&[packaged("a"), packaged("b"), packaged("c")], &results, None);
        assert_eq!((summary.error.as_str(), end.outcome), (error, Outcome::Quarantined));
        assert_eq!(summary.results[0].outcome, outcome);
        // The author of a release that failed corrects it.
        let failed = result("b", Outcome::Failed, &nested("StackFailed"));
        let (summary, end) = conclude(&[packaged("a"), packaged("b")], &[stopped, failed], None);
        assert_eq!((summary.error.as_str(), end.outcome), ("Rejected", Outcome::Rejected));
    }
}

#[test]
fn every_problem_and_failure_is_listed_one_per_line() {
    let components =
        [rejected_for("a", &["template.yaml:3: no such type", "lockstep.toml:1: no team"]), packaged("b")];
    let failed = result("b", Outcome::Failed, r#"{"Error":"CheckFailed","Cause":"no host"}"#);
    let (summary, end) = conclude(&components, &[failed], None);
    assert_eq!(summary.cause, "a: template.yaml:3: no such type\nlockstep.toml:1: no team\nb 1.0.0: no host");
    assert_eq!((summary.outcome, summary.error.as_str()), (Outcome::Rejected, "Rejected"));
    assert_eq!(end, DeliveryEnd::rejected(summary.cause));
}

#[test]
fn a_packaged_component_without_a_result_is_no_success() {
    let (summary, end) = conclude(&[packaged("a")], &[], None);
    assert_eq!(summary.outcome, Outcome::Rejected);
    assert_eq!(end.outcome, Outcome::Rejected);
}

#[test]
fn an_error_the_author_cannot_fix_is_quarantined() {
    let caught = |error: &str| CaughtError { error: error.into(), cause: r#"{"errorMessage":"why"}"#.into() };
    let (summary, end) = conclude(&[], &[], Some(&caught("Rejected")));
    assert_eq!((summary.error.as_str(), summary.cause.as_str()), ("Rejected", "why"));
    assert_eq!(end, DeliveryEnd::rejected("why"));
    for error in ["Bug", "AccessDenied", "Transient", "States.Timeout", "Lambda.Unknown"] {
        let (summary, end) = conclude(&[], &[], Some(&caught(error)));
        assert_eq!((summary.outcome, summary.error.as_str()), (Outcome::Rejected, error));
        assert_eq!(end, DeliveryEnd::quarantined("why"), "{error}");
    }
}

#[test]
fn an_event_ends_once() {
    let now = Timestamp::from_second(9).unwrap();
    let finished = finish(&event(), DeliveryEnd::done(), now).unwrap();
    assert_eq!((finished.state, finished.finished_at), (WebhookDeliveryState::Finished, Some(now)));
    assert_eq!(finish(&finished, DeliveryEnd::rejected("late"), now), None);
}

#[test]
fn a_failed_push_whose_retry_succeeded_is_done() {
    let now = Timestamp::UNIX_EPOCH;
    let rejected = finish(&event(), DeliveryEnd::rejected("a typo"), now).unwrap();
    assert_eq!(finish(&rejected, DeliveryEnd::quarantined("worse"), now), None);
    assert_eq!(finish(&rejected, DeliveryEnd::done(), now).unwrap().end, Some(DeliveryEnd::done()));
}

fn repository() -> Repository {
    Repository {
        id: "github.acme.logs".parse().unwrap(),
        base_url: "https://api.github.com".into(),
        branch: "main".into(),
        branches: vec!["feature/*".parse().unwrap()],
        added_by: "arn".into(),
        added_at: Timestamp::UNIX_EPOCH,
    }
}

#[test]
fn only_the_branches_of_the_registration_are_released() {
    let only_main = Repository { branches: Vec::new(), ..repository() };
    for (branch, listed, alone) in [("main", true, true), ("feature/x", true, false), ("fix", false, false)] {
        assert_eq!(unreleased(&repository(), branch).is_none(), listed, "{branch}");
        assert_eq!(unreleased(&only_main, branch).is_none(), alone, "{branch}");
    }
    assert!(unreleased(&only_main, "fix").unwrap().contains("--branches"));
}

#[test]
fn a_repeated_body_is_processed_only_without_a_release() {
    let original = |state, end: Option<DeliveryEnd>| WebhookDelivery { state, end, ..event() };
    let copy = WebhookDelivery { delivery: "copy".into(), state: WebhookDeliveryState::Accepted, ..event() };
    let finished = |end| original(WebhookDeliveryState::Finished, Some(end));
    let of = |original: &WebhookDelivery| repetition(Some(original), &repository(), None, &copy);
    assert_eq!(of(&original(WebhookDeliveryState::Accepted, None)), Repetition::StartOriginal);
    assert_eq!(of(&original(WebhookDeliveryState::Started, None)), Repetition::Duplicate);
    assert_eq!(of(&finished(DeliveryEnd::done())), Repetition::Duplicate);
    for failed in [DeliveryEnd::superseded(), DeliveryEnd::rejected("x"), DeliveryEnd::quarantined("x")] {
        assert_eq!(of(&finished(failed.clone())), Repetition::Process, "{failed:?}");
        let cursor = Cursor { repository: repository().id, commit: copy.commit.clone() };
        let known = repetition(Some(&finished(failed)), &repository(), Some(&cursor), &copy);
        assert_eq!(known, Repetition::Duplicate);
    }
    assert_eq!(repetition(None, &repository(), None, &copy), Repetition::Process);
    let other = WebhookDelivery { reference: "refs/heads/fix".into(), ..finished(DeliveryEnd::done()) };
    assert_eq!(of(&other), Repetition::Process, "another delivery took its id");
}
