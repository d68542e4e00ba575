//! Requests for approval, and their answers.

use super::fixture::{ADA, Fixture, at, deploy, digest, execution, id, stages_text, task};
use lockstep_domain::messages::ledger::Request;
use lockstep_domain::model::caught_error::CaughtError;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::FailureKind;
use lockstep_domain::model::ids::Digest;
use lockstep_domain::model::location::Location;
use lockstep_domain::model::person::{GithubLogin, Starter};
use lockstep_domain::records::{
    ApprovalDecision, BuildImageBody, Deployment, DeploymentStart, DeploymentState, NamedResource, Proposal,
    ProposedAction,
};
use lockstep_sim::stages::stage_text;
use serde_json::{Value, json};

/// Returns a fixture with a deployment to production that awaits its approval.
async fn asking() -> Fixture {
    let fixture = Fixture::new().await;
    fixture.published("1.0.0", &["test", "ci"]).await;
    fixture.begin("prod-a", DeploymentPath::Promotion, deploy("1.0.0", "production")).await.unwrap();
    fixture.plan("prod-a", false).await;
    fixture.invoke(Request::RequestApproval { deployment: id("prod-a"), task: task("token") }).await.unwrap();
    fixture
}

async fn decide(fixture: &Fixture, decision: &str) -> (u16, Value) {
    decide_on(fixture, decision, "arn:change-set", &digest("1.0.0")).await
}

async fn decide_on(fixture: &Fixture, decision: &str, subject: &str, digest: &Digest) -> (u16, Value) {
    let shown = fixture.shown("prod-a").await;
    fixture
        .ask(json!({
            "shown": shown,
            "action": "decide", "deployment": id("prod-a"), "subject": subject, "digest": digest,
            "decision": decision, "reason": "because",
        }))
        .await
}

fn operation() -> String {
    format!("approval#{}#1", id("prod-a"))
}

#[tokio::test]
async fn the_environment_is_held_while_a_question_is_open() {
    let fixture = asking().await;
    assert_eq!(fixture.environment("production").await.holder.unwrap().deployment, id("prod-a"));
    assert_eq!(fixture.deployment("prod-a").await.state, DeploymentState::AwaitingApproval);
    let waiting = fixture.cloud.waiting().pop().unwrap();
    assert_eq!((waiting.operation, waiting.task.token.as_str()), (operation(), "token"));
    assert!(fixture.cloud.woken().is_empty());
}

#[tokio::test]
async fn a_repeated_request_keeps_the_question_and_takes_the_new_token() {
    let fixture = asking().await;
    let mut retried = task("second");
    retried.retry = 1;
    fixture.invoke(Request::RequestApproval { deployment: id("prod-a"), task: retried }).await.unwrap();
    assert_eq!(fixture.deployment("prod-a").await.approvals.len(), 1);
    let waiting = fixture.cloud.waiting().pop().unwrap();
    assert_eq!((waiting.operation, waiting.task.token.as_str()), (operation(), "second"));
}

#[tokio::test]
async fn an_approval_records_its_caller_and_continues_the_deployment() {
    let fixture = asking().await;
    assert_eq!(decide(&fixture, "approve").await, (200, json!({"version": 1, "changed": true})));
    let key = ApprovalDecision::key_of(&id("prod-a"), 1);
    let given = fixture.versioned::<ApprovalDecision>(&key).await.record;
    assert_eq!((given.by(), given.reason()), (ADA, Some("because")));
    assert_eq!(fixture.cloud.woken(), [operation()]);
    for _ in 0..2 {
        fixture.invoke(Request::Proceed { deployment: id("prod-a") }).await.unwrap();
        let environment = fixture.environment("production").await;
        assert_eq!((environment.epoch, environment.holder.unwrap().deployment), (1, id("prod-a")));
        assert_eq!(fixture.deployment("prod-a").await.state, DeploymentState::Running);
    }
}

#[tokio::test]
async fn a_repeated_answer_wakes_again_and_a_different_one_is_refused() {
    let fixture = asking().await;
    decide(&fixture, "approve").await;
    assert_eq!(decide(&fixture, "approve").await, (200, json!({"version": 1, "changed": false})));
    assert_eq!(fixture.cloud.woken().len(), 2);
    let (status, body) = decide(&fixture, "refuse").await;
    assert_eq!((status, &body["error"]), (409, &json!("Conflict")));
    assert_eq!(fixture.cloud.woken().len(), 2);
}

