//! Open callbacks that no function completes.

use super::fixture::{Fixture, at, execution, id};
use lockstep_domain::delivery::approval::operation;
use lockstep_domain::model::ids::Digest;
use lockstep_domain::records::{
    Approval, ApprovalDecision, Callback, CallbackState, ChangeSet, Decision, DeploymentState, Subject,
};
use serde_json::json;

async fn wait(fixture: &Fixture, operation: &str, name: &str) {
    let state = CallbackState::Open {
        token: "a secret of the execution".into(),
        execution: execution(name),
        entered_at: at(0),
        retry: 0,
    };
    fixture.put(&Callback { operation: operation.into(), state, at: at(0) }).await;
}

async fn exists(fixture: &Fixture, operation: &str) -> bool {
    fixture.ledger.get::<Callback>(&Callback::key_of(operation)).await.unwrap().is_some()
}

#[tokio::test]
async fn a_callback_of_an_ended_execution_is_removed_and_an_old_one_woken() {
    // FAILURES 58 and 59.
    let fixture = Fixture::new().await;
    for (name, status) in [("dead", Some("TIMED_OUT")), ("alive", Some("RUNNING")), ("unknown", None)] {
        wait(&fixture, &format!("{name}#t"), name).await;
        if let Some(status) = status {
            fixture.cloud.set_execution(&execution(name), status);
        }
    }
    let report = fixture.sweep(59).await;
    assert_eq!((report.waits_removed, report.waits_woken), (1, 0));
    assert!(!exists(&fixture, "dead#t").await);
    let report = fixture.sweep(60).await;
    assert_eq!((report.waits_removed, report.waits_woken), (0, 2));
    let mut woken = fixture.cloud.invocations();
    woken.sort_by_key(|(_, payload)| payload.to_string());
    let wake = |operation: &str| ("lockstep-resume".to_owned(), json!({"wake": operation}));
    assert_eq!(woken, [wake("alive#t"), wake("unknown#t")]);
    assert!(exists(&fixture, "alive#t").await && exists(&fixture, "unknown#t").await);
}

#[tokio::test]
async fn completed_callbacks_are_not_listed() {
    let fixture = Fixture::new().await;
    for (operation, state) in
        [("a#t", CallbackState::Completed), ("b#t", CallbackState::Answered { execution: execution("dead") })]
    {
        fixture.put(&Callback { operation: operation.into(), state, at: at(0) }).await;
    }
    assert!(fixture.ledger.list_kind::<Callback>(9).await.unwrap().is_empty());
    let report = fixture.sweep(999).await;
    assert_eq!((report.waits_removed, report.waits_woken), (0, 0));
}

/// Stores a deployment that released its environment and awaits its approval, with its callback.
async fn asking(fixture: &Fixture, decision: Option<Decision>) -> String {
    fixture.left("a", "ci", "logs", DeploymentState::AwaitingApproval).await;
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
        reasons: vec!["because".into()],
        subject: Subject::ChangeSet(change_set),
        digest: None,
        asked_at: at(0),
    };
    if let Some(decision) = decision {
        let (deployment, question) = (id("a"), question.clone());
        let decision = Some(decision);
        let answers = Vec::new();
        fixture.put(&ApprovalDecision { deployment, question, answers, decision, valid_until: None }).await;
    }
    fixture.change("a", |deployment| deployment.approvals.push(question)).await;
    let operation = operation(&id("a"), 1);
    wait(fixture, &operation, "a").await;
    fixture.cloud.set_execution(&execution("a"), "RUNNING");
    operation
}

#[tokio::test]
async fn an_unanswered_question_is_not_woken_for_days() {
    let fixture = Fixture::new().await;
    let operation = asking(&fixture, None).await;
    assert_eq!(fixture.sweep(6 * 24 * 60).await.waits_woken, 0);
    assert!(fixture.cloud.invocations().is_empty() && exists(&fixture, &operation).await);
}

#[tokio::test]
async fn an_answered_question_with_an_open_callback_is_woken_again() {
    let fixture = Fixture::new().await;
    let operation = asking(&fixture, Some(Decision::Approve)).await;
    assert_eq!(fixture.sweep(61).await.waits_woken, 1);
    assert_eq!(fixture.cloud.invocations(), [("lockstep-resume".to_owned(), json!({"wake": operation}))]);
}

#[tokio::test]
async fn a_deployment_whose_execution_ended_during_its_question_is_closed() {
    let fixture = Fixture::new().await;
    let operation = asking(&fixture, None).await;
    fixture.cloud.set_execution(&execution("a"), "ABORTED");
    assert_eq!(fixture.sweep(1).await.waits_removed, 1);
    assert_eq!(fixture.deployment("a").await.state, DeploymentState::Abandoned);
    assert!(!exists(&fixture, &operation).await);
}
