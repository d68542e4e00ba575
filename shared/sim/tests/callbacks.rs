//! Requests to `resume` about callbacks.

use jiff::Timestamp;
use lockstep_domain::messages::Task;
use lockstep_runtime::Callbacks;
use lockstep_sim::FakeAws;
use serde_json::json;

/// Only `resume` writes the table, so a function that waits sends its token and writes no record.
#[tokio::test]
async fn a_token_is_sent_to_the_function_that_owns_callbacks() {
    let cloud = FakeAws::new();
    let callbacks = Callbacks::new(&cloud.aws(), "lockstep-resume");
    let task = Task { token: "t".into(), execution: "e".into(), entered_at: Timestamp::UNIX_EPOCH, retry: 1 };
    callbacks.register("op", &task).await.unwrap();
    callbacks.wake("op").await.unwrap();
    let register = json!({"register": {"operation": "op", "task": task}});
    let to = || "lockstep-resume".to_owned();
    assert_eq!(
        cloud.awaited(),
        std::slice::from_ref(&register),
        "a lost registration would cost the timeout of its state"
    );
    assert_eq!(cloud.invocations(), [(to(), register), (to(), json!({"wake": "op"}))]);
    assert!(cloud.written().is_empty());
}
