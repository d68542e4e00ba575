use super::*;

fn packaged(name: &str) -> PackagedComponent {
    PackagedComponent::Packaged(PackagedRelease {
        component: name.parse().unwrap(),
        version: "1.0.0".parse().unwrap(),
        environment: String::new(),
        pre_release: false,
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

fn result(name: &str, outcome: &str, cause: &str) -> ComponentResult {
    ComponentResult {
        component: name.into(),
        version: "1.0.0".into(),
        outcome: outcome.into(),
        cause: cause.into(),
    }
}

fn event() -> WebhookDelivery {
    WebhookDelivery {
        provider: "github".into(),
        delivery: "d".into(),
        repository: "github.acme.logs".parse().unwrap(),
        reference: "refs/heads/main".into(),
        commit: "0123456789012345678901234567890123456789".parse().unwrap(),
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
    let results = [result("a", "deployed", ""), result("b", "published", "")];
    let (summary, outcome) = conclude(&components, &results, None);
    assert_eq!((summary.outcome.as_str(), summary.error.as_str()), ("done", ""));
    assert_eq!(summary.results.len(), 3);
    assert_eq!(outcome, DeliveryOutcome::Done);
    assert_eq!(conclude(&[], &[], None).1, DeliveryOutcome::Done);
}

#[test]
fn an_overtaken_push_is_superseded_and_not_a_failure() {
    let error = CaughtError {
        error: "Superseded".into(),
        cause: r#"{"errorMessage": "main is at 1111111 now"}"#.into(),
    };
    let (summary, outcome) = conclude(&[], &[], Some(&error));
    assert_eq!((summary.outcome.as_str(), summary.error.as_str()), ("superseded", ""));
    assert_eq!(summary.cause, "main is at 1111111 now");
    assert_eq!(outcome, DeliveryOutcome::Superseded);
}

#[test]
fn every_problem_and_failure_is_listed_one_per_line() {
    let components =
        [rejected_for("a", &["template.yaml:3: no such type", "lockstep.toml:1: no team"]), packaged("b")];
    let failed = result("b", "failed", r#"{"Error":"CheckFailed","Cause":"no host"}"#);
    let (summary, outcome) = conclude(&components, &[failed], None);
    assert_eq!(summary.cause, "a: template.yaml:3: no such type\nlockstep.toml:1: no team\nb 1.0.0: no host");
    assert_eq!((summary.outcome.as_str(), summary.error.as_str()), ("rejected", "Rejected"));
    assert_eq!(outcome, DeliveryOutcome::Rejected(summary.cause));
}

#[test]
fn a_packaged_component_without_a_result_is_no_success() {
    let (summary, outcome) = conclude(&[packaged("a")], &[], None);
    assert_eq!(summary.outcome, "rejected");
    assert!(matches!(outcome, DeliveryOutcome::Rejected(_)));
}

#[test]
fn an_error_the_author_cannot_fix_is_quarantined() {
    let caught = |error: &str| CaughtError { error: error.into(), cause: r#"{"errorMessage":"why"}"#.into() };
    let (summary, outcome) = conclude(&[], &[], Some(&caught("Rejected")));
    assert_eq!((summary.error.as_str(), summary.cause.as_str()), ("Rejected", "why"));
    assert_eq!(outcome, DeliveryOutcome::Rejected("why".into()));
    for error in ["Bug", "AccessDenied", "Transient", "States.Timeout", "Lambda.Unknown"] {
        let (summary, outcome) = conclude(&[], &[], Some(&caught(error)));
        assert_eq!((summary.outcome.as_str(), summary.error.as_str()), ("rejected", error));
        assert_eq!(outcome, DeliveryOutcome::Quarantined("why".into()), "{error}");
    }
}

#[test]
fn an_event_ends_once() {
    let now = Timestamp::from_second(9).unwrap();
    let finished = finish(&event(), DeliveryOutcome::Done, now).unwrap();
    assert_eq!((finished.state, finished.finished_at), (WebhookDeliveryState::Finished, Some(now)));
    assert_eq!(finish(&finished, DeliveryOutcome::Rejected("late".into()), now), None);
}

#[test]
fn a_failed_push_whose_retry_succeeded_is_done() {
    let now = Timestamp::UNIX_EPOCH;
    let rejected = finish(&event(), DeliveryOutcome::Rejected("a typo".into()), now).unwrap();
    assert_eq!(finish(&rejected, DeliveryOutcome::Quarantined("worse".into()), now), None);
    assert_eq!(finish(&rejected, DeliveryOutcome::Done, now).unwrap().end, Some(DeliveryOutcome::Done));
}
