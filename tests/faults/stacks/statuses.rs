//! The result of a deployment in each status of a stack: success, or a named state that needs an operator.

use crate::cases::{block_on, with_room};
use crate::harness::Harness;
use crate::organisation::{FIRST, SAFE};
use crate::scenarios::Step;
use crate::workflows::{execute, word};
use lockstep_domain::records::Decision;
use lockstep_domain::stacks::plan::StackStatus;
use serde_json::json;

/// Returns the end of a deployment that finds the stack of its environment in `status`, and its calls.
async fn found_in(status: &StackStatus) -> (String, String) {
    let harness = Harness::new().await;
    harness.faults.suspend(true);
    for (number, step) in [Step::Deploy("ci", FIRST), Step::Status(status.clone())].iter().enumerate() {
        step.take(&harness, number).await;
    }
    harness.answers.replace(vec![Decision::Approve; 3]);
    let effects = harness.cloud.effects().len();
    let input = json!({"component": "logs", "version": SAFE, "stage": "ci"});
    let run = execute(&harness, "case", &input).await;
    let calls: Vec<&str> =
        harness.cloud.effects().split_off(effects).iter().map(|effect| effect.call).collect();
    (word(&run).to_owned(), calls.join(" "))
}

#[test]
fn every_status_of_a_stack_has_a_result() {
    let mut covered = 0;
    for status in StackStatus::ALL {
        let (end, calls) = with_room(|| block_on(found_in(status)));
        println!("{:42} {end:16} {calls}", status.as_str());
        assert!(["SUCCEEDED", "StackNeedsHuman"].contains(&end.as_str()), "{status}: {end} after {calls}");
        covered += 1;
    }
    println!("{covered} of {} statuses", StackStatus::ALL.len());
}
