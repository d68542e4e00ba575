//! Taking over from an execution that has ended, over an in-process Step Functions.

use lockstep_aws::executions::Executions;
use lockstep_domain::model::error::FailureKind;
use lockstep_runtime::lease::{ensure_ended, has_ended};
use lockstep_sim::FakeAws;

#[tokio::test]
async fn only_a_known_end_frees() {
    let account = FakeAws::new();
    let executions = Executions::new(&account.aws());
    for status in ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"] {
        account.set_execution("e", status);
        assert!(has_ended(&executions, "e").await, "{status}");
        ensure_ended(&executions, "e", || panic!("it is {status}")).await.unwrap();
    }
    account.set_execution("e", "RUNNING");
    for may_run in ["e", "an execution of which nothing is known"] {
        assert!(!has_ended(&executions, may_run).await);
        let busy = ensure_ended(&executions, may_run, || "e builds it there already".to_owned()).await;
        let busy = busy.unwrap_err();
        assert_eq!(busy.kind, FailureKind::EnvironmentBusy);
        assert_eq!(busy.message, "e builds it there already");
    }
}
