//! Ships many lines through the real binary. `LOCKSTEP_SOAK_LINES` sets the number. `docs/elb-logs.md` has the command for
//! ten million.

use crate::account::{FakeAccount, by_queue, message};
use crate::killed::start;
use crate::tally::Tally;
use lockstep_access_log::Format;
use lockstep_access_log::synthetic::{Synthetic, gzip};
use lockstep_domain::logs::shipping::Protocol;
use lockstep_sim::broker::{Broker, BrokerBehavior};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Lines of an object. A busy load balancer writes about as many in five minutes.
const LINES_OF_AN_OBJECT: u64 = 100_000;

/// Maximum number of failed invocations for one object.
const FAILURES_MAX: u32 = 20;

const LINES: &str = "LOCKSTEP_SOAK_LINES";

#[expect(clippy::disallowed_methods, reason = "the size of a test is no setting of the product")]
fn lines() -> u64 {
    std::env::var(LINES).ok().map_or(10_000, |text| text.parse().expect("LOCKSTEP_SOAK_LINES is a number"))
}

#[tokio::test]
async fn a_soak_accounts_for_every_line() {
    let (began, total) = (Instant::now(), lines());
    let (mut done, mut sums) = (0, [0u64; 3]);
    for number in 0.. {
        if done == total {
            break;
        }
        let count = LINES_OF_AN_OBJECT.min(total - done);
        let account = soak(number, count).await;
        done += count;
        for (sum, more) in sums.iter_mut().zip(account) {
            *sum += more;
        }
    }
    let [taken, quarantined, duplicates] = sums;
    assert_eq!(taken + quarantined, total);
    println!(
        "{total} lines: {taken} acknowledged, {quarantined} in quarantine, 0 lost; {duplicates} came again; {:.0} s",
        began.elapsed().as_secs_f64()
    );
}

/// Ships one new object with a broker that breaks connections and a function that often runs out of time.
async fn soak(number: u64, count: u64) -> [u64; 3] {
    let ((cloud, mut answers), tally) = (FakeAccount::start().await, Tally::default());
    let key = format!("AWSLogs/1/elasticloadbalancing/eu-west-1/{number}.log.gz");
    let text = Synthetic::new(Format::Alb, number).odd(10).lines(count).0;
    cloud.put(&key, gzip(&text));
    let manners = [
        BrokerBehavior::ClosesAfter(3_000_000),
        BrokerBehavior::AcknowledgesPartly,
        BrokerBehavior::ResetsAfter(2_000_000),
    ];
    let broker = Broker::start(Protocol::Beats, None, manners, tally.sink(|_| ()));
    let mut function = start(&cloud, &broker.url());
    let mut queue = VecDeque::from([by_queue(&key)]);
    let mut failed = 0;
    while let Some(payload) = queue.pop_front() {
        cloud.offer(payload.clone(), Duration::from_secs(20));
        let answer: Value = answers.recv().await.unwrap().unwrap();
        // An invocation may fail on a busy machine. The queue delivers its message again.
        if answer["batchItemFailures"] != json!([]) {
            failed += 1;
            assert!(failed < FAILURES_MAX, "{key} makes no progress");
            queue.push_back(payload);
        }
        queue.extend(cloud.take_sent().iter().map(message));
    }
    function.start_kill().unwrap();
    function.wait().await.unwrap();
    let account = tally.expect_all(&cloud, &text, &key);
    [account.taken, account.quarantined, account.duplicates]
}
