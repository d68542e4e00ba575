use super::*;
use crate::delivery::environment::{abandon, acquire, after, complete, fail};
use crate::delivery::queue;
use crate::model::caught_error::CaughtError;
use crate::model::error::Failure;
use crate::model::ids::Digest;
use crate::model::image_lock::ImageLock;
use crate::model::operator_action::OperatorAction;
use crate::records::{DeployBody, DeploymentState, Environment, Operation, testing};
use jiff::Timestamp;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn deployment(version: &str, body: impl Into<DeploymentBody>) -> Deployment {
    Deployment::new(testing::start(version, version, "ci"), body)
}

fn deploy(stack_changed: bool) -> DeployBody {
    DeployBody {
        stack_changed,
        parameters_digest: Some(Digest::of(b"parameters")),
        ..testing::deploy("logs", "ci-logs")
    }
}

fn started(operation: OperationKind) -> Operation {
    Operation {
        operation,
        token: "t".into(),
        target: "arn".into(),
        attempt: 1,
        without: Vec::new(),
        at: at(1),
    }
}

/// Returns `ci` with 1.0.0, whose checks passed, and 1.0.1 or its teardown on the way.
fn running(body: impl Into<DeploymentBody>, operation: Option<OperationKind>) -> (Environment, Deployment) {
    let first = acquire(None, &deployment("1.0.0", deploy(true)), at(0)).unwrap();
    let before = complete(&first.environment, &first.deployment, &ImageLock::default(), at(1)).unwrap();
    let taken = acquire(before.environment.as_ref(), &deployment("1.0.1", body), at(2)).unwrap();
    let operations = operation.map(started).into_iter().collect();
    (taken.environment, Deployment { operations, ..taken.deployment })
}

/// Returns what the ledger says of `ci`: the version that runs, and true if its checks passed.
fn says(environment: Option<&Environment>) -> Option<(String, bool)> {
    let deployed = environment?.deployed.as_ref()?;
    Some((deployed.version.to_string(), deployed.checked))
}

