//! Dead letters of a queue, on the emulator's queues.

use crate::cloud::{Emulator, apply};
use jiff::{SignedDuration, Timestamp};
use lockstep_aws::operator::dead_letters::{DeadLetters, PutBack};
use lockstep_aws::operator::stacks::Installer;
use serde_json::json;

/// More messages than one call returns.
const LETTERS: u64 = 23;

#[tokio::test]
async fn dead_letters_are_redriven_once_and_a_repeated_failure_ends_it() {
    let emulator = Emulator::start().await;
    let installer = Installer::new(&emulator.aws);
    let template = json!({
        "Resources": {"Queue": {"Type": "AWS::SQS::Queue"}, "DeadLetters": {"Type": "AWS::SQS::Queue"}},
        "Outputs": {"Queue": {"Value": {"Ref": "Queue"}}, "DeadLetters": {"Value": {"Ref": "DeadLetters"}}},
    });
    apply(&installer, "letters", &template).await;
    let outputs = installer.find("letters").await.unwrap().unwrap().outputs;
    let between =
        |queue: &str, letters: &str| DeadLetters::new(&emulator.aws, &outputs[queue], &outputs[letters]);

    let giving_up = between("DeadLetters", "Queue");
    for number in 0..LETTERS {
        giving_up.send(&format!("letter {number}")).await.unwrap();
    }
    let put_back = between("Queue", "DeadLetters");
    let soon = Timestamp::now() + SignedDuration::from_secs(60);
    let mut moved = 0;
    loop {
        let some = put_back.put_some_back(soon).await.unwrap();
        assert_eq!(some.came_back, 0);
        if some.moved == 0 {
            break;
        }
        moved += some.moved;
    }
    assert_eq!(moved, LETTERS);

    // The messages are in the queue now, all sent after the redrive began. A message that fails again remains where it
    // is.
    let failed_again = between("DeadLetters", "Queue");
    let before = Timestamp::now() - SignedDuration::from_secs(60);
    let mut came_back = 0;
    while let PutBack { came_back: some @ 1.., moved } = failed_again.put_some_back(before).await.unwrap() {
        assert_eq!(moved, 0);
        came_back += some;
    }
    assert_eq!(came_back, LETTERS);
}
