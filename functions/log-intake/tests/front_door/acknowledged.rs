//! Tests that 202 is returned only for events that the broker acknowledged.

use crate::fixture::{Fixture, LEFT, Post, post, said, ten};
use flate2::Compression;
use flate2::write::GzEncoder;
use lockstep_domain::logs::shipping::{BodyShape, Protocol};
use lockstep_log_intake::AwsContext;
use lockstep_sim::broker::BrokerBehavior;
use serde_json::json;
use std::io::Write as _;
use std::time::{Duration, Instant};

const PROTOCOLS: [Protocol; 3] = [Protocol::JsonLines, Protocol::Beats, Protocol::Http(BodyShape::Array)];

/// Returns the behaviors of a broker on a connection.
fn manners(protocol: Protocol) -> Vec<BrokerBehavior> {
    let mut manners = vec![
        BrokerBehavior::Honest,
        BrokerBehavior::AcceptsLate(Duration::from_millis(20)),
        BrokerBehavior::ClosesAfter(0),
        BrokerBehavior::ClosesAfter(100),
        BrokerBehavior::ResetsAfter(0),
        BrokerBehavior::ResetsAfter(100),
        BrokerBehavior::StallsAfter(0),
        BrokerBehavior::StallsAfter(100),
    ];
    if protocol != Protocol::JsonLines {
        // Without acknowledgements, a broker that half-closes looks like one that took the events.
        manners.extend([BrokerBehavior::HalfClosesAfter(0), BrokerBehavior::HalfClosesAfter(100)]);
    }
    if protocol == Protocol::Beats {
        let own = [
            BrokerBehavior::AcknowledgesPartly,
            BrokerBehavior::AcknowledgesEach,
            BrokerBehavior::KeepsAlive(5),
            BrokerBehavior::AcknowledgesAhead,
        ];
        manners.extend(own);
    }
    if matches!(protocol, Protocol::Http(_)) {
        manners.extend([
            BrokerBehavior::Answers(503),
            BrokerBehavior::Answers(429),
            BrokerBehavior::Answers(401),
        ]);
    }
    manners
}

/// Returns true if a broker with this behavior takes every event in the end.
fn is_good(manner: BrokerBehavior) -> bool {
    matches!(
        manner,
        BrokerBehavior::Honest
            | BrokerBehavior::AcceptsLate(_)
            | BrokerBehavior::KeepsAlive(_)
            | BrokerBehavior::AcknowledgesEach
    )
}

/// Posts until the response is 202, as a client does, and returns the number of requests.
async fn posted_until_accepted(context: &AwsContext, post: &Post, left: Duration) -> u32 {
    for times in 1..=40 {
        match post.within(context, left).await {
            response if response.status_code == 202 => return times,
            response => {
                assert_eq!(response.status_code, 503, "{}", response.body);
                assert!(response.headers["retry-after"].parse::<u64>().unwrap() > 0);
            }
        }
    }
    panic!("it was never accepted");
}

#[tokio::test]
async fn accepted_means_that_the_broker_acknowledged_every_event() {
    for protocol in PROTOCOLS {
        for manner in manners(protocol) {
            let what = format!("{protocol:?} {manner:?}");
            let fixture = Fixture::new(protocol, &[manner; 20]);
            let (context, key) = (fixture.function(), fixture.key_of("shop").await);
            let good = is_good(manner);
            let left = if good { LEFT } else { Duration::from_millis(700) };
            let response = post(&key, &ten()).within(&context, left).await;
            let taken = fixture.watched.taken();
            match response.status_code {
                202 => {
                    assert_eq!(said(&response), json!({"accepted": 10}), "{what}");
                    assert_eq!(taken.len(), 10, "{what}: an event counts and is lost");
                }
                status => assert_eq!(status, 503, "{what}: {}", response.body),
            }
            if good {
                assert_eq!(response.status_code, 202, "{what}");
            }
            if matches!(
                manner,
                BrokerBehavior::ClosesAfter(0)
                    | BrokerBehavior::ResetsAfter(0)
                    | BrokerBehavior::StallsAfter(0)
                    | BrokerBehavior::Answers(_)
            ) {
                assert_eq!((response.status_code, taken.len()), (503, 0), "{what}");
            }
        }
    }
}

