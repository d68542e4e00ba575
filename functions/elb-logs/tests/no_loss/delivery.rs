//! Runs the function within the process, against real sockets.

use crate::account::{BUCKET, FakeAccount, QUARANTINE, by_queue, message};
use crate::tally::Tally;
use lockstep_access_log::Format;
use lockstep_access_log::synthetic::{Synthetic, gzip};
use lockstep_aws::config::{Config, Setting};
use lockstep_aws::shipper::Pace;
use lockstep_domain::logs::shipping::{BodyShape, Protocol};
use lockstep_domain::model::error::FailureKind;
use lockstep_elb_logs::AwsContext;
use lockstep_elb_logs::handler::{BatchResponse, Response, handle};
use lockstep_sim::broker::{Broker, BrokerBehavior};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub const PROTOCOLS: [Protocol; 3] = [Protocol::JsonLines, Protocol::Beats, Protocol::Http(BodyShape::Array)];

const KEY: &str = "AWSLogs/1/elasticloadbalancing/eu-west-1/a b+c.log.gz";
const ENCODED: &str = "AWSLogs/1/elasticloadbalancing/eu-west-1/a+b%2Bc.log.gz";

const PACE: Pace = Pace {
    window_bytes: 300 << 10,
    connect: Duration::from_secs(1),
    stall: Duration::from_millis(300),
    pause_min: Duration::from_millis(1),
    pause_max: Duration::from_millis(20),
};

const LONG: Duration = Duration::from_secs(300);

pub fn context(cloud: &FakeAccount, output: &str) -> AwsContext {
    context_with(cloud, output, "ecs")
}

fn context_with(cloud: &FakeAccount, output: &str, fields: &str) -> AwsContext {
    let queue = cloud.queue_url();
    let config = Config::of([
        (Setting::Output, output),
        (Setting::QueueUrl, &queue),
        (Setting::QuarantineBucket, QUARANTINE),
        (Setting::LogFormat, "detect"),
        (Setting::LogFields, fields),
        (Setting::LogEnvironment, "ci"),
    ]);
    AwsContext::new(&cloud.aws(), &config, Some("elb-logs".to_owned()), PACE).unwrap()
}

/// Returns lines of a load balancer, one in five of them odd.
pub fn log(count: u64) -> Vec<u8> {
    Synthetic::new(Format::Alb, 7).odd(200).lines(count).0
}

async fn deliver(context: &AwsContext, payload: &Value, left: Duration) -> BatchResponse {
    match handle(context, payload, left).await {
        Ok(Response::Delivery(answer)) => answer,
        other => panic!("{other:?}"),
    }
}

/// Delivers the messages of the queue until it is empty, and returns their number.
async fn deliver_all(context: &AwsContext, cloud: &FakeAccount, left: Duration) -> usize {
    for count in 1.. {
        let Some(next) = cloud.take_sent().pop() else { return count };
        assert_eq!(deliver(context, &message(&next), left).await.batch_item_failures, []);
    }
    unreachable!()
}

#[tokio::test]
async fn every_line_is_taken_or_in_quarantine_with_any_broker() {
    for protocol in PROTOCOLS {
        for manners in [
            vec![],
            vec![BrokerBehavior::AcceptsLate(Duration::from_millis(50)), BrokerBehavior::ClosesAfter(0)],
            vec![
                BrokerBehavior::ClosesAfter(100_000),
                BrokerBehavior::ResetsAfter(70_000),
                BrokerBehavior::StallsAfter(9),
            ],
        ] {
            let what = format!("{protocol:?} {manners:?}");
            let ((cloud, _), tally, text) = (FakeAccount::start().await, Tally::default(), log(1000));
            let broker = tally.broker(protocol, &manners);
            cloud.put(KEY, gzip(&text));
            let answer = deliver(&context(&cloud, &broker.url()), &by_queue(ENCODED), LONG).await;
            let account = tally.expect_all(&cloud, &text, &what);
            assert_eq!(answer.batch_item_failures, [], "{what}");
            assert_eq!(
                (answer.lines.acknowledged, answer.lines.quarantined),
                (account.taken, account.quarantined)
            );
            assert!(account.quarantined > 0, "{what}");
            assert!(!manners.is_empty() || account.duplicates == 0, "{what}");
        }
    }
}

