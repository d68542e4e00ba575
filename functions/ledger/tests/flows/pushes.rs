//! Releases, promotions, and the end of a push.

use super::fixture::{Fixture, at, deploy, execution, id};
use lockstep_domain::messages::inputs;
use lockstep_domain::messages::ledger::{ComponentResult, Gated, Request};
use lockstep_domain::model::caught_error::CaughtError;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::FailureKind;
use lockstep_domain::model::ids::Digest;
use lockstep_domain::model::outcome::Outcome;
use lockstep_domain::records::{
    DeliveryEnd, Environment, Record as _, Release, ReleaseState, WebhookDelivery, WebhookDeliveryState,
};
use lockstep_runtime::releases;
use serde_json::json;

fn publish() -> Request {
    Request::Publish { component: "logs".parse().unwrap(), version: "1.0.0".parse().unwrap() }
}

async fn state(fixture: &Fixture) -> Release {
    let found = releases::release(&fixture.ledger, &"logs".parse().unwrap(), &"1.0.0".parse().unwrap()).await;
    found.unwrap().record
}

fn gate() -> Request {
    let input = inputs::Promote {
        component: "logs".parse().unwrap(),
        version: "1.0.0".parse().unwrap(),
        to: "production".parse().unwrap(),
        revert_drift: false,
    };
    Request::Gate { execution: execution("promote"), input }
}

#[tokio::test]
async fn a_release_is_published_only_with_the_evidence_of_its_test() {
    let fixture = Fixture::new().await;
    fixture.release("1.0.0", ReleaseState::Packaged).await;
    assert_eq!(fixture.invoke(publish()).await.unwrap_err().kind, FailureKind::GateClosed);
    let mut test = deploy("1.0.0", "test");
    test.environment = Some("logs-0123456".into());
    fixture.begin("a", DeploymentPath::Delivery, test).await.unwrap();
    fixture.plan("a", true).await;
    fixture.complete("a").await.unwrap();
    for _ in 0..2 {
        fixture.invoke(publish()).await.unwrap();
        assert_eq!(state(&fixture).await.state, ReleaseState::Published);
    }
    let draft = Release::draft_key_of(&"logs".parse().unwrap(), &"1.0.0".parse().unwrap());
    assert_eq!(fixture.ledger.get::<Release>(&draft).await.unwrap(), None);
}

#[tokio::test]
async fn a_draft_that_claims_to_be_published_is_refused() {
    let fixture = Fixture::new().await;
    fixture.release("1.0.0", ReleaseState::Packaged).await;
    let release = state(&fixture).await;
    let key = Release::draft_key_of(&release.component, &release.version);
    fixture.cloud.forge(&key, "state", "published");
    let failure = fixture.begin("a", DeploymentPath::Delivery, deploy("1.0.0", "ci")).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Rejected);
    assert!(failure.message.contains("claims to be published"), "{}", failure.message);
}

#[tokio::test]
async fn a_deployment_whose_record_was_changed_earns_no_evidence() {
    let fixture = Fixture::new().await;
    fixture.published("1.0.0", &["test"]).await;
    fixture.begin("a", DeploymentPath::Delivery, deploy("1.0.0", "ci")).await.unwrap();
    fixture.plan("a", true).await;
    fixture.change("a", |deployment| deployment.deploy_mut().unwrap().digest = Digest::of(b"evil")).await;
    let failure = fixture.complete("a").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Rejected);
    assert!(failure.message.contains("was changed since it began: release"), "{}", failure.message);
    let environment = fixture.environment("ci").await;
    assert!(environment.holder.is_some() && environment.deployed.is_none());
    // The state machine records the failure: the environment is free, keeps its release, and is tainted.
    let request = Request::Fail {
        deployment: id("a"),
        error: CaughtError { error: "Rejected".into(), cause: failure.message },
    };
    fixture.invoke(request).await.unwrap();
    let environment = fixture.environment("ci").await;
    assert_eq!((environment.holder, environment.deployed), (None, None));
    assert!(environment.taint.unwrap().contains("was changed since it began"));
}

#[tokio::test]
async fn the_environment_of_a_test_stack_is_forgotten_once_it_is_free() {
    let fixture = Fixture::new().await;
    fixture.release("1.0.0", ReleaseState::Packaged).await;
    let forget = || Request::ForgetTest { environment: "logs".into() };
    fixture.begin("a", DeploymentPath::Delivery, deploy("1.0.0", "test")).await.unwrap();
    fixture.invoke(forget()).await.unwrap();
    assert!(fixture.find_environment("test").await.is_some(), "a deployment holds it");
    fixture.plan("a", true).await;
    fixture.complete("a").await.unwrap();
    for _ in 0..2 {
        fixture.invoke(forget()).await.unwrap();
        assert_eq!(fixture.find_environment("test").await, None);
    }
}

