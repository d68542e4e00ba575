//! Whatever a queue's message holds, it asks for whole objects, or says why it does not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstep_domain::logs::delivery::read;
use serde_json::json;

fuzz_target!(|body: &str| {
    let asked = read(&json!({ "Records": [{ "eventSource": "aws:sqs", "messageId": "1", "body": body }] }));
    assert!(asked.by_queue && asked.messages.len() == 1);
    let message = &asked.messages[0];
    if serde_json::from_str::<serde_json::Value>(body).is_err() {
        assert!(message.malformed.is_some() && message.objects.is_empty());
    }
    // What a queue hands on is read as it was written.
    if body.contains("lockstep") && message.malformed.is_none() {
        let left = json!({ "lockstep": { "objects": message.objects, "hops": message.hops } }).to_string();
        let again =
            read(&json!({ "Records": [{ "eventSource": "aws:sqs", "messageId": "1", "body": left }] }));
        assert_eq!(again.messages[0].objects, message.objects);
    }
});