#[tokio::test]
async fn repeated_notification_gives_the_same_ids_and_the_same_quarantine() {
    let ((cloud, _), tally, text) = (FakeAccount::start().await, Tally::default(), log(300));
    let broker = tally.broker(Protocol::Beats, &[]);
    let context = context(&cloud, &broker.url());
    cloud.put(KEY, gzip(&text));
    deliver(&context, &by_queue(ENCODED), LONG).await;
    let kept = cloud.quarantine();
    deliver(&context, &by_queue(ENCODED), LONG).await;
    let account = tally.expect_all(&cloud, &text, "twice");
    assert_eq!((account.duplicates, cloud.quarantine()), (account.taken, kept));
}

#[tokio::test]
async fn rest_near_the_deadline_is_sent_to_the_queue_without_loss() {
    for protocol in PROTOCOLS {
        let ((cloud, _), tally, text) = (FakeAccount::start().await, Tally::default(), log(3000));
        // The broker stalls after some windows, so the time runs out in the middle.
        let first = match protocol {
            // JSON lines use a connection for each window.
            Protocol::JsonLines => BrokerBehavior::Honest,
            Protocol::Beats => BrokerBehavior::StallsAfter(150_000),
            Protocol::Http(_) => BrokerBehavior::StallsAfter(900_000),
        };
        let broker =
            tally.broker(protocol, &[[first].as_slice(), &[BrokerBehavior::StallsAfter(0); 9]].concat());
        let context = context(&cloud, &broker.url());
        cloud.put(KEY, gzip(&text));
        let answer = deliver(&context, &by_queue(ENCODED), Duration::from_secs(2)).await;
        assert_eq!(answer.batch_item_failures, [], "{protocol:?}");
        let left = cloud.take_sent();
        assert_eq!(left.len(), 1, "{protocol:?}");
        let object = &left[0]["lockstep"]["objects"][0];
        assert_eq!((&object["key"], &left[0]["lockstep"]["hops"]), (&json!(KEY), &json!(1)));
        assert_eq!(object["acknowledged"].as_u64().unwrap(), answer.lines.acknowledged);
        // A continuation never counts more than the broker took.
        assert!(tally.account(&cloud).taken >= answer.lines.acknowledged);
        assert_eq!(deliver(&context, &message(&left[0]), LONG).await.batch_item_failures, []);
        deliver_all(&context, &cloud, LONG).await;
        tally.expect_all(&cloud, &text, &format!("{protocol:?} handed on"));
    }
}

#[tokio::test]
async fn message_without_progress_remains_in_the_queue() {
    let ((cloud, _), tally) = (FakeAccount::start().await, Tally::default());
    let broker = tally.broker(Protocol::Beats, &[BrokerBehavior::StallsAfter(0); 9]);
    let context = context(&cloud, &broker.url());
    cloud.put(KEY, gzip(&log(10)));
    let answer = deliver(&context, &by_queue(ENCODED), Duration::from_millis(300)).await;
    assert_eq!(answer.batch_item_failures.len(), 1);
    assert_eq!(cloud.take_sent(), [] as [Value; 0]);
    let direct = json!({"lockstep": {"objects": [{"bucket": BUCKET, "key": KEY}], "hops": 1}});
    assert_eq!(
        handle(&context, &direct, Duration::from_millis(300)).await.unwrap_err().kind,
        FailureKind::Transient
    );
}