type Ending = (FailureKind, Option<OperationKind>, bool, DeploymentState, Fate, &'static str);

/// Every way in which a deployment that began can fail: the error, the operation that was started, true if the stack was
/// read with the release, the state on record, the result, the release that the ledger names, and the first words.
const ENDINGS: [Ending; 13] = {
    use DeploymentState::{Cancelled, Failed, Refused};
    use FailureKind::{
        AccessDenied, ApprovalRefused, Bug, Cancelled as Stopped, CheckFailed, ImageUnusable, Rejected,
        StackFailed, StackNeedsHuman, Transient,
    };
    use Fate::{Failing, NotDone, RunsOn, Unchecked};
    const EXECUTE: Option<OperationKind> = Some(OperationKind::Execute);
    const NOT: &str = "logs 1.0.1 was not deployed to ci: why. ci runs 1.0.0.";
    const RUNS_ON: &str = "logs 1.0.1 may still be deployed to ci: why. The operation that it started was not seen to end; \
                           the next deployment waits for it. ci ran 1.0.0 before.";
    [
        (CheckFailed, EXECUTE, true, Failed, Failing, "logs 1.0.1 runs in ci and fails its checks: why."),
        (CheckFailed, None, false, Failed, Failing, "logs 1.0.1 runs in ci and fails its checks: why."),
        (
            Transient,
            EXECUTE,
            true,
            Failed,
            Unchecked,
            "logs 1.0.1 runs in ci, and its checks gave no result: why.",
        ),
        (
            Stopped,
            EXECUTE,
            true,
            Failed,
            Unchecked,
            "logs 1.0.1 runs in ci, and its checks gave no result: why.",
        ),
        (Stopped, EXECUTE, false, Cancelled, NotDone, NOT),
        (Stopped, None, false, Cancelled, NotDone, NOT),
        (ApprovalRefused, None, false, Refused, NotDone, NOT),
        (StackFailed, EXECUTE, false, Failed, NotDone, NOT),
        (StackNeedsHuman, EXECUTE, false, Failed, NotDone, NOT),
        (Rejected, None, false, Failed, NotDone, NOT),
        (ImageUnusable, None, false, Failed, NotDone, NOT),
        (AccessDenied, EXECUTE, false, Failed, RunsOn, RUNS_ON),
        (Bug, Some(OperationKind::Rollback), false, Failed, RunsOn, RUNS_ON),
    ]
};

/// Invariant 18.
#[test]
fn each_ending_says_what_the_ledger_and_the_stack_say() {
    for (kind, operation, changed, state, expected, message) in ENDINGS {
        let (environment, deployment) = running(deploy(changed), operation);
        let caught = CaughtError { error: kind.error_type().to_owned(), cause: "why".to_owned() };
        let failed = fail(Some(&environment), &deployment, &caught, at(3));
        let closed = failed.deployment.unwrap();
        let named = format!("{kind:?}, {operation:?}, {changed}");
        assert_eq!((closed.state, fate_of(&closed)), (state, Some(expected)), "{named}");
        assert_eq!(failed.failure.message, message, "{named}");
        let runs = says(failed.environment.as_ref());
        let expected = match expected {
            Fate::Failing | Fate::Unchecked => Some(("1.0.1".to_owned(), false)),
            _ => Some(("1.0.0".to_owned(), true)),
        };
        assert_eq!(runs, expected, "{named}");
    }
}

#[test]
fn a_teardown_that_fails_says_if_its_deletion_may_run_on() {
    let cases = [
        (FailureKind::ApprovalRefused, None, "logs 1.0.1 was not removed from ci: why. ci runs 1.0.0."),
        (
            FailureKind::StackFailed,
            Some(OperationKind::Delete),
            "logs 1.0.1 was not removed from ci: why. ci runs 1.0.0.",
        ),
        (
            FailureKind::Transient,
            Some(OperationKind::Delete),
            "logs 1.0.1 may still be removed from ci: why. The operation that it started was not seen to end; the next \
             deployment waits for it. ci ran 1.0.0 before.",
        ),
    ];
    for (kind, operation, message) in cases {
        let (environment, teardown) = running(testing::teardown("logs", "ci-logs"), operation);
        let caught = CaughtError { error: kind.error_type().to_owned(), cause: "why".to_owned() };
        assert_eq!(fail(Some(&environment), &teardown, &caught, at(3)).failure.message, message);
    }
}

#[test]
fn an_execution_that_died_says_what_it_left() {
    for (changed, operation, expected, words) in [
        (
            true,
            Some(OperationKind::Execute),
            Fate::Unchecked,
            "logs 1.0.1 runs in ci, and its checks gave no result",
        ),
        (false, Some(OperationKind::Execute), Fate::RunsOn, "logs 1.0.1 may still be deployed to ci"),
        (false, None, Fate::NotDone, "logs 1.0.1 was not deployed to ci"),
    ] {
        let (environment, deployment) = running(deploy(changed), operation);
        let closed = abandon(&deployment, "the sweep freed it", at(3)).unwrap();
        assert_eq!((closed.state, fate_of(&closed)), (DeploymentState::Abandoned, Some(expected)));
        let message = closed.failure.unwrap().message;
        assert!(message.starts_with(words) && message.ends_with("the sweep freed it"), "{message}");
        let runs = after(&environment, &deployment, expected, at(3)).deployed.unwrap();
        assert_eq!(runs.checked, expected != Fate::Unchecked);
    }
}

#[test]
fn a_deployment_that_never_began_says_so_and_changes_nothing() {
    let waited = deployment("1.0.1", deploy(false));
    let action = OperatorAction::new("ada", "wrong version", at(5)).unwrap();
    let newer = "1.0.2".parse().unwrap();
    let closed = [
        (queue::cancel(&waited, &action), DeploymentState::Cancelled, FailureKind::Cancelled),
        (
            queue::close(&waited, &queue::overtaken(&waited, &newer), at(5)),
            DeploymentState::Superseded,
            FailureKind::Overtaken,
        ),
        (
            queue::close(&waited, &queue::expired(&waited), at(5)),
            DeploymentState::Expired,
            FailureKind::Expired,
        ),
    ];
    for (closed, state, kind) in closed {
        assert_eq!((closed.state, fate_of(&closed)), (state, Some(Fate::NotDone)));
        assert_eq!(closed.finished_at, Some(at(5)));
        let again: Failure = queue::never_began(&closed).unwrap();
        assert_eq!((again.kind, &again.message), (kind, &closed.failure.unwrap().message));
    }
    assert_eq!(queue::never_began(&waited), None);
    let (_, begun) = running(deploy(false), None);
    assert_eq!(queue::never_began(&Deployment { state: DeploymentState::Cancelled, ..begun }), None);
}

#[test]
fn a_success_has_no_other_result() {
    let (environment, deployment) = running(deploy(true), Some(OperationKind::Execute));
    assert_eq!(fate_of(&deployment), None, "it has not ended");
    let done = complete(&environment, &deployment, &ImageLock::default(), at(3)).unwrap();
    assert_eq!(fate_of(&done.deployment), Some(Fate::Done));
    assert_eq!(says(done.environment.as_ref()), Some(("1.0.1".to_owned(), true)));
}
