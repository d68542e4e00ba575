//! Actions of operators on a deployment or an environment over the function's URL, and their records.

use super::fixture::{ADA, Fixture, at, deploy, execution, id, task};
use lockstep_domain::messages::inputs;
use lockstep_domain::messages::ledger::Request;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::FailureKind;
use lockstep_domain::model::location::Location;
use lockstep_domain::records::{
    BreakGlass, Deployment, DeploymentStart, DeploymentState, Environment, Operation, OperationKind,
    PromoteImageBody, Release, ReleaseState,
};
use serde_json::{Value, json};

const CHANGED: (u16, bool) = (200, true);
const UNCHANGED: (u16, bool) = (200, false);

/// Returns the status, and true if something changed.
async fn ask(fixture: &Fixture, request: Value) -> (u16, bool) {
    let (status, body) = fixture.ask(request).await;
    (status, body["changed"] == true)
}

fn cancel() -> Value {
    json!({"action": "cancel", "deployment": id("b"), "reason": "wrong version"})
}

fn unlock() -> Value {
    json!({"action": "unlock", "stage": "ci", "environment": "logs"})
}

fn reconcile() -> Value {
    json!({"action": "reconcile", "stage": "ci", "environment": "logs", "reason": "made the queue again"})
}

fn break_glass(stage: &str) -> Value {
    json!({
        "action": "break_glass", "component": "logs", "version": "1.0.0", "stage": stage, "reason": "the site is down",
    })
}

/// Returns a fixture in which `ci` runs 1.0.0 and deployment `b` deploys it once more.
async fn deploying() -> Fixture {
    let fixture = Fixture::new().await;
    fixture.published("1.0.0", &["test"]).await;
    fixture.deployed("a", "1.0.0", true).await;
    fixture.complete("a").await.unwrap();
    fixture.deployed("b", "1.0.0", false).await;
    fixture
}

async fn executing(fixture: &Fixture) {
    let operation = Operation {
        operation: OperationKind::Execute,
        token: "t1".into(),
        target: "arn:change-set".into(),
        attempt: 1,
        without: Vec::new(),
        at: at(1),
    };
    fixture.change("b", |deployment| deployment.operations.push(operation)).await;
}

#[tokio::test]
async fn a_cancellation_records_its_caller_and_wakes_the_running_operation() {
    let fixture = deploying().await;
    executing(&fixture).await;
    assert_eq!(ask(&fixture, cancel()).await, CHANGED);
    assert_eq!(ask(&fixture, cancel()).await, UNCHANGED);
    let cancellation = fixture.deployment("b").await.cancellation.unwrap();
    assert_eq!(
        (cancellation.by.as_str(), cancellation.reason.as_str(), cancellation.at),
        (ADA, "wrong version", at(200))
    );
    let arn = fixture.deployment("b").await.stack().unwrap().arn.clone().unwrap();
    let wake = format!("{arn}#t1");
    assert_eq!(fixture.cloud.woken(), [wake.clone(), wake]);
}

#[tokio::test]
async fn the_promotion_of_an_image_cannot_be_cancelled() {
    let fixture = Fixture::new().await;
    let place = Location { account: "111111111111".parse().unwrap(), region: "eu-west-1".parse().unwrap() };
    let start = DeploymentStart {
        id: id("b"),
        execution: execution("b"),
        version: "2.1.0".parse().unwrap(),
        stage: "production".parse().unwrap(),
        location: place.clone(),
        path: DeploymentPath::Delivery,
        at: at(0),
    };
    let body = PromoteImageBody { image: "logstash".parse().unwrap(), source: place, plan: None };
    fixture.cloud.put(&Deployment::new(start, body));
    let (status, body) = fixture.ask(cancel()).await;
    assert_eq!(status, 400);
    assert!(body["message"].as_str().unwrap().contains("promotes an image"), "{body}");
}

#[tokio::test]
async fn a_cancellation_without_a_running_operation_wakes_no_callback() {
    let fixture = deploying().await;
    assert_eq!(ask(&fixture, cancel()).await, CHANGED);
    assert!(fixture.cloud.woken().is_empty());
}

