//! The shipper against a broker that implements its protocols over real sockets.

use lockstep_aws::shipper::{Pace, Shipper, Stopped};
use lockstep_domain::logs::shipping::{Batch, BodyShape, Protocol};
use lockstep_domain::model::error::FailureKind;
use lockstep_sim::broker::{Broker, BrokerBehavior};
use rustls::ServerConfig;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

const PACE: Pace = Pace {
    window_bytes: 4 << 10,
    connect: Duration::from_secs(1),
    stall: Duration::from_millis(300),
    pause_min: Duration::from_millis(1),
    pause_max: Duration::from_millis(20),
};

const PROTOCOLS: [Protocol; 3] = [Protocol::JsonLines, Protocol::Beats, Protocol::Http(BodyShape::Array)];

/// Number of times that each event was accepted.
type ReceivedCounts = Arc<Mutex<BTreeMap<String, u32>>>;

fn broker(
    protocol: Protocol,
    tls: Option<Arc<ServerConfig>>,
    manners: &[BrokerBehavior],
) -> (Broker, ReceivedCounts) {
    let taken = ReceivedCounts::default();
    let sink = {
        let taken = Arc::clone(&taken);
        Box::new(move |event: &[u8]| {
            let event = String::from_utf8(event.to_vec()).unwrap();
            *taken.lock().unwrap().entry(event).or_default() += 1;
        })
    };
    (Broker::start(protocol, tls, manners.iter().copied(), sink), taken)
}

fn shipper(broker: &Broker, authority: Option<&str>) -> Shipper {
    Shipper::new(&broker.url().parse().unwrap(), authority, PACE).unwrap()
}