#[tokio::test]
async fn tests_with_fixed_names_take_turns() {
    let fixture = Fixture::new().await;
    for version in ["1.0.0", "1.0.1"] {
        let release = fixture.release(version, ReleaseState::Packaged).await;
        let stored = fixture.ledger.get::<Release>(&release.key()).await.unwrap().unwrap();
        fixture.ledger.replace(&stored, Release { serial_tests: true, ..release }).await.unwrap();
    }
    let test = |version: &str, environment: &str| inputs::Deploy {
        environment: Some(environment.into()),
        ..deploy(version, "test")
    };
    let first = || fixture.begin("a", DeploymentPath::Delivery, test("1.0.0", "logs-1-0-0"));
    let second = || fixture.begin("b", DeploymentPath::Delivery, test("1.0.1", "logs-1-0-1"));
    first().await.unwrap();
    assert_eq!(second().await.unwrap_err().kind, FailureKind::TestBusy);
    fixture.plan("a", true).await;
    fixture.complete("a").await.unwrap();
    let busy = second().await.unwrap_err();
    assert_eq!(busy.kind, FailureKind::TestBusy, "the first stack still exists");
    assert!(busy.message.contains("logs-1-0-0"), "{busy}");
    fixture.invoke(Request::ForgetTest { environment: "logs-1-0-0".into() }).await.unwrap();
    second().await.unwrap();
    first().await.unwrap_err();
}

#[tokio::test]
async fn a_release_that_failed_its_test_cannot_be_published() {
    let fixture = Fixture::new().await;
    fixture.release("1.0.0", ReleaseState::Packaged).await;
    let request = Request::FailRelease {
        component: "logs".parse().unwrap(),
        version: "1.0.0".parse().unwrap(),
        error: CaughtError { error: "CheckFailed".into(), cause: "no host".into() },
    };
    let failed = fixture.invoke(request).await.unwrap();
    assert_eq!(failed, json!({"error": "CheckFailed", "cause": "logs 1.0.0 is not released: no host"}));
    assert_eq!(state(&fixture).await.state, ReleaseState::TestFailed);
    assert_eq!(fixture.invoke(publish()).await.unwrap_err().kind, FailureKind::GateClosed);
}

#[tokio::test]
async fn the_gate_opens_on_evidence() {
    let fixture = Fixture::new().await;
    fixture.published("1.0.0", &["test"]).await;
    assert_eq!(fixture.invoke(gate()).await.unwrap_err().kind, FailureKind::GateClosed);
    fixture.deployed("a", "1.0.0", true).await;
    fixture.complete("a").await.unwrap();
    let gated: Gated = serde_json::from_value(fixture.invoke(gate()).await.unwrap()).unwrap();
    assert_eq!(serde_json::from_value::<Gated>(fixture.invoke(gate()).await.unwrap()).unwrap(), gated);
}

#[tokio::test]
async fn a_tainted_environment_is_not_promoted_to() {
    let fixture = Fixture::new().await;
    fixture.published("1.0.0", &["test", "ci"]).await;
    let tainted = Environment {
        epoch: 1,
        ever_stable: true,
        taint: Some("Queue was skipped".into()),
        ..Environment::new("production".parse().unwrap(), "logs", "logs".parse().unwrap())
    };
    fixture.ledger.insert(&tainted).await.unwrap();
    assert_eq!(fixture.invoke(gate()).await.unwrap_err().kind, FailureKind::GateClosed);
    let direct =
        fixture.begin("prod-a", DeploymentPath::Promotion, deploy("1.0.0", "production")).await.unwrap_err();
    assert_eq!(direct.kind, FailureKind::GateClosed);
}

#[tokio::test]
async fn a_push_finishes_its_webhook_delivery_once() {
    let fixture = Fixture::new().await;
    let event = WebhookDelivery {
        provider: "github".into(),
        delivery: "d".into(),
        repository: "github.acme.logs".parse().unwrap(),
        reference: "refs/heads/main".into(),
        commit: "0123456789012345678901234567890123456789".parse().unwrap(),
        pusher: None,
        state: WebhookDeliveryState::Started,
        execution: "e".into(),
        end: None,
        accepted_at: at(0),
        finished_at: None,
    };
    fixture.ledger.insert(&event).await.unwrap();
    let finish = |outcome: Outcome| Request::FinishRelease {
        input: inputs::Release {
            repository: event.repository.clone(),
            reference: event.reference.clone(),
            commit: event.commit.clone(),
            delivery: Some("d".into()),
        },
        components: Vec::new(),
        results: vec![ComponentResult {
            component: "logs".into(),
            version: "1.0.0".into(),
            outcome,
            cause: String::new(),
        }],
        error: None,
    };
    assert_eq!(fixture.invoke(finish(Outcome::Deployed)).await.unwrap()["outcome"], "done");
    assert_eq!(fixture.invoke(finish(Outcome::Failed)).await.unwrap()["outcome"], "rejected");
    let ended = fixture.versioned::<WebhookDelivery>(&WebhookDelivery::key_of("github", "d")).await.record;
    assert_eq!((ended.state, ended.end), (WebhookDeliveryState::Finished, Some(DeliveryEnd::done())));
}