// FAILURES 54: a force-push leads to another commit, and so to another digest.
#[tokio::test]
async fn an_answer_to_another_subject_is_refused_and_changes_nothing() {
    let fixture = asking().await;
    let before = fixture.deployment("prod-a").await;
    let digest = digest("1.0.0");
    for (change_set, digest) in [("arn:other", &digest), ("arn:change-set", &Digest::of(b"other"))] {
        assert_eq!(decide_on(&fixture, "approve", change_set, digest).await.0, 409);
    }
    assert_eq!(fixture.deployment("prod-a").await, before);
    assert!(fixture.cloud.woken().is_empty());
}

#[tokio::test]
async fn a_refusal_or_a_missing_answer_ends_the_deployment_as_refused() {
    for answer in [Some("refuse"), None] {
        let fixture = asking().await;
        if let Some(answer) = answer {
            decide(&fixture, answer).await;
        }
        let refused = fixture.invoke(Request::Proceed { deployment: id("prod-a") }).await.unwrap_err();
        assert_eq!(refused.kind, FailureKind::ApprovalRefused);
        let expected = answer
            .map_or("no approver answered in time".to_owned(), |_| format!("{ADA} refused it: because"));
        assert_eq!(refused.message, expected);
        let error = CaughtError { error: "ApprovalRefused".into(), cause: refused.message };
        fixture.invoke(Request::Fail { deployment: id("prod-a"), error }).await.unwrap();
        assert_eq!(fixture.deployment("prod-a").await.state, DeploymentState::Refused);
        assert_eq!(decide(&fixture, "approve").await.0, 409);
    }
}

#[tokio::test]
async fn an_answer_before_the_callback_is_registered_is_not_lost() {
    let fixture = asking().await;
    decide(&fixture, "approve").await;
    let mut retried = task("second");
    retried.retry = 1;
    fixture.invoke(Request::RequestApproval { deployment: id("prod-a"), task: retried }).await.unwrap();
    assert_eq!(fixture.cloud.woken().len(), 2);
}

#[tokio::test]
async fn a_teardown_continues_after_an_approval_names_its_resources() {
    let fixture = Fixture::new().await;
    fixture.published("1.0.0", &["test", "ci"]).await;
    fixture.begin("prod-a", DeploymentPath::Promotion, deploy("1.0.0", "production")).await.unwrap();
    fixture.plan("prod-a", true).await;
    fixture.complete("prod-a").await.unwrap();
    fixture.begin_teardown("prod-t", DeploymentPath::Promotion, "production", None).await.unwrap();
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
    fixture
        .change("prod-t", |deployment| deployment.stack_mut().unwrap().proposal = Some(proposal.clone()))
        .await;
    fixture.invoke(Request::RequestApproval { deployment: id("prod-t"), task: task("token") }).await.unwrap();
    assert_eq!(fixture.environment("production").await.holder.unwrap().deployment, id("prod-t"));
    let shown = fixture.shown("prod-t").await;
    let answer = |names: Value| {
        json!({
            "shown": shown,
            "action": "decide", "deployment": id("prod-t"), "subject": proposal.key(), "digest": digest("1.0.0"),
            "decision": "approve", "names": names,
        })
    };
    assert_eq!(fixture.ask(answer(json!([]))).await.0, 400);
    assert_eq!(fixture.ask(answer(json!(["Archive"]))).await.0, 200);
    let started = fixture.invoke(Request::Proceed { deployment: id("prod-t") }).await.unwrap();
    assert_eq!(started["images"], false);
    assert_eq!(fixture.environment("production").await.holder.unwrap().deployment, id("prod-t"));
}

/// Returns a fixture with an open question of a deployment that was started by hand.
async fn asking_a_second_person() -> Fixture {
    let fixture = Fixture::new().await;
    fixture.published("1.0.0", &["test", "ci"]).await;
    fixture.begin_by_hand("prod-a", DeploymentPath::Promotion, deploy("1.0.0", "production")).await.unwrap();
    fixture.plan("prod-a", false).await;
    fixture.invoke(Request::RequestApproval { deployment: id("prod-a"), task: task("token") }).await.unwrap();
    fixture
}

async fn answer_as(fixture: &Fixture, name: &str, decision: &str) -> (u16, Value) {
    let request = json!({
        "shown": fixture.shown("prod-a").await, "action": "decide", "deployment": id("prod-a"), "subject": "arn:change-set", "digest": digest("1.0.0"),
        "decision": decision,
    });
    fixture.ask_as(name, request).await
}