fn event(number: usize) -> String {
    // Digits that do not compress away.
    let noise: String = (1..=number % 9)
        .map(|nth| ((number * nth) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_string())
        .collect();
    format!(r#"{{"n":{number},"message":"{noise}"}}"#)
}

fn batch(first: usize, count: usize) -> Batch {
    let lines: String = (first..first + count).map(|number| event(number) + "\n").collect();
    Batch::new(lines.into_bytes()).unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// Ships 40 batches of 20 events; returns the number of acknowledged batches, and the result.
async fn ship(shipper: &mut Shipper, until: Instant) -> (usize, Result<(), Stopped>) {
    for number in 0..40 {
        if let Err(stopped) = shipper.send(batch(number * 20, 20), until).await {
            return (shipper.take_acknowledged(), Err(stopped));
        }
    }
    let settled = shipper.settle(until).await;
    (shipper.take_acknowledged(), settled)
}

/// Asserts that every event of the first `batches` was accepted; returns the number accepted more than once.
fn expect_taken(taken: &ReceivedCounts, batches: usize, what: &str) -> usize {
    let taken = taken.lock().unwrap();
    for number in 0..batches * 20 {
        assert!(taken.contains_key(&event(number)), "{what}: event {number} counts and is lost");
    }
    taken.values().filter(|times| **times > 1).count()
}

/// Returns faulty behavior that no protocol defines.
fn hostile(protocol: Protocol) -> Vec<Vec<BrokerBehavior>> {
    let late = Duration::from_millis(50);
    let mut hostile = vec![
        vec![BrokerBehavior::AcceptsLate(late)],
        vec![
            BrokerBehavior::ClosesAfter(0),
            BrokerBehavior::ClosesAfter(1),
            BrokerBehavior::ClosesAfter(5_000),
        ],
        vec![
            BrokerBehavior::ResetsAfter(0),
            BrokerBehavior::ResetsAfter(700),
            BrokerBehavior::ResetsAfter(9_000),
        ],
        vec![BrokerBehavior::StallsAfter(0), BrokerBehavior::StallsAfter(3_000)],
        vec![
            BrokerBehavior::ClosesAfter(300),
            BrokerBehavior::ResetsAfter(4_000),
            BrokerBehavior::StallsAfter(10),
            BrokerBehavior::AcceptsLate(late),
        ],
    ];
    // Without acknowledgements, a peer that closes its side and discards the rest looks like one that accepted it:
    // docs/elb-logs.md.
    if protocol != Protocol::JsonLines {
        hostile.push(vec![BrokerBehavior::HalfClosesAfter(0), BrokerBehavior::HalfClosesAfter(2_000)]);
    }
    hostile
}

#[tokio::test]
async fn every_acknowledged_event_was_accepted_whatever_the_peer_does() {
    for protocol in PROTOCOLS {
        for manners in hostile(protocol) {
            let what = format!("{protocol:?} {manners:?}");
            let (broker, taken) = broker(protocol, None, &manners);
            let mut shipper = shipper(&broker, None);
            assert_eq!(ship(&mut shipper, soon()).await, (40, Ok(())), "{what}");
            expect_taken(&taken, 40, &what);
            assert!(broker.connections() as usize >= manners.len(), "{what}: nothing was hostile");
        }
    }
}

#[tokio::test]
async fn an_honest_peer_gets_each_event_once() {
    for protocol in PROTOCOLS {
        let (broker, taken) = broker(protocol, None, &[]);
        assert_eq!(ship(&mut shipper(&broker, None), soon()).await, (40, Ok(())));
        assert_eq!(expect_taken(&taken, 40, "honest"), 0, "{protocol:?}");
        assert_eq!(taken.lock().unwrap().len(), 800);
    }
}

#[tokio::test]
async fn a_beats_peer_may_acknowledge_partly_one_by_one_or_keep_alive() {
    let partly = vec![BrokerBehavior::AcknowledgesPartly; 5];
    for (manners, duplicates) in [
        (partly, 0),
        (vec![BrokerBehavior::AcknowledgesEach], 0),
        (vec![BrokerBehavior::KeepsAlive(50)], 0),
        (vec![BrokerBehavior::AcknowledgesAhead], 0),
    ] {
        let (broker, taken) = broker(Protocol::Beats, None, &manners);
        assert_eq!(ship(&mut shipper(&broker, None), soon()).await, (40, Ok(())), "{manners:?}");
        assert_eq!(expect_taken(&taken, 40, "beats"), duplicates, "{manners:?}");
    }
}

#[tokio::test]
async fn a_failing_status_is_retried_or_reported() {
    let (busy, taken) = broker(
        Protocol::Http(BodyShape::Array),
        None,
        &[BrokerBehavior::Answers(503), BrokerBehavior::Answers(429)],
    );
    assert_eq!(ship(&mut shipper(&busy, None), soon()).await, (40, Ok(())));
    assert_eq!(expect_taken(&taken, 40, "busy"), 0);

    let (refusing, taken) = broker(Protocol::Http(BodyShape::Array), None, &[BrokerBehavior::Answers(401)]);
    let (acknowledged, stopped) = ship(&mut shipper(&refusing, None), soon()).await;
    let Err(Stopped::Broker(failure)) = stopped else { panic!("{stopped:?}") };
    assert_eq!((acknowledged, failure.kind), (0, FailureKind::Rejected));
    assert!(failure.message.ends_with("answers 401 and takes nothing"), "{failure}");
    assert!(taken.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_absent_broker_is_given_up_and_no_event_counts() {
    for protocol in PROTOCOLS {
        let (broker, taken) = broker(protocol, None, &[BrokerBehavior::ClosesAfter(0); 20]);
        let (acknowledged, stopped) = ship(&mut shipper(&broker, None), soon()).await;
        let Err(Stopped::Broker(failure)) = stopped else { panic!("{stopped:?}") };
        assert_eq!((acknowledged, failure.kind), (0, FailureKind::Transient), "{protocol:?}");
        assert!(taken.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn after_the_deadline_only_acknowledged_events_count() {
    for protocol in PROTOCOLS {
        let manners = [BrokerBehavior::Honest, BrokerBehavior::StallsAfter(0)];
        let (broker, taken) = broker(protocol, None, &manners);
        let mut shipper = shipper(&broker, None);
        shipper.send(batch(0, 20), soon()).await.unwrap();
        shipper.settle(soon()).await.unwrap();
        let until = Instant::now() + Duration::from_millis(50);
        let over = match shipper.send(batch(20, 20), until).await {
            Ok(()) => shipper.settle(until).await,
            stopped => stopped,
        };
        assert_eq!(over, Err(Stopped::Time), "{protocol:?}");
        assert_eq!(shipper.take_acknowledged(), 1, "{protocol:?}");
        expect_taken(&taken, 1, "time is over");
        // Batches in flight are not forgotten.
        assert_eq!(shipper.settle(soon()).await, Ok(()));
        assert_eq!(shipper.take_acknowledged(), 1, "{protocol:?}");
        expect_taken(&taken, 2, "later");
    }
}

/// Returns a certificate for `localhost` that is its own authority.
fn certificate() -> (Arc<ServerConfig>, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (Arc::new(config), made.cert.pem())
}

#[tokio::test]
async fn over_tls_every_acknowledged_event_was_accepted() {
    let (config, authority) = certificate();
    for protocol in PROTOCOLS {
        for manners in hostile(protocol) {
            let what = format!("TLS {protocol:?} {manners:?}");
            let (broker, taken) = broker(protocol, Some(Arc::clone(&config)), &manners);
            let mut shipper = shipper(&broker, Some(&authority));
            assert_eq!(ship(&mut shipper, soon()).await, (40, Ok(())), "{what}");
            expect_taken(&taken, 40, &what);
        }
    }
}

#[tokio::test]
async fn an_untrusted_certificate_is_refused_before_any_write() {
    let (config, _) = certificate();
    let (_, other) = certificate();
    for authority in [Some(other.as_str()), None] {
        let (broker, taken) = broker(Protocol::JsonLines, Some(Arc::clone(&config)), &[]);
        let (acknowledged, stopped) = ship(&mut shipper(&broker, authority), soon()).await;
        let Err(Stopped::Broker(failure)) = stopped else { panic!("{stopped:?}") };
        assert_eq!((acknowledged, failure.kind), (0, FailureKind::Rejected));
        assert!(failure.message.contains("certificate that is not trusted"), "{failure}");
        assert!(taken.lock().unwrap().is_empty());
        assert_eq!(broker.connections(), 1);
    }
}

#[tokio::test]
async fn batches_in_flight_at_the_deadline_are_awaited_and_not_resent() {
    for protocol in [Protocol::JsonLines, Protocol::Beats] {
        // The listener starts after the window's waiting time has passed.
        let (broker, taken) =
            broker(protocol, None, &[BrokerBehavior::AcceptsLate(Duration::from_millis(150))]);
        let mut shipper = shipper(&broker, None);
        let until = Instant::now() + Duration::from_millis(50);
        let mut stopped = Ok(());
        for number in 0..40 {
            stopped = shipper.send(batch(number * 20, 20), until).await;
            if stopped.is_err() {
                break;
            }
        }
        assert_eq!(stopped, Err(Stopped::Time), "{protocol:?}");
        assert_eq!(shipper.settle(soon()).await, Ok(()));
        let acknowledged = shipper.take_acknowledged();
        assert!(acknowledged > 1, "{protocol:?}");
        assert_eq!(expect_taken(&taken, acknowledged, "in flight"), 0, "{protocol:?}");
    }
}
