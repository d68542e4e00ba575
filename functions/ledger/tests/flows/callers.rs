//! The closed list of each kind of callers: every action against every function.

use super::fixture::{Fixture, deploy, execution, id, machines_of, named, task};
use lockstep_domain::messages::callers::Callers;
use lockstep_domain::messages::ledger::Request;
use lockstep_domain::messages::{inputs, operator};
use lockstep_domain::model::caught_error::CaughtError;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::FailureKind;
use lockstep_domain::records::DeploymentState;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The list, written down once more: an action that moves to other callers must be moved here too.
const OF_PEOPLE: [(&str, &[&str]); 3] = [
    ("operators", &["cancel", "hold", "publish_image", "reconcile", "resume", "start", "unlock"]),
    ("approvers", &["decide"]),
    (
        "administrators",
        &[
            "add_repository",
            "apply_administrators",
            "apply_parameters",
            "apply_people",
            "apply_stages",
            "assign",
            "break_glass",
            "cancel_change",
            "confirm_change",
            "claim_imported",
            "remove_repository",
            "revoke_image",
            "show_hook",
        ],
    ),
];

const OF_MACHINES: [(&str, &[&str]); 4] = [
    (
        "delivery",
        &[
            "await_turn",
            "begin",
            "begin_teardown",
            "claim_image",
            "complete",
            "fail",
            "fail_release",
            "finish_release",
            "forget_test",
            "order_release",
            "proceed",
            "publish",
            "request_approval",
        ],
    ),
    (
        "promotion",
        &["await_turn", "begin", "begin_teardown", "complete", "fail", "gate", "proceed", "request_approval"],
    ),
    ("sweep", &["close_unanswered", "free_environment"]),
    ("administrators", &["settle_configuration"]),
];

/// Returns true if the list of `callers` has the action.
fn may(list: &[(&str, &[&str])], callers: Callers, action: &str) -> bool {
    list.iter().any(|(kind, actions)| *kind == callers.as_str() && actions.contains(&action))
}

/// Returns one request for each action of a person.
fn of_people() -> Vec<Value> {
    let repository = "github.acme.logs";
    vec![
        json!({"action": "apply_stages", "text": ""}),
        json!({"action": "apply_parameters", "text": ""}),
        json!({"action": "apply_people", "text": ""}),
        json!({"action": "apply_administrators", "administrators": "many"}),
        json!({"action": "confirm_change", "config": "stages", "number": 1}),
        json!({"action": "cancel_change", "config": "stages", "number": 1}),
        json!({"action": "add_repository", "id": repository, "base_url": "https://a.example", "branch": "main"}),
        json!({"action": "remove_repository", "id": repository}),
        json!({"action": "show_hook", "id": repository}),
        json!({
            "action": "decide", "deployment": id("a"), "subject": "", "shown": "0".repeat(64), "decision": "approve",
        }),
        json!({
            "action": "start", "name": "promote-1",
            "run": {"machine": "promote", "input": {"component": "logs", "version": "1.0.0", "to": "production"}},
        }),
        json!({"action": "cancel", "deployment": id("a"), "reason": "because"}),
        json!({"action": "publish_image", "image": "logstash", "version": "2.1.0", "stage": "production"}),
        json!({"action": "unlock", "stage": "ci", "environment": "logs"}),
        json!({"action": "reconcile", "stage": "ci", "environment": "logs", "reason": "because"}),
        json!({"action": "hold", "stage": "ci", "environment": "logs", "reason": "because"}),
        json!({"action": "resume", "stage": "ci", "environment": "logs"}),
        json!({
            "action": "break_glass", "component": "logs", "version": "1.0.0", "stage": "production",
            "reason": "because",
        }),
        json!({"action": "assign", "name": {"kind": "component", "name": "logs"}, "to": repository}),
        json!({"action": "claim_imported", "image": "logstash"}),
        json!({"action": "revoke_image", "image": "logstash", "version": "2.1.0", "reason": "because"}),
    ]
}

fn error() -> CaughtError {
    CaughtError { error: "CheckFailed".into(), cause: "no host".into() }
}

