use super::*;
use serde_json::{Value, json};
use std::time::Duration;

fn record(key: &str) -> Value {
    json!({
        "eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "logs"}, "object": {"key": key, "size": 1, "eTag": "abc", "versionId": "v1"}},
    })
}

fn queue(bodies: &[Value]) -> Value {
    let message = |(number, body): (usize, &Value)| json!({"messageId": format!("m{number}"), "eventSource": "aws:sqs", "body": body.to_string()});
    json!({"Records": bodies.iter().enumerate().map(message).collect::<Vec<_>>()})
}

fn topic(message: &Value) -> Value {
    json!({"Records": [{"EventSource": "aws:sns", "Sns": {"Type": "Notification", "Message": message.to_string()}}]})
}

/// Returns SNS's envelope, as a queue receives it.
fn envelope(message: &Value) -> Value {
    json!({"Type": "Notification", "TopicArn": "arn", "Message": message.to_string()})
}

fn object(key: &str) -> Object {
    Object {
        bucket: "logs".to_owned(),
        key: key.to_owned(),
        version: Some("v1".to_owned()),
        etag: Some("abc".to_owned()),
        acknowledged: 0,
        quarantined: 0,
    }
}

#[test]
fn a_notification_is_the_same_in_every_envelope() {
    let plain = json!({"Records": [record("a.gz"), record("b.gz")]});
    let expected = [object("a.gz"), object("b.gz")];
    for (payload, by_queue) in [
        (plain.clone(), false),
        (topic(&plain), false),
        (queue(std::slice::from_ref(&plain)), true),
        (queue(&[envelope(&plain)]), true),
    ] {
        let asked = read(&payload);
        assert_eq!((asked.by_queue, asked.messages.len()), (by_queue, 1));
        assert_eq!(asked.messages[0].objects, expected, "{payload}");
        assert_eq!(asked.messages[0].malformed, None);
    }
}

#[test]
fn an_eventbridge_event_is_parsed_and_its_key_is_not_url_decoded() {
    let event = |kind: &str| {
        json!({
            "source": "aws.s3", "detail-type": kind,
            "detail": {"bucket": {"name": "logs"}, "object": {"key": "a+b%20c", "etag": "abc", "version-id": "v1"}},
        })
    };
    for payload in [event("Object Created"), queue(&[event("Object Created")])] {
        assert_eq!(read(&payload).messages[0].objects, [object("a+b%20c")]);
    }
    let deleted = read(&event("Object Deleted"));
    assert_eq!((deleted.messages[0].objects.len(), deleted.messages[0].ignored.len()), (0, 1));
}

#[test]
fn a_key_is_decoded_as_s3_encodes_it() {
    for (encoded, key) in [
        ("AWSLogs/1/a_20180702T2215Z_10.0.0.1_x.log.gz", "AWSLogs/1/a_20180702T2215Z_10.0.0.1_x.log.gz"),
        ("my+logs/a%2Bb", "my logs/a+b"),
        ("%C3%BC%26%3D%25", "ü&=%"),
        ("a=b&c;d", "a=b&c;d"),
    ] {
        let payload = json!({"Records": [record(encoded)]});
        assert_eq!(read(&payload).messages[0].objects[0].key, key);
    }
}

#[test]
fn an_etag_loses_its_quotes_and_a_bucket_without_versions_has_none() {
    let mut record = record("a");
    record["s3"]["object"] = json!({"key": "a", "eTag": "\"abc\""});
    let found = read(&json!({"Records": [record]})).messages.remove(0).objects.remove(0);
    assert_eq!((found.version, found.etag.as_deref()), (None, Some("abc")));
}

#[test]
fn ignored_and_malformed_messages_are_distinguished() {
    let test = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "logs"});
    let mut removed = record("a");
    removed["eventName"] = json!("ObjectRemoved:Delete");
    for nothing in [test.clone(), queue(&[test]), json!({"Records": [removed]})] {
        let message = read(&nothing).messages.remove(0);
        assert_eq!(
            (message.objects.len(), message.ignored.len(), message.malformed),
            (0, 1, None),
            "{nothing}"
        );
    }
    let nested = envelope(&envelope(&envelope(&json!({"Records": []}))));
    for strange in
        [json!(null), json!({}), json!({"Records": [{"eventSource": "aws:dynamodb"}]}), json!([1]), nested]
    {
        for payload in [strange.clone(), queue(std::slice::from_ref(&strange))] {
            let message = read(&payload).messages.remove(0);
            assert!(message.malformed.is_some() && message.objects.is_empty(), "{payload}");
        }
    }
    let text = json!({"Records": [{"messageId": "m", "eventSource": "aws:sqs", "body": "no JSON"}]});
    assert_eq!(read(&text).messages[0].malformed.as_deref(), Some("it holds no JSON"));
}