#[tokio::test]
async fn the_starter_does_not_approve_and_another_person_suffices() {
    let fixture = asking().await;
    let (status, body) = answer_as(&fixture, "grace", "approve").await;
    assert_eq!(status, 400, "{body}");
    assert!(body["message"].as_str().unwrap().ends_with("this person started it"), "{body}");
    assert_eq!(answer_as(&fixture, "ada", "approve").await.0, 200);
    fixture.invoke(Request::Proceed { deployment: id("prod-a") }).await.unwrap();
}

#[tokio::test]
async fn two_people_approve_what_was_started_by_hand() {
    let fixture = asking_a_second_person().await;
    for _ in 0..2 {
        assert_eq!(answer_as(&fixture, "ada", "approve").await.0, 200);
        assert!(fixture.cloud.woken().is_empty(), "one person is not enough");
        let waits = fixture.invoke(Request::Proceed { deployment: id("prod-a") }).await.unwrap_err();
        assert_eq!(waits.kind, FailureKind::ApprovalRefused);
    }
    assert_eq!(answer_as(&fixture, "grace", "approve").await.0, 200);
    assert_eq!(fixture.cloud.woken().len(), 1);
    let given =
        fixture.versioned::<ApprovalDecision>(&ApprovalDecision::key_of(&id("prod-a"), 1)).await.record;
    let people: Vec<&str> = given.answers.iter().map(|answer| answer.by.user_id.as_str()).collect();
    assert_eq!(people, ["AIDAEXAMPLE00000ADA", "AIDAEXAMPLE00000ADA", "AIDAEXAMPLE00000GRACE"]);
    fixture.invoke(Request::Proceed { deployment: id("prod-a") }).await.unwrap();
}

/// The functions of a path write the deployment. Approvals are judged by who started it, so the charter has the starter too.
#[tokio::test]
async fn a_starter_or_pusher_that_was_written_later_opens_nothing() {
    let login: GithubLogin = "grace".parse().unwrap();
    for is_starter in [true, false] {
        let fixture = asking_a_second_person().await;
        fixture
            .change("prod-a", |deployment| match is_starter {
                true => deployment.starter = Starter::Pusher(login.clone()),
                false => deployment.deploy_mut().unwrap().pusher = Some(login.clone()),
            })
            .await;
        let (status, body) = answer_as(&fixture, "ada", "approve").await;
        assert_eq!(status, 400, "{body}");
        assert!(body["message"].as_str().unwrap().contains("was changed since it began"), "{body}");
    }
}

#[tokio::test]
async fn a_withdrawn_approval_does_not_count_and_one_refusal_ends() {
    let fixture = asking_a_second_person().await;
    assert_eq!(answer_as(&fixture, "ada", "withdraw").await.0, 400);
    assert_eq!(answer_as(&fixture, "ada", "approve").await.0, 200);
    assert_eq!(answer_as(&fixture, "ada", "withdraw").await.0, 200);
    assert_eq!(answer_as(&fixture, "grace", "approve").await.0, 200);
    assert!(fixture.cloud.woken().is_empty());
    assert_eq!(answer_as(&fixture, "ada", "refuse").await.0, 200);
    assert_eq!(fixture.cloud.woken().len(), 1);
    assert_eq!(answer_as(&fixture, "eve", "approve").await.0, 409);
}

#[tokio::test]
async fn two_identities_of_one_person_are_one_approver() {
    let fixture = asking_a_second_person().await;
    let people = "[[people]]\nname = \"ada\"\nusers = [\"AIDAEXAMPLE00000ADA\", \"AIDAEXAMPLE00000ADMIN\"]\n";
    assert_eq!(fixture.ask(json!({"action": "apply_people", "text": people})).await.0, 200);
    for name in ["ada", "admin"] {
        assert_eq!(answer_as(&fixture, name, "approve").await.0, 200);
    }
    assert!(fixture.cloud.woken().is_empty());
}

#[tokio::test]
async fn a_session_whose_caller_chose_its_name_approves_nothing() {
    let fixture = asking().await;
    let request = json!({
        "shown": fixture.shown("prod-a").await, "action": "decide", "deployment": id("prod-a"), "subject": "arn:change-set", "digest": digest("1.0.0"),
        "decision": "approve",
    });
    let iam = json!({
        "userArn": "arn:aws:sts::333333333333:assumed-role/shared-operators/ada", "accountId": "333333333333",
        "userId": "AROAEXAMPLE000000000:ada",
    });
    let (status, body) = fixture.http(&request.to_string(), json!({ "iam": iam })).await;
    assert_eq!((status, &body["error"]), (400, &json!("Rejected")));
    assert!(body["message"].as_str().unwrap().contains("may be any person"), "{body}");
}

