//! Asking a person.

use super::world::{ADA, World, deploy, execution, id, task};
use lockstep_domain::messages::ledger::Request;
use lockstep_domain::model::caught_error::CaughtError;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::FailureKind;
use lockstep_domain::model::ids::Digest;
use lockstep_domain::records::{
    Callback, CallbackState, DeploymentState, NamedResource, Proposal, ProposedAction,
};
use serde_json::{Value, json};

/// A deployment to production that asks.
async fn asking() -> World {
    let world = World::new().await;
    world.published("1.0.0", &["test", "ci"]).await;
    world.begin("a", DeploymentPath::Promotion, deploy("1.0.0", "production")).await.unwrap();
    world.plan("a", false).await;
    world.invoke(Request::RequestApproval { deployment: id("a"), task: task("token") }).await.unwrap();
    world
}

async fn decide(world: &World, decision: &str) -> (u16, Value) {
    decide_on(world, decision, "arn:change-set", &Digest::of(b"1.0.0")).await
}

async fn decide_on(world: &World, decision: &str, subject: &str, digest: &Digest) -> (u16, Value) {
    world
        .ask(json!({
            "action": "decide", "deployment": id("a"), "subject": subject, "digest": digest,
            "decision": decision, "reason": "because",
        }))
        .await
}

fn operation() -> String {
    format!("approval#{}#1", id("a"))
}

#[tokio::test]
async fn nobody_holds_the_environment_while_a_person_thinks() {
    let world = asking().await;
    assert_eq!(world.environment("production").await.holder, None);
    assert_eq!(world.deployment("a").await.state, DeploymentState::AwaitingApproval);
    let wait = world.versioned::<Callback>(&Callback::key_of(&operation())).await.record;
    assert!(matches!(wait.state, CallbackState::Open { token, .. } if token == "token"));
    assert!(world.cloud.invocations().is_empty());
}

#[tokio::test]
async fn asking_again_asks_the_same_question_with_the_new_token() {
    let world = asking().await;
    let mut retried = task("second");
    retried.retry = 1;
    world.invoke(Request::RequestApproval { deployment: id("a"), task: retried }).await.unwrap();
    assert_eq!(world.deployment("a").await.approvals.len(), 1);
    let wait = world.versioned::<Callback>(&Callback::key_of(&operation())).await.record;
    assert!(matches!(wait.state, CallbackState::Open { token, .. } if token == "second"));
}

#[tokio::test]
async fn an_approval_is_recorded_with_its_caller_and_lets_the_deployment_go_on() {
    let world = asking().await;
    assert_eq!(decide(&world, "approve").await, (200, json!({"version": 1, "changed": true})));
    let approval = world.deployment("a").await.approvals.remove(0);
    assert_eq!((approval.decided_by.as_deref(), approval.reason.as_deref()), (Some(ADA), Some("because")));
    assert_eq!(world.cloud.invocations(), [("lockstep-resume".to_owned(), json!({"wake": operation()}))]);
    for _ in 0..2 {
        world.invoke(Request::Retake { deployment: id("a") }).await.unwrap();
        let environment = world.environment("production").await;
        assert_eq!((environment.epoch, environment.holder.unwrap().deployment), (2, id("a")));
        assert_eq!(world.deployment("a").await.state, DeploymentState::Running);
    }
}

#[tokio::test]
async fn the_same_answer_twice_wakes_again_and_another_is_refused() {
    let world = asking().await;
    decide(&world, "approve").await;
    assert_eq!(decide(&world, "approve").await, (200, json!({"version": 1, "changed": false})));
    assert_eq!(world.cloud.invocations().len(), 2);
    let (status, body) = decide(&world, "refuse").await;
    assert_eq!((status, &body["error"]), (409, &json!("Conflict")));
    assert_eq!(world.cloud.invocations().len(), 2);
}

