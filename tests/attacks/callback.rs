//! S6 S15 C4: a function that waits takes, closes or answers the callback of a question of production.
//!
//! Fails without a table of callbacks that only `resume` writes, and without its rule that an execution which may
//! still run keeps its callback. `elsewhere.txt` names the tests of `resume` itself.

use crate::every_role;
use lockstep_domain::delivery::approval::operation;
use lockstep_domain::delivery::callbacks::{Registration, holder, register};
use lockstep_domain::messages::Task;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::records::{Callback, CallbackState, Table};
use lockstep_tests::installed::TOOLING;
use lockstep_tests::stack::REGION;

const PROMOTION: &str = "arn:aws:states:eu-west-1:111111111111:execution:lockstep-promotion-deploy:p";

fn task(token: &str, execution: &str, second: i64) -> Task {
    let entered_at = jiff::Timestamp::from_second(second).unwrap();
    Task { token: token.into(), execution: execution.into(), entered_at, retry: 0 }
}

/// Returns the callback of a question that waits since the first second.
fn question() -> Callback {
    let operation = operation(&DeploymentId::of_execution(PROMOTION), 1);
    let at = jiff::Timestamp::from_second(1).unwrap();
    match register(None, &operation, &task("true", PROMOTION, 1), false, at) {
        Registration::Open { wait, .. } => wait,
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_role_but_that_of_resume_writes_a_callback() {
    let table = format!("arn:aws:dynamodb:{REGION}:{TOOLING}:table/{}", Table::Callbacks.name());
    let key = format!("WAIT#{}", question().operation);
    for action in ["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"] {
        for role in every_role().values() {
            let may = role.may(action, &table, &[("dynamodb:leadingkeys", key.as_str())].into());
            let is_owner = role.name == "lockstep-resume-role" && action != "dynamodb:UpdateItem";
            assert_eq!(may, is_owner, "{} and {action}", role.name);
        }
    }
}

#[test]
fn a_registration_in_the_name_of_another_execution_takes_no_callback() {
    let question = question();
    let attacker =
        task("forged", "arn:aws:states:eu-west-1:111111111111:execution:lockstep-delivery-deploy:a", 9);
    assert_eq!(holder(Some(&question), &attacker), Some(PROMOTION));
    let now = jiff::Timestamp::from_second(10).unwrap();
    let decided = register(Some(&question), &question.operation, &attacker, false, now);
    assert!(matches!(decided, Registration::Refused { .. }), "{decided:?}");
}

/// What remains: a function may claim to be the execution itself. The token in the callback then answers no state of
/// it, and its state looks once it times out. It cannot keep later registrations out: no claim lies in the future.
#[test]
fn a_claim_to_be_the_execution_lasts_until_its_state_waits_again() {
    let question = question();
    let now = jiff::Timestamp::from_second(10).unwrap();
    let future = register(Some(&question), &question.operation, &task("forged", PROMOTION, 4000), false, now);
    assert!(matches!(future, Registration::Refused { .. }), "{future:?}");
    let forged = register(Some(&question), &question.operation, &task("forged", PROMOTION, 10), false, now);
    let Registration::Open { wait: forged, is_over: false } = forged else { panic!("{forged:?}") };
    let later = jiff::Timestamp::from_second(1000).unwrap();
    let again = register(Some(&forged), &question.operation, &task("again", PROMOTION, 1000), false, later);
    let Registration::Open { wait, .. } = again else { panic!("{again:?}") };
    assert!(matches!(wait.state, CallbackState::Open { token, .. } if token == "again"));
}
