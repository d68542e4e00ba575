//! Callbacks over the in-process DynamoDB engine.

use jiff::Timestamp;
use lockstep_aws::clock;
use lockstep_aws::ledger::Ledger;
use lockstep_domain::messages::Task;
use lockstep_domain::records::{Callback, CallbackState};
use lockstep_runtime::Callbacks;
use lockstep_sim::FakeAws;
use serde_json::json;

fn callbacks() -> (FakeAws, Ledger, Callbacks) {
    let cloud = FakeAws::new();
    let ledger = Ledger::new(&cloud.aws());
    let callbacks = Callbacks::new(&cloud.aws(), &ledger, "lockstep-resume");
    (cloud, ledger, callbacks)
}

fn task(token: &str, entered: i64) -> Task {
    let entered_at = Timestamp::from_second(entered).unwrap();
    Task { token: token.into(), execution: "e".into(), entered_at, retry: 0 }
}

async fn token(ledger: &Ledger) -> Option<String> {
    match ledger.get::<Callback>(&Callback::key_of("op")).await.unwrap()?.record.state {
        CallbackState::Open { token, .. } => Some(token),
        _ => None,
    }
}

#[tokio::test]
async fn the_newest_registration_wins_in_any_order() {
    for order in [["old", "new"], ["new", "old"]] {
        let (cloud, ledger, callbacks) = callbacks();
        for name in order {
            callbacks.register("op", &task(name, if name == "new" { 2 } else { 1 })).await.unwrap();
        }
        assert_eq!(token(&ledger).await.as_deref(), Some("new"));
        assert!(cloud.invocations().is_empty());
    }
}

#[tokio::test]
async fn an_operation_that_ended_first_is_read_after_the_token_is_stored() {
    let (cloud, ledger, callbacks) = callbacks();
    let note = Callback { operation: "op".into(), state: CallbackState::Completed, at: clock::now() };
    ledger.insert(&note).await.unwrap();
    callbacks.register("op", &task("a", 1)).await.unwrap();
    assert_eq!(token(&ledger).await.as_deref(), Some("a"));
    assert_eq!(cloud.invocations(), [("lockstep-resume".to_owned(), json!({"wake": "op"}))]);
}

#[tokio::test]
async fn registering_the_same_task_again_writes_nothing() {
    let (cloud, _, callbacks) = callbacks();
    callbacks.register("op", &task("a", 1)).await.unwrap();
    cloud.take_calls();
    callbacks.register("op", &task("a", 1)).await.unwrap();
    assert_eq!(cloud.take_calls(), ["GetItem"]);
}