// FAILURES 54: after a force-push there is another commit, and so another digest.
#[tokio::test]
async fn an_answer_about_something_else_is_refused_and_changes_nothing() {
    let world = asking().await;
    let before = world.deployment("a").await;
    let digest = Digest::of(b"1.0.0");
    for (change_set, digest) in [("arn:other", &digest), ("arn:change-set", &Digest::of(b"other"))] {
        assert_eq!(decide_on(&world, "approve", change_set, digest).await.0, 409);
    }
    assert_eq!(world.deployment("a").await, before);
    assert!(world.cloud.invocations().is_empty());
}

#[tokio::test]
async fn a_refusal_and_silence_end_the_deployment_as_refused() {
    for answer in [Some("refuse"), None] {
        let world = asking().await;
        if let Some(answer) = answer {
            decide(&world, answer).await;
        }
        let refused = world.invoke(Request::Retake { deployment: id("a") }).await.unwrap_err();
        assert_eq!(refused.kind, FailureKind::ApprovalRefused);
        let told =
            answer.map_or("no approver answered in time".to_owned(), |_| format!("{ADA} refused it: because"));
        assert_eq!(refused.message, told);
        let error = CaughtError { error: "ApprovalRefused".into(), cause: refused.message };
        world.invoke(Request::Fail { deployment: id("a"), error }).await.unwrap();
        assert_eq!(world.deployment("a").await.state, DeploymentState::Refused);
        assert_eq!(decide(&world, "approve").await.0, 409);
    }
}

#[tokio::test]
async fn another_deployment_may_take_the_environment_meanwhile() {
    let world = asking().await;
    world.begin("b", DeploymentPath::Promotion, deploy("1.0.0", "production")).await.unwrap();
    world.cloud.set_execution(&execution("b"), "RUNNING");
    decide(&world, "approve").await;
    let busy = world.invoke(Request::Retake { deployment: id("a") }).await.unwrap_err();
    assert_eq!(busy.kind, FailureKind::EnvironmentBusy);
}

#[tokio::test]
async fn an_answer_before_the_wait_is_registered_is_not_lost() {
    let world = asking().await;
    decide(&world, "approve").await;
    let mut retried = task("second");
    retried.retry = 1;
    world.invoke(Request::RequestApproval { deployment: id("a"), task: retried }).await.unwrap();
    assert_eq!(world.cloud.invocations().len(), 2);
}

#[tokio::test]
async fn a_proposal_is_answered_by_naming_what_it_costs_and_a_teardown_goes_on_after_it() {
    let world = World::new().await;
    world.published("1.0.0", &["test", "ci"]).await;
    world.begin("a", DeploymentPath::Promotion, deploy("1.0.0", "production")).await.unwrap();
    world.plan("a", true).await;
    world.complete("a").await.unwrap();
    world.begin_teardown("t", DeploymentPath::Promotion, "production", None).await.unwrap();
    let archive = NamedResource {
        name: "Archive".into(),
        resource_type: "AWS::S3::Bucket".into(),
        physical_id: "b".into(),
    };
    let proposal = Proposal {
        stack: "arn:stack".into(),
        action: ProposedAction::Delete,
        resources: vec![archive],
        policies: None,
    };
    world.change("t", |deployment| deployment.proposal = Some(proposal.clone())).await;
    world.invoke(Request::RequestApproval { deployment: id("t"), task: task("token") }).await.unwrap();
    assert_eq!(world.environment("production").await.holder, None);
    let answer = |names: Value| {
        json!({
            "action": "decide", "deployment": id("t"), "subject": proposal.key(), "digest": Digest::of(b"1.0.0"),
            "decision": "approve", "names": names,
        })
    };
    assert_eq!(world.ask(answer(json!([]))).await.0, 400);
    assert_eq!(world.ask(answer(json!(["Archive"]))).await.0, 200);
    let begun = world.invoke(Request::Retake { deployment: id("t") }).await.unwrap();
    assert_eq!(begun["images"], false);
    assert_eq!(world.environment("production").await.holder.unwrap().deployment, id("t"));
}
