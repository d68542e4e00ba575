//! Runs that operators start, and the starters that their deployments get.

use super::fixture::{Fixture, at, deploy};
use lockstep_domain::delivery::start::promoted_execution;
use lockstep_domain::messages::callers::Callers;
use lockstep_domain::messages::ledger::Request;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::model::person::Starter;
use lockstep_domain::records::{Deployment, Start};
use serde_json::{Value, json};

const PROMOTE: &str = "arn:aws:states:eu-west-1:333333333333:execution:lockstep-promote:promote-1";

fn promotion() -> Value {
    json!({
        "action": "start", "name": "promote-1",
        "run": {"machine": "promote", "input": {"component": "logs", "version": "1.0.0", "to": "production"}},
    })
}

/// Returns the ARN of the execution that the promotion starts.
fn nested() -> String {
    let name = promoted_execution(PROMOTE);
    format!("arn:aws:states:eu-west-1:333333333333:execution:lockstep-promotion-deploy:{name}")
}

/// Begins the deployment of the promotion, with an input. Returns its starter.
async fn starter_of(fixture: &Fixture, stage: &str) -> Starter {
    let request = Request::Begin { execution: nested(), input: deploy("1.0.0", stage) };
    fixture.invoke_as(Callers::Promotion, request).await.unwrap();
    let key = Deployment::key_of(&DeploymentId::of_execution(&nested()));
    fixture.versioned::<Deployment>(&key).await.record.starter
}

#[tokio::test]
async fn a_promotion_has_the_caller_of_its_request_as_starter() {
    let fixture = Fixture::new().await;
    fixture.published("1.0.0", &["test", "ci"]).await;
    let started = fixture.ask_as("grace", promotion()).await;
    assert_eq!(started, (200, json!({"execution": PROMOTE})));
    let input = json!({"component": "logs", "version": "1.0.0", "to": "production"});
    assert_eq!(fixture.cloud.started(), [(PROMOTE.to_owned(), input)]);
    let Starter::Caller(caller) = starter_of(&fixture, "production").await else { panic!("no caller") };
    assert_eq!(caller.arn, "arn:aws:iam::333333333333:user/grace");
}

#[tokio::test]
async fn a_promotion_that_was_started_by_hand_has_no_starter() {
    let fixture = Fixture::new().await;
    fixture.published("1.0.0", &["test", "ci"]).await;
    assert_eq!(starter_of(&fixture, "production").await, Starter::Unknown);
}

/// An operator who starts another input by hand under the name of a recorded run does not act as its caller.
#[tokio::test]
async fn another_input_under_the_name_of_a_run_has_no_starter() {
    let fixture = Fixture::new().await;
    fixture.published("1.0.0", &["test", "ci"]).await;
    fixture.ask_as("grace", promotion()).await;
    let reverting = inputs_with_drift();
    let request = Request::Begin { execution: nested(), input: reverting };
    fixture.invoke_as(Callers::Promotion, request).await.unwrap();
    let key = Deployment::key_of(&DeploymentId::of_execution(&nested()));
    assert_eq!(fixture.versioned::<Deployment>(&key).await.record.starter, Starter::Unknown);
}

fn inputs_with_drift() -> lockstep_domain::messages::inputs::Deploy {
    lockstep_domain::messages::inputs::Deploy { revert_drift: true, ..deploy("1.0.0", "production") }
}

#[tokio::test]
async fn a_repeated_start_is_the_same_run_and_another_caller_is_refused() {
    let fixture = Fixture::new().await;
    for _ in 0..2 {
        assert_eq!(fixture.ask_as("grace", promotion()).await.0, 200);
    }
    assert_eq!(fixture.cloud.started().len(), 1);
    let (status, body) = fixture.ask_as("ada", promotion()).await;
    assert_eq!((status, &body["error"]), (409, &json!("Conflict")));
    let key = Start::key_of(&DeploymentId::of_execution(&nested()));
    let known = fixture.versioned::<Start>(&key).await.record;
    assert_eq!((known.by.arn.as_str(), known.at), ("arn:aws:iam::333333333333:user/grace", at(200)));
}

#[tokio::test]
async fn a_start_under_a_name_of_a_state_machine_is_refused() {
    let fixture = Fixture::new().await;
    let mut request = promotion();
    request["name"] = json!(promoted_execution(PROMOTE));
    assert_eq!(fixture.ask_as("grace", request).await.0, 400);
    assert!(fixture.cloud.started().is_empty());
}