/// Returns one request for each action of a machine.
fn of_machines() -> Vec<Request> {
    let (component, version) = ("logs".parse().unwrap(), "1.0.0".parse().unwrap());
    let gate = json!({"component": "logs", "version": "1.0.0", "to": "production"});
    let teardown = json!({"component": "logs", "stage": "ci"});
    let push = json!({
        "repository": "github.acme.logs", "ref": "refs/heads/main",
        "commit": "0123456789012345678901234567890123456789",
    });
    let mut bake = push.clone();
    bake["image"] = json!("logstash");
    vec![
        Request::Begin { execution: execution("b"), input: deploy("1.0.0", "ci") },
        Request::BeginTeardown {
            execution: execution("t"),
            input: serde_json::from_value::<inputs::Teardown>(teardown).unwrap(),
        },
        Request::AwaitTurn {
            deployment: id("a"),
            stage: "ci".parse().unwrap(),
            environment: "logs".into(),
            task: task("token"),
        },
        Request::RequestApproval { deployment: id("a"), task: task("token") },
        Request::Proceed { deployment: id("a") },
        Request::Complete { deployment: id("a") },
        Request::Fail { deployment: id("a"), error: error() },
        Request::Gate { execution: execution("p"), input: serde_json::from_value(gate).unwrap() },
        Request::ClaimImage { execution: execution("i"), input: serde_json::from_value(bake).unwrap() },
        Request::ForgetTest { environment: "logs".into() },
        Request::Publish { component, version },
        Request::FreeEnvironment { stage: "ci".parse().unwrap(), environment: "logs".into() },
        Request::CloseUnanswered { deployment: id("a") },
        Request::SettleConfiguration {},
        Request::FailRelease {
            component: "logs".parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            error: error(),
        },
        Request::OrderRelease { components: Vec::new(), results: Vec::new() },
        Request::FinishRelease {
            input: serde_json::from_value(push).unwrap(),
            components: Vec::new(),
            results: Vec::new(),
            error: None,
        },
    ]
}

#[tokio::test]
async fn each_function_takes_the_actions_of_its_people_and_no_other() {
    let names: BTreeSet<String> =
        of_people().iter().map(|request| request["action"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, operator::Request::ACTIONS.iter().map(|name| (*name).to_owned()).collect());
    for request in of_people() {
        let action = request["action"].as_str().unwrap();
        for callers in Callers::ALL {
            let fixture = Fixture::new().await;
            let (status, body) =
                fixture.http_as(*callers, &request.to_string(), json!({"iam": {"userArn": "arn:ada"}})).await;
            let refused = (status, &body["error"]) == (403, &json!("AccessDenied"));
            assert_eq!(refused, !may(&OF_PEOPLE, *callers, action), "{action} to {callers:?}: {body}");
        }
    }
}

#[tokio::test]
async fn each_function_takes_the_actions_of_its_machines_and_no_other() {
    let names: BTreeSet<&str> = of_machines().iter().map(Into::into).collect();
    assert_eq!(names, Request::ACTIONS.iter().copied().collect());
    for request in of_machines() {
        let action: &str = (&request).into();
        for callers in Callers::ALL {
            let fixture = Fixture::new().await;
            let reply = fixture.invoke_as(*callers, request.clone()).await;
            let refused = reply.is_err_and(|failure| failure.kind == FailureKind::AccessDenied);
            assert_eq!(refused, !may(&OF_MACHINES, *callers, action), "{action} to {callers:?}");
        }
    }
}

/// Every kind of people has a URL. A refusal over it names the function to ask.
#[tokio::test]
async fn a_refusal_names_the_function_that_takes_the_action() {
    let fixture = Fixture::new().await;
    let request = json!({"action": "apply_stages", "text": ""}).to_string();
    let ada = json!({"iam": {"userArn": "arn:ada"}});
    let (_, body) = fixture.http_as(Callers::Operators, &request, ada).await;
    let wanted =
        "lockstep-ledger-operators does not take `apply_stages`; send it to lockstep-ledger-administrators";
    assert_eq!(body["message"], wanted);
}

#[tokio::test]
async fn a_machine_changes_no_deployment_of_the_other_path() {
    for (own, stage, other) in [
        (DeploymentPath::Promotion, "production", DeploymentPath::Delivery),
        (DeploymentPath::Delivery, "ci", DeploymentPath::Promotion),
    ] {
        let fixture = Fixture::new().await;
        fixture.published("1.0.0", &["test", "ci"]).await;
        let name = &named(own, "a");
        fixture.begin(name, own, deploy("1.0.0", stage)).await.unwrap();
        fixture.plan(name, false).await;
        for request in [
            Request::RequestApproval { deployment: id(name), task: task("token") },
            Request::Proceed { deployment: id(name) },
            Request::Complete { deployment: id(name) },
            Request::Fail { deployment: id(name), error: error() },
        ] {
            let refused = fixture.invoke_as(machines_of(other), request).await.unwrap_err();
            assert_eq!(refused.kind, FailureKind::Rejected);
            assert!(refused.message.contains(&format!("is on the {} path", own.as_str())), "{refused}");
        }
        assert_eq!(fixture.deployment(name).await.state, DeploymentState::Running);
        assert!(fixture.environment(stage).await.holder.is_some());
    }
}