#[tokio::test]
async fn a_refused_cancellation_wakes_no_callback() {
    let fixture = deploying().await;
    executing(&fixture).await;
    let key = Environment::key_of(&"ci".parse().unwrap(), "logs");
    let stored = fixture.versioned::<Environment>(&key).await;
    let new = Environment { ever_stable: false, ..stored.record.clone() };
    fixture.ledger.replace(&stored, new).await.unwrap();
    let (status, body) = fixture.ask(cancel()).await;
    assert_eq!(status, 409);
    assert!(body["message"].as_str().unwrap().contains("cannot stop a creation"), "{body}");
    fixture.change("b", |deployment| deployment.state = DeploymentState::AwaitingApproval).await;
    let (status, body) = fixture.ask(cancel()).await;
    assert_eq!(status, 409);
    assert!(body["message"].as_str().unwrap().contains("refuse it"), "{body}");
    let closed = json!({"action": "cancel", "deployment": id("a"), "reason": "too late"});
    assert_eq!(fixture.ask(closed).await.0, 409);
    assert!(fixture.cloud.woken().is_empty());
    assert_eq!(fixture.deployment("b").await.cancellation, None);
}

#[tokio::test]
async fn an_environment_is_unlocked_only_from_an_execution_that_certainly_ended() {
    // FAILURES 62.
    let fixture = deploying().await;
    for may_run in [None, Some("RUNNING")] {
        if let Some(status) = may_run {
            fixture.cloud.set_execution(&execution("b"), status);
        }
        let (status, body) = fixture.ask(unlock()).await;
        assert_eq!((status, &body["error"]), (409, &json!("EnvironmentBusy")));
        assert_eq!(fixture.environment("ci").await.epoch, 2);
    }
    fixture.cloud.set_execution(&execution("b"), "ABORTED");
    assert_eq!(ask(&fixture, unlock()).await, CHANGED);
    assert_eq!(ask(&fixture, unlock()).await, UNCHANGED);
    let environment = fixture.environment("ci").await;
    assert_eq!((environment.epoch, environment.holder), (3, None));
    let dead = fixture.deployment("b").await;
    assert_eq!(dead.state, DeploymentState::Abandoned);
    assert!(dead.failure.unwrap().message.contains(ADA));
    // The ended holder tries to write after all.
    assert_eq!(fixture.complete("b").await.unwrap_err().kind, FailureKind::Superseded);
}

/// The sweep proposes. The authority asks Step Functions itself before it releases.
#[tokio::test]
async fn the_sweep_frees_only_from_an_execution_that_certainly_ended() {
    let fixture = deploying().await;
    let free = || Request::FreeEnvironment { stage: "ci".parse().unwrap(), environment: "logs".into() };
    fixture.cloud.set_execution(&execution("b"), "RUNNING");
    assert_eq!(fixture.invoke(free()).await.unwrap_err().kind, FailureKind::EnvironmentBusy);
    fixture.cloud.set_execution(&execution("b"), "ABORTED");
    assert_eq!(fixture.invoke(free()).await.unwrap(), json!({ "deployment": id("b") }));
    assert_eq!(fixture.invoke(free()).await.unwrap(), json!({ "deployment": null }));
    assert_eq!(fixture.environment("ci").await.holder, None);
    assert_eq!(fixture.deployment("b").await.state, DeploymentState::Abandoned);
}

#[tokio::test]
async fn an_unknown_environment_is_neither_unlocked_nor_reconciled() {
    let fixture = Fixture::new().await;
    for request in [unlock(), reconcile()] {
        let (status, body) = fixture.ask(request).await;
        assert_eq!((status, &body["error"]), (404, &json!("NotFound")));
    }
}

#[tokio::test]
async fn a_reconciliation_is_logged_with_its_caller_and_reason() {
    let fixture = deploying().await;
    fixture.complete("b").await.unwrap();
    assert_eq!(ask(&fixture, reconcile()).await, UNCHANGED);
    let key = Environment::key_of(&"ci".parse().unwrap(), "logs");
    let stored = fixture.versioned::<Environment>(&key).await;
    let tainted = Environment { taint: Some("Queue was skipped".into()), ..stored.record.clone() };
    fixture.ledger.replace(&stored, tainted).await.unwrap();
    assert_eq!(ask(&fixture, reconcile()).await, CHANGED);
    assert_eq!(fixture.environment("ci").await.taint, None);
    let note = format!("{ADA} reconciled it (Queue was skipped): made the queue again");
    assert_eq!(fixture.journal("b").await, [note]);
}