#[tokio::test]
async fn missing_object_does_not_stop_its_siblings() {
    let ((cloud, _), tally, text) = (FakeAccount::start().await, Tally::default(), log(50));
    let broker = tally.broker(Protocol::Beats, &[]);
    let context = context(&cloud, &broker.url());
    cloud.put(KEY, gzip(&text));
    let object = |key: &str| json!({"bucket": BUCKET, "key": key});
    let both = json!({"lockstep": {"objects": [object("gone"), object(KEY)]}});
    assert_eq!(deliver(&context, &message(&both), LONG).await.batch_item_failures, []);
    tally.expect_all(&cloud, &text, "sibling");
    let left = cloud.take_sent();
    assert_eq!(left, [json!({"lockstep": {"objects": [object("gone")], "hops": 1}})]);
    assert_eq!(deliver(&context, &message(&left[0]), LONG).await.batch_item_failures.len(), 1);
}

#[tokio::test]
async fn replaced_object_is_refused() {
    let ((cloud, _), tally) = (FakeAccount::start().await, Tally::default());
    let broker = tally.broker(Protocol::Beats, &[]);
    cloud.put(KEY, gzip(&log(50)));
    let other = json!({"lockstep": {"objects": [{"bucket": BUCKET, "key": KEY, "etag": "other"}]}});
    let failure = handle(&context(&cloud, &broker.url()), &other, LONG).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::NotFound);
    assert!(failure.message.contains("is another object by now"), "{failure}");
    assert_eq!(tally.account(&cloud).taken, 0);
}

#[tokio::test]
async fn interrupted_body_is_read_on_from_the_interruption() {
    let ((cloud, _), tally, text) = (FakeAccount::start().await, Tally::default(), log(2000));
    let broker = tally.broker(Protocol::Beats, &[]);
    let object = gzip(&text);
    cloud.cut([object.len() - 1, object.len() / 2, 1]);
    cloud.put(KEY, object);
    deliver(&context(&cloud, &broker.url()), &by_queue(ENCODED), LONG).await;
    assert_eq!(tally.expect_all(&cloud, &text, "interrupted body").duplicates, 0);
}

#[tokio::test]
async fn unreadable_bytes_are_kept_unchanged_and_the_rest_is_shipped() {
    let ((cloud, _), tally, text) = (FakeAccount::start().await, Tally::default(), log(2000));
    let broker = tally.broker(Protocol::Beats, &[]);
    let mut object = gzip(&text);
    let middle = object.len() / 2;
    object[middle..middle + 400].fill(0xff);
    cloud.put(KEY, object.clone());
    let answer = deliver(&context(&cloud, &broker.url()), &by_queue(ENCODED), LONG).await;
    assert_eq!(answer.batch_item_failures, []);
    assert!(answer.lines.acknowledged > 100 && answer.lines.unreadable_bytes > 0);
    let kept: Vec<_> = cloud.quarantine().into_iter().filter(|(key, _)| key.contains("/bytes-")).collect();
    let bytes: Vec<u8> = kept.iter().flat_map(|(_, bytes)| bytes.to_vec()).collect();
    assert_eq!(bytes.len() as u64, answer.lines.unreadable_bytes);
    assert!(object.ends_with(&bytes));
}

#[tokio::test]
async fn nothing_counts_while_quarantine_cannot_be_written() {
    let ((cloud, _), tally, text) = (FakeAccount::start().await, Tally::default(), log(300));
    let broker = tally.broker(Protocol::Beats, &[]);
    let context = context(&cloud, &broker.url());
    cloud.put(KEY, gzip(&text));
    cloud.fail_puts(1);
    let answer = deliver(&context, &by_queue(ENCODED), LONG).await;
    assert_eq!((answer.batch_item_failures.len(), answer.lines.acknowledged), (1, 0));
    assert_eq!(deliver(&context, &by_queue(ENCODED), LONG).await.batch_item_failures, []);
    tally.expect_all(&cloud, &text, "after quarantine failed");
}

