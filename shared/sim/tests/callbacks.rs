//! Task tokens that wait, over the DynamoDB engine within the process.

use jiff::Timestamp;
use lockstep_domain::messages::Task;
use lockstep_domain::records::{Wait, WaitState};
use lockstep_platform::clock;
use lockstep_platform::ledger::Ledger;
use lockstep_platform::waits::Waits;
use lockstep_sim::{FakeAws, TABLE};
use serde_json::json;

fn waits() -> (FakeAws, Ledger, Waits) {
    let cloud = FakeAws::new();
    let ledger = Ledger::new(&cloud.aws(), TABLE);
    let waits = Waits::new(&cloud.aws(), &ledger, "lockstep-resume");
    (cloud, ledger, waits)
}

fn task(token: &str, entered: i64) -> Task {
    let entered_at = Timestamp::from_second(entered).unwrap();
    Task { token: token.into(), execution: "e".into(), entered_at, retry: 0 }
}

async fn token(ledger: &Ledger) -> Option<String> {
    match ledger.get::<Wait>(&Wait::key_of("op")).await.unwrap()?.record.state {
        WaitState::Open { token, .. } => Some(token),
        _ => None,
    }
}

#[tokio::test]
async fn the_newest_registration_stands_in_whatever_order_they_come() {
    for order in [["old", "new"], ["new", "old"]] {
        let (cloud, ledger, waits) = waits();
        for name in order {
            waits.register("op", &task(name, if name == "new" { 2 } else { 1 })).await.unwrap();
        }
        assert_eq!(token(&ledger).await.as_deref(), Some("new"));
        assert!(cloud.invocations().is_empty());
    }
}

#[tokio::test]
async fn an_operation_that_ended_first_is_looked_at_once_the_token_is_written() {
    let (cloud, ledger, waits) = waits();
    let note = Wait { operation: "op".into(), state: WaitState::Tombstone, at: clock::now() };
    ledger.insert(&note).await.unwrap();
    waits.register("op", &task("a", 1)).await.unwrap();
    assert_eq!(token(&ledger).await.as_deref(), Some("a"));
    assert_eq!(cloud.invocations(), [("lockstep-resume".to_owned(), json!({"wake": "op"}))]);
}

#[tokio::test]
async fn registering_the_same_task_again_writes_nothing() {
    let (cloud, _, waits) = waits();
    waits.register("op", &task("a", 1)).await.unwrap();
    cloud.take_calls();
    waits.register("op", &task("a", 1)).await.unwrap();
    assert_eq!(cloud.take_calls(), ["GetItem"]);
}