#[tokio::test]
async fn client_that_retries_until_202_loses_and_duplicates_nothing() {
    for protocol in PROTOCOLS {
        // More faults than one invocation tolerates, then a good broker.
        let manners: Vec<BrokerBehavior> =
            manners(protocol).into_iter().skip(2).flat_map(|manner| [manner; 5]).collect();
        let fixture = Fixture::new(protocol, &manners);
        let (context, key) = (fixture.function(), fixture.key_of("shop").await);
        let times = posted_until_accepted(&context, &post(&key, &ten()), Duration::from_millis(700)).await;
        assert!(times > 1, "{protocol:?}: nothing was hostile");
        // Ten documents, with any number of duplicates.
        assert_eq!(
            fixture.watched.messages(),
            (0..10).map(|n| format!("m{n}")).collect::<Vec<_>>(),
            "{protocol:?}"
        );
    }
}

#[tokio::test]
async fn event_posted_twice_is_one_document_with_an_id_and_two_without() {
    let fixture = Fixture::honest();
    let (context, key) = (fixture.function(), fixture.key_of("shop").await);
    for request in ["r-1", "r-2"] {
        assert_eq!(post(&key, &ten()).numbered(request).to(&context).await.status_code, 202);
        assert_eq!(
            post(&key, &json!({"message": "nameless"})).numbered(request).to(&context).await.status_code,
            202
        );
    }
    let taken = fixture.watched.taken();
    assert_eq!(taken.len(), 10 + 2);
    assert!(taken.values().filter(|(_, event)| event["message"] != "nameless").all(|(times, _)| *times == 2));
}

#[tokio::test]
async fn silent_broker_gives_a_response_before_the_invocation_ends() {
    for protocol in PROTOCOLS {
        let fixture = Fixture::new(protocol, &[BrokerBehavior::StallsAfter(10); 20]);
        let (context, key) = (fixture.function(), fixture.key_of("shop").await);
        let left = Duration::from_secs(1);
        let began = Instant::now();
        let response = post(&key, &ten()).within(&context, left).await;
        assert_eq!(response.status_code, 503, "{protocol:?}");
        assert!(began.elapsed() < left, "{protocol:?}: {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn one_event_an_array_lines_and_gzip_all_arrive_in_the_same_envelope() {
    let fixture = Fixture::honest();
    let (context, key) = (fixture.function(), fixture.key_of("shop").await);
    let lines = "{\"message\": \"c\"}\n{\"message\": \"d\"}\n";
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(lines.replace('c', "e").replace('d', "f").as_bytes()).unwrap();
    let by_line = post(&key, &json!(null)).with("content-type", "application/x-ndjson").numbered("r-2");
    for (request, events) in [
        (post(&key, &json!({"message": "a"})), 1),
        (post(&key, &json!([{"message": "b", "level": "warn"}])).numbered("r-3"), 1),
        (by_line.clone().saying(lines), 2),
        (by_line.with("content-encoding", "gzip").saying(gzip.finish().unwrap()).numbered("r-4"), 2),
    ] {
        let response = request.to(&context).await;
        assert_eq!((response.status_code, said(&response)), (202, json!({"accepted": events})));
    }
    assert_eq!(fixture.watched.messages(), ["a", "b", "c", "d", "e", "f"]);
    for (_, event) in fixture.watched.taken().into_values() {
        let service = json!({"name": "shop", "environment": "ci"});
        assert_eq!((&event["service"], &event["event"]["dataset"]), (&service, &json!("desktop")));
        assert_eq!(event["labels"]["component"], "desktop");
        assert_eq!(event["lockstep"]["key_id"], "shop.1");
    }
}

#[tokio::test]
async fn the_setting_of_fields_changes_the_names_in_the_envelope() {
    let fixture = Fixture::honest();
    let (context, key) = (fixture.plain_function(), fixture.key_of("shop").await);
    let response = post(&key, &json!({"message": "a"})).to(&context).await;
    assert_eq!(response.status_code, 202);
    let (_, (_, event)) = fixture.watched.taken().pop_first().unwrap();
    assert_eq!((&event["application"], &event["type"]), (&json!("shop"), &json!("desktop")));
    assert_eq!((&event["component"], &event["environment"]), (&json!("desktop"), &json!("ci")));
    assert_eq!(event["source"]["key_id"], "shop.1");
}

#[tokio::test]
async fn a_batch_with_one_wrong_event_ships_none_of_them() {
    let fixture = Fixture::honest();
    let (context, key) = (fixture.function(), fixture.key_of("shop").await);
    let response =
        post(&key, &json!([{"message": "a"}, {"message": "b", "application": "bank"}])).to(&context).await;
    assert_eq!(response.status_code, 400);
    let expected = json!({"error": "event 2: `application` is not for a client to set", "event": 2, "field": "application"});
    assert_eq!(said(&response), expected);
    assert_eq!((fixture.watched.broker.connections(), fixture.watched.taken().len()), (0, 0));
}
