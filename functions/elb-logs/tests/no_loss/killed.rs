//! Kills the real binary at random points and delivers its message again.

use crate::account::{FakeAccount, QUARANTINE, by_queue, message};
use crate::delivery::{PROTOCOLS, log};
use crate::tally::{Account, Tally};
use lockstep_access_log::synthetic::gzip;
use lockstep_domain::logs::shipping::Protocol;
use lockstep_sim::broker::{Broker, BrokerBehavior};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::sync::{Notify, mpsc};

const KEY: &str = "AWSLogs/1/elasticloadbalancing/eu-west-1/x.log.gz";

/// Starts the function as Lambda does, with the environment variables of Lambda only.
pub fn start(cloud: &FakeAccount, output: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_lockstep-elb-logs"))
        .env_clear()
        .envs([
            ("AWS_LAMBDA_RUNTIME_API", cloud.endpoint().trim_start_matches("http://")),
            ("AWS_LAMBDA_FUNCTION_NAME", "elb-logs"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
            ("AWS_ENDPOINT_URL", &cloud.endpoint()),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("LOCKSTEP_OUTPUT", output),
            ("LOCKSTEP_QUEUE_URL", &cloud.queue_url()),
            ("LOCKSTEP_QUARANTINE_BUCKET", QUARANTINE),
            ("LOCKSTEP_LOG_FORMAT", "detect"),
        ])
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Broker that notifies the test after a given number of further events.
struct Watched {
    broker: Broker,
    tally: Tally,
    left: Arc<AtomicU64>,
    reached: Arc<Notify>,
}

impl Watched {
    fn start(protocol: Protocol, manners: &[BrokerBehavior]) -> Self {
        let (tally, left, reached) =
            (Tally::default(), Arc::new(AtomicU64::new(u64::MAX)), Arc::new(Notify::new()));
        let sink = {
            let (left, reached) = (Arc::clone(&left), Arc::clone(&reached));
            tally.sink(move |_| {
                if left.fetch_sub(1, Ordering::SeqCst) == 1 {
                    reached.notify_one();
                }
            })
        };
        Self { broker: Broker::start(protocol, None, manners.iter().copied(), sink), tally, left, reached }
    }
}

/// Delivers a message and its continuations until all are done, and returns the number of kills. For each of `kills`,
/// kills the function after the broker has taken so many further events. `tamper` may change a continuation.
async fn deliver(
    cloud: &FakeAccount,
    answers: &mut mpsc::UnboundedReceiver<Result<Value, Value>>,
    watched: &Watched,
    kills: &[u64],
    left: Duration,
    tamper: impl Fn(&mut Value),
) -> u32 {
    let (mut queue, mut kills, mut killed) = (VecDeque::from([by_queue(KEY)]), kills.iter(), 0);
    while let Some(payload) = queue.pop_front() {
        let kill_after = kills.next();
        watched.left.store(kill_after.copied().unwrap_or(u64::MAX), Ordering::SeqCst);
        let mut function = start(cloud, &watched.broker.url());
        cloud.offer(payload.clone(), left);
        tokio::select! {
            answer = answers.recv() => match answer.unwrap() {
                Ok(answer) if answer["batchItemFailures"] == json!([]) => {}
                // A failed message becomes visible again.
                Ok(_) => queue.push_back(payload),
                Err(error) => panic!("{error}"),
            },
            () = watched.reached.notified() => {
                killed += 1;
                // The function did not respond, so the queue delivers the message again.
                queue.push_back(payload);
            }
        }
        function.start_kill().unwrap();
        function.wait().await.unwrap();
        // Lambda never received a response that crossed with the kill.
        while answers.try_recv().is_ok() {}
        for mut sent in cloud.take_sent() {
            tamper(&mut sent);
            queue.push_back(message(&sent));
        }
    }
    killed
}

/// Returns numbers from 1 to `most` that are the same in each run.
fn random(seed: u64, most: u64) -> impl Iterator<Item = u64> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        1 + (state >> 33) % most
    })
}

async fn run(protocol: Protocol, seed: u64, manners: &[BrokerBehavior]) -> (Account, u32) {
    let ((cloud, mut answers), text) = (FakeAccount::start().await, log(2000));
    let watched = Watched::start(protocol, manners);
    cloud.put(KEY, gzip(&text));
    let kills: Vec<u64> = random(seed, 1500).take(4).collect();
    let killed = deliver(&cloud, &mut answers, &watched, &kills, Duration::from_secs(60), |_| ()).await;
    (watched.tally.expect_all(&cloud, &text, &format!("{protocol:?} seed {seed}")), killed)
}

#[tokio::test]
async fn function_killed_at_any_point_loses_no_line() {
    for protocol in PROTOCOLS {
        let (mut killed, mut duplicates) = (0, 0);
        for seed in 1..=2 {
            let (account, kills) = run(protocol, seed, &[]).await;
            killed += kills;
            duplicates += account.duplicates;
        }
        assert!(killed >= 3, "{protocol:?}: the function was killed {killed} times only");
        // The broker takes the events before a kill a second time.
        assert!(duplicates > 0, "{protocol:?}");
        println!("{protocol:?}: killed {killed} times, {duplicates} events came again, none was lost");
    }
}

#[tokio::test]
async fn function_killed_with_a_faulty_broker_loses_no_line() {
    let manners = [
        BrokerBehavior::AcknowledgesPartly,
        BrokerBehavior::ClosesAfter(90_000),
        BrokerBehavior::ResetsAfter(40_000),
        BrokerBehavior::KeepsAlive(9),
    ];
    run(Protocol::Beats, 3, &manners).await;
}

#[tokio::test]
async fn account_finds_a_checkpoint_ahead_of_the_acknowledgements() {
    let ((cloud, mut answers), text) = (FakeAccount::start().await, log(4000));
    // The broker stalls in the middle, so that lines are left for a continuation.
    let watched = Watched::start(Protocol::Beats, &[BrokerBehavior::StallsAfter(250_000); 30]);
    cloud.put(KEY, gzip(&text));
    let handed_on = Mutex::new(0);
    let ahead = |sent: &mut Value| {
        *handed_on.lock().unwrap() += 1;
        let acknowledged = sent["lockstep"]["objects"][0]["acknowledged"].as_u64().unwrap();
        sent["lockstep"]["objects"][0]["acknowledged"] = json!(acknowledged + 100);
    };
    deliver(&cloud, &mut answers, &watched, &[], Duration::from_secs(3), ahead).await;
    assert!(*handed_on.lock().unwrap() > 0, "no continuation was sent");
    let account = watched.tally.account(&cloud);
    let lines = text.iter().filter(|byte| **byte == b'\n').count() as u64;
    assert!(
        account.taken + account.quarantined < lines,
        "the account does not show that a hundred lines were skipped"
    );
}