#[test]
fn each_message_of_a_queue_is_judged_separately() {
    let asked = read(&queue(&[json!({"Records": [record("a")]}), json!({"other": 1})]));
    assert_eq!(asked.messages.iter().map(|m| m.id.as_str()).collect::<Vec<_>>(), ["m0", "m1"]);
    assert!(asked.messages[0].malformed.is_none() && asked.messages[1].malformed.is_some());
}

#[test]
fn a_continuation_is_read_back_and_needs_few_fields() {
    let left = Object { acknowledged: 7, quarantined: 2, ..object("a") };
    let continuation = Continuation { objects: vec![left.clone(), object("b")], hops: 3 };
    let message = read(&queue(&[json!({"lockstep": continuation})])).messages.remove(0);
    assert_eq!((message.objects, message.hops), (vec![left, object("b")], 3));
    let by_hand = json!({"lockstep": {"objects": [{"bucket": "logs", "key": "a"}]}});
    let message = read(&by_hand).messages.remove(0);
    assert_eq!(message.objects, [Object { version: None, etag: None, ..object("a") }]);
    let wrong = read(&json!({"lockstep": {"objects": [{"bucket": "logs", "keys": "a"}]}}));
    assert!(wrong.messages[0].malformed.as_ref().unwrap().contains("unknown field `keys`"));
}

#[test]
fn a_message_is_handed_on_only_after_progress_and_not_for_ever() {
    let asked = [object("a"), object("b")];
    let further = Object { acknowledged: 1, ..object("a") };
    assert_eq!(go_on(&asked, vec![], 0), Next::Finished);
    assert_eq!(go_on(&asked, vec![], HOPS_MAX), Next::Finished);
    let learnt = Object { etag: Some("other".to_owned()), ..object("a") };
    for left in [asked.to_vec(), vec![learnt, object("b")]] {
        assert!(matches!(go_on(&asked, left, 0), Next::Fail(_)));
    }
    for left in [vec![further.clone(), object("b")], vec![object("b")], vec![object("a")]] {
        let expected = Continuation { objects: left.clone(), hops: 8 };
        assert_eq!(go_on(&asked, left.clone(), 7), Next::HandOn(expected));
        assert!(matches!(go_on(&asked, left, HOPS_MAX), Next::Fail(_)));
    }
}

#[test]
fn lines_count_in_order_and_an_empty_batch_needs_no_acknowledgement() {
    let mut marks = AckTracker::default();
    for (events, quarantined) in [(0, 2), (5, 1), (0, 3), (4, 0), (0, 1)] {
        marks.note(PendingBatch { events, quarantined });
    }
    let account = |acknowledged, quarantined| LineCounts { acknowledged, quarantined, unreadable_bytes: 0 };
    assert_eq!(marks.count(0), account(0, 2));
    assert_eq!(marks.count(0), account(0, 0));
    assert_eq!(marks.count(1), account(5, 4));
    assert_eq!(marks.count(0), account(0, 0));
    assert_eq!(marks.count(1), account(4, 1));
    assert_eq!(marks.count(9), account(0, 0));
}

#[test]
fn an_invocation_reserves_time_to_settle_and_to_hand_on() {
    let seconds = Duration::from_secs;
    for (left, read, settle) in [(300, 270, 290), (100, 70, 90), (10, 7, 9), (900, 870, 890), (0, 0, 0)] {
        assert_eq!(Budget::of(seconds(left)), Budget { read: seconds(read), settle: seconds(settle) });
    }
}

#[test]
fn a_quarantine_key_depends_on_its_content_and_always_fits() {
    let key = lines_key("logs", "a/b.gz", "v1", (3, 0), (9, 2));
    assert_eq!(key, "quarantine/logs/a/b.gz/3bfc269594ef6492/lines-3.0-9.2.ndjson");
    assert_ne!(key, lines_key("logs", "a/b.gz", "v2", (3, 0), (9, 2)));
    assert!(unreadable_key("logs", "a", "v1", 7, 10).ends_with("/bytes-7-10"));
    let long = "k".repeat(1024);
    assert!(lines_key("logs", &long, "v1", (1, 0), (u64::MAX, u32::MAX)).len() <= 1024);
    assert_ne!(
        lines_key("logs", &long, "v1", (1, 0), (1, 0)),
        lines_key("logs", &"l".repeat(1024), "v1", (1, 0), (1, 0))
    );
}

#[test]
fn a_line_in_quarantine_keeps_every_byte() {
    let record = line_record(7, 1, &"too long", b"\xff\"\n");
    let value: Value = serde_json::from_str(&record).unwrap();
    assert_eq!(value, json!({"line": 7, "part": 1, "reason": "too long", "bytes": "/yIK"}));
    assert!(record.ends_with("}\n") && record.matches('\n').count() == 1);
}

#[test]
fn a_check_is_distinguished_from_a_notification() {
    assert!(is_check(&json!({"component": "elb-logs", "version": "1.0.0", "stage": "ci", "stack": "arn"})));
    for other in [json!({}), json!({"Records": [record("a")]}), json!({"lockstep": {"objects": []}})] {
        assert!(!is_check(&other));
    }
}