/// Returns a fixture with the build of an image in production that awaits its approval.
async fn asking_about_a_build() -> Fixture {
    let fixture = Fixture::new().await;
    let start = DeploymentStart {
        id: id("prod-build"),
        execution: execution("prod-build"),
        version: "2.1.0".parse().unwrap(),
        stage: "production".parse().unwrap(),
        location: Location { account: "222222222222".parse().unwrap(), region: "eu-west-1".parse().unwrap() },
        path: DeploymentPath::Promotion,
        at: at(0),
    };
    let body = BuildImageBody {
        image: "logstash".parse().unwrap(),
        base: "ami-0123456789abcdef0".parse().unwrap(),
        commit: "0123456789012345678901234567890123456789".parse().unwrap(),
        repository: "acme/logs".into(),
        artifact: "recipes/logstash/d.zip".into(),
        before: None,
        built_at: at(0),
        recipe_version: None,
    };
    fixture.ledger.insert(&Deployment::new(start, body)).await.unwrap();
    let request = Request::RequestApproval { deployment: id("prod-build"), task: task("token") };
    fixture.invoke(request).await.unwrap();
    fixture
}

async fn answer_about_the_build(fixture: &Fixture, name: &str, decision: &str) -> u16 {
    let question = fixture.deployment("prod-build").await.approvals.pop().unwrap();
    let request = json!({
        "action": "decide", "deployment": id("prod-build"), "subject": question.subject.key(),
        "shown": fixture.shown("prod-build").await, "decision": decision, "reason": "because",
    });
    fixture.ask_as(name, request).await.0
}

#[tokio::test]
async fn a_build_waits_for_an_answer_without_an_environment() {
    let fixture = asking_about_a_build().await;
    let waiting = fixture.deployment("prod-build").await;
    assert_eq!(waiting.state, DeploymentState::AwaitingApproval);
    assert!(fixture.find_environment("production").await.is_none());
    assert_eq!(answer_about_the_build(&fixture, "ada", "approve").await, 200);
    assert!(fixture.cloud.woken().is_empty(), "who started the build is unknown: one of two people did not");
    assert_eq!(answer_about_the_build(&fixture, "grace", "approve").await, 200);
    assert_eq!(fixture.cloud.woken().len(), 1, "the authority wakes the waiting state");
    for _ in 0..2 {
        fixture.invoke(Request::Proceed { deployment: id("prod-build") }).await.unwrap();
        assert_eq!(fixture.deployment("prod-build").await.state, DeploymentState::Running);
    }
}

#[tokio::test]
async fn a_build_without_an_approval_does_not_continue() {
    for decision in [None, Some("refuse")] {
        let fixture = asking_about_a_build().await;
        if let Some(decision) = decision {
            assert_eq!(answer_about_the_build(&fixture, "ada", decision).await, 200);
        }
        let refused = fixture.invoke(Request::Proceed { deployment: id("prod-build") }).await.unwrap_err();
        assert_eq!(refused.kind, FailureKind::ApprovalRefused);
        assert_eq!(fixture.deployment("prod-build").await.state, DeploymentState::AwaitingApproval);
    }
}

#[tokio::test]
async fn the_strictest_rule_of_the_account_judges_a_build() {
    let fixture = asking_about_a_build().await;
    let strict =
        stage_text("frankfurt", "222222222222").in_region("eu-central-1").with_approval().to_string();
    let strict = strict.replace("approval = true", "approval = { count = 2, not = [\"starter\"] }");
    let text = format!("{}{strict}", stages_text());
    assert_eq!(fixture.ask(json!({"action": "apply_stages", "text": text})).await.0, 200);
    for name in ["ada", "grace"] {
        assert_eq!(answer_about_the_build(&fixture, name, "approve").await, 200);
        assert!(fixture.cloud.woken().is_empty(), "frankfurt asks for two, and for one more");
    }
    assert_eq!(answer_about_the_build(&fixture, "joan", "approve").await, 200);
    assert_eq!(fixture.cloud.woken().len(), 1);
}
