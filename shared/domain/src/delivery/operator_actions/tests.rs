use super::*;
use crate::model::ids::DeploymentId;
use crate::model::operator_action::REASON_CHARS;
use crate::records::{LeaseHolder, StackRun, testing};
use jiff::Timestamp;

const STACK: &str = "arn:aws:cloudformation:eu-west-1:222222222222:stack/production-logs/1";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn action() -> OperatorAction {
    OperatorAction::new("ada", "wrong version", at(9)).unwrap()
}

fn deployment() -> Deployment {
    let mut body = testing::deploy("logs", "production-logs");
    body.stack = StackRun { arn: Some(STACK.into()), ..body.stack };
    Deployment { epoch: 1, ..Deployment::new(testing::start("e", "1.0.0", "production"), body) }
}

fn during(operation: OperationKind, target: &str) -> Deployment {
    let operation = Operation {
        operation,
        token: "t1".into(),
        target: target.into(),
        attempt: 1,
        without: Vec::new(),
        at: at(1),
    };
    Deployment { operations: vec![operation], ..deployment() }
}

/// Returns the environment that `deployment` holds.
fn environment(ever_stable: bool) -> Environment {
    let holder =
        LeaseHolder { deployment: DeploymentId::of_execution("e"), execution: "e".into(), since: at(0) };
    Environment {
        epoch: 1,
        holder: Some(holder),
        stack_arn: Some(STACK.into()),
        ever_stable,
        last_deployment: Some(DeploymentId::of_execution("e")),
        ..Environment::new("production".parse().unwrap(), "logs", "logs".parse().unwrap())
    }
}

fn refused(deployment: &Deployment, ever_stable: bool) -> Failure {
    cancel(deployment, Some(&environment(ever_stable)), &action()).unwrap_err()
}

#[test]
fn the_reason_of_an_action_is_kept_and_bounded() {
    for none in ["", "  \n"] {
        assert_eq!(OperatorAction::new("ada", none, at(0)).unwrap_err().kind, FailureKind::Rejected);
    }
    assert_eq!(OperatorAction::new("ada", " why ", at(0)).unwrap().reason, "why");
    assert_eq!(
        OperatorAction::new("ada", &"ü".repeat(5000), at(0)).unwrap().reason.chars().count(),
        REASON_CHARS
    );
}

#[test]
fn a_cancellation_records_its_operator_and_completes_the_callback() {
    let key = format!("{STACK}#t1");
    for (operation, target) in [
        // The operation's target is a change set; the callback belongs to its stack.
        (OperationKind::Execute, "arn:change-set"),
        (OperationKind::Clear, STACK),
        (OperationKind::ContinueRollback, STACK),
    ] {
        let cancelled = cancel(&during(operation, target), Some(&environment(true)), &action()).unwrap();
        let wanted = cancelled.deployment.unwrap().cancellation.unwrap();
        assert_eq!((wanted.by.as_str(), wanted.reason.as_str(), wanted.at), ("ada", "wrong version", at(9)));
        assert_eq!(cancelled.wake.as_deref(), Some(key.as_str()));
    }
}

#[test]
fn a_cancellation_without_an_operation_completes_no_callback() {
    let cancelled = cancel(&deployment(), Some(&environment(false)), &action()).unwrap();
    assert!(cancelled.deployment.is_some());
    assert_eq!(cancelled.wake, None);
}

#[test]
fn cancelling_again_keeps_the_first_reason() {
    let running = during(OperationKind::Execute, "arn:change-set");
    let first = cancel(&running, Some(&environment(true)), &action()).unwrap().deployment.unwrap();
    let again = cancel(&first, Some(&environment(true)), &action()).unwrap();
    assert_eq!((again.deployment, again.wake.is_some()), (None, true));
}

#[test]
fn cancelling_a_creation_or_deletion_is_refused_with_advice() {
    let asking = Deployment { state: DeploymentState::AwaitingApproval, ..deployment() };
    let closed = Deployment { state: DeploymentState::Succeeded, ..deployment() };
    let creating = during(OperationKind::Execute, "arn:change-set");
    let deleting = during(OperationKind::Delete, STACK);
    for (deployment, ever_stable, reported) in [
        (&asking, true, "refuse it"),
        (&closed, true, "is closed already"),
        (&creating, false, "cannot stop a creation"),
        (&deleting, true, "cannot stop a deletion"),
    ] {
        let refused = refused(deployment, ever_stable);
        assert_eq!(refused.kind, FailureKind::Conflict);
        assert!(refused.message.contains(reported), "{refused}");
    }
}

#[test]
fn a_former_holder_cannot_be_cancelled() {
    let taken = Environment { epoch: 2, ..environment(true) };
    let lost = cancel(&deployment(), Some(&taken), &action()).unwrap_err();
    assert_eq!(lost.kind, FailureKind::Superseded);
}

#[test]
fn an_image_promotion_cannot_be_cancelled() {
    let image = Deployment { body: testing::promotion().into(), ..deployment() };
    assert_eq!(cancel(&image, None, &action()).unwrap_err().kind, FailureKind::Rejected);
}

#[test]
fn only_a_free_environment_is_reconciled_with_a_line_in_the_log() {
    // FAILURES 8.
    let tainted = Environment { taint: Some("Queue was skipped".into()), ..environment(true) };
    assert_eq!(reconcile(&tainted, &action()).unwrap_err().kind, FailureKind::EnvironmentBusy);
    let free = Environment { holder: None, ..tainted };
    let (clean, note) = reconcile(&free, &action()).unwrap().unwrap();
    assert_eq!(clean, Environment { taint: None, ..free });
    assert_eq!(note, "ada reconciled it (Queue was skipped): wrong version");
    assert_eq!(reconcile(&clean, &action()).unwrap(), None);
}

#[test]
fn a_hold_keeps_its_first_reason_until_it_is_resumed() {
    let free = environment(true);
    let held = hold(&free, &action()).unwrap();
    assert_eq!(held.hold.as_ref().unwrap().reason, action().reason);
    assert_eq!(hold(&held, &action()), None);
    assert_eq!(resume(&held), Some(free.clone()));
    assert_eq!(resume(&free), None);
}