#[tokio::test]
async fn each_manual_action_needs_a_reason() {
    let fixture = deploying().await;
    for mut request in [cancel(), reconcile(), break_glass("production")] {
        request["reason"] = json!(" ");
        let (status, body) = fixture.ask(request).await;
        assert_eq!(status, 400);
        assert!(body["message"].as_str().unwrap().contains("say why"), "{body}");
    }
}

async fn glass(fixture: &Fixture, release: &Release) -> BreakGlass {
    let key = BreakGlass::key_of(&release.component, &release.digest, &"production".parse().unwrap());
    fixture.versioned(&key).await.record
}

fn promotion() -> Request {
    let input = inputs::Promote {
        component: "logs".parse().unwrap(),
        version: "1.0.0".parse().unwrap(),
        to: "production".parse().unwrap(),
        revert_drift: false,
    };
    Request::Gate { execution: execution("promote"), input }
}

#[tokio::test]
async fn a_break_glass_admits_one_deployment_and_names_caller_and_reason() {
    let fixture = Fixture::new().await;
    let release = fixture.published("1.0.0", &["test"]).await;
    assert_eq!(fixture.invoke(promotion()).await.unwrap_err().kind, FailureKind::GateClosed);
    assert_eq!(ask(&fixture, break_glass("production")).await, CHANGED);
    assert_eq!(ask(&fixture, break_glass("production")).await, UNCHANGED);
    fixture.invoke(promotion()).await.unwrap();
    assert_eq!(glass(&fixture, &release).await.used_by, None);

    for _ in 0..2 {
        fixture.begin("prod-a", DeploymentPath::Promotion, deploy("1.0.0", "production")).await.unwrap();
        assert_eq!(glass(&fixture, &release).await.used_by, Some(id("prod-a")));
    }
    let on_record = fixture.deployment("prod-a").await.deploy().unwrap().break_glass.clone().unwrap();
    assert_eq!((on_record.by.as_str(), on_record.reason.as_str()), (ADA, "the site is down"));
    // The stage still requires its approval.
    fixture.plan("prod-a", false).await;
    fixture.invoke(Request::RequestApproval { deployment: id("prod-a"), task: task("token") }).await.unwrap();

    let again =
        fixture.begin("prod-b", DeploymentPath::Promotion, deploy("1.0.0", "production")).await.unwrap_err();
    assert_eq!(again.kind, FailureKind::GateClosed);
    assert_eq!(fixture.invoke(promotion()).await.unwrap_err().kind, FailureKind::GateClosed);
    assert_eq!(ask(&fixture, break_glass("production")).await, CHANGED);
}

#[tokio::test]
async fn a_plan_passes_by_a_break_glass_and_does_not_use_it_up() {
    let fixture = Fixture::new().await;
    let release = fixture.published("1.0.0", &["test"]).await;
    assert_eq!(ask(&fixture, break_glass("production")).await, CHANGED);
    let mut plan = deploy("1.0.0", "production");
    plan.plan_only = true;
    fixture.begin("prod-p", DeploymentPath::Promotion, plan).await.unwrap();
    assert_eq!(glass(&fixture, &release).await.used_by, None);
}

#[tokio::test]
async fn a_break_glass_needs_a_passed_test_and_missing_evidence() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.ask(break_glass("production")).await.0, 404);
    fixture.release("1.0.0", ReleaseState::Packaged).await;
    assert_eq!(fixture.ask(break_glass("production")).await.0, 409);
    let fixture = Fixture::new().await;
    fixture.published("1.0.0", &["test", "ci"]).await;
    for stage in ["nowhere", "test", "production"] {
        assert_eq!(fixture.ask(break_glass(stage)).await.0, 400, "{stage}");
    }
}