#[tokio::test]
async fn empty_object_and_test_message_open_no_connection() {
    let ((cloud, _), tally) = (FakeAccount::start().await, Tally::default());
    let broker = tally.broker(Protocol::Beats, &[]);
    let context = context(&cloud, &broker.url());
    cloud.put(KEY, Vec::new());
    cloud.put("p/empty.gz", gzip(b""));
    let test = message(&json!({"Event": "s3:TestEvent"}));
    for payload in
        [by_queue(ENCODED), by_queue("p/empty.gz"), by_queue("p/AWSLogs/1/ELBAccessLogTestFile"), test]
    {
        let answer = deliver(&context, &payload, LONG).await;
        assert_eq!((answer.batch_item_failures.len(), answer.lines.acknowledged), (0, 0), "{payload}");
    }
    assert_eq!(broker.connections(), 0);
}

#[tokio::test]
async fn a_check_connects_and_sends_nothing() {
    let ((cloud, _), tally) = (FakeAccount::start().await, Tally::default());
    let broker = tally.broker(Protocol::Beats, &[]);
    let check = json!({"component": "elb-logs", "version": "1.0.0", "stage": "ci", "stack": "arn"});
    assert_eq!(handle(&context(&cloud, &broker.url()), &check, LONG).await, Ok(Response::Check { ok: true }));
    let unreachable = {
        let gone: Broker = tally.broker(Protocol::Beats, &[]);
        gone.url()
    };
    let failure = handle(&context(&cloud, &unreachable), &check, LONG).await.unwrap_err();
    assert!(failure.message.contains("cannot be reached"), "{failure}");
    assert_eq!(tally.account(&cloud).taken, 0);
}

#[tokio::test]
async fn the_setting_of_fields_changes_their_names_and_no_id() {
    let (cloud, _) = FakeAccount::start().await;
    cloud.put(KEY, gzip(&Synthetic::new(Format::Alb, 7).lines(3).0));
    let mut ids = Vec::new();
    for (fields, id, environment) in
        [("ecs", "/event/id", "/service/environment"), ("plain", "/id", "/environment")]
    {
        let taken = Arc::new(Mutex::new(Vec::<Value>::new()));
        let sink = {
            let taken = Arc::clone(&taken);
            Box::new(move |event: &[u8]| taken.lock().unwrap().push(serde_json::from_slice(event).unwrap()))
        };
        let broker = Broker::start(Protocol::Beats, None, [], sink);
        deliver(&context_with(&cloud, &broker.url(), fields), &by_queue(ENCODED), LONG).await;
        let events = taken.lock().unwrap().clone();
        assert!(events.iter().all(|event| event.pointer(environment) == Some(&json!("ci"))), "{events:?}");
        // The load balancer wrote the object at that time.
        assert_eq!(events[0].pointer("/event/created").is_some(), fields == "ecs");
        ids.push(events.iter().map(|event| event.pointer(id).unwrap().clone()).collect::<Vec<_>>());
    }
    assert_eq!((ids[0].len(), &ids[0]), (3, &ids[1]));
}

#[tokio::test]
async fn every_problem_of_the_settings_is_reported_at_once() {
    let (cloud, _) = FakeAccount::start().await;
    let config = Config::of([
        (Setting::Output, "udp://broker:1"),
        (Setting::QueueUrl, "q"),
        (Setting::QuarantineBucket, "b"),
        (Setting::LogFormat, "nonsense"),
        (Setting::LogFields, "ECS"),
    ]);
    let failure = AwsContext::new(&cloud.aws(), &config, None, PACE).err().unwrap();
    for part in ["LOCKSTEP_OUTPUT: 'udp'", "LOCKSTEP_LOG_FORMAT: ", "LOCKSTEP_LOG_FIELDS: 'ECS'"] {
        assert!(failure.message.contains(part), "{failure}");
    }
}
