//! Promotes many images to many regions in virtual time, and compares the duration and the number of calls with AWS's
//! limits. The handlers are the real ones. This module runs the states between them as the state machine does.

use super::fixture::{COPY_ACCOUNT, Fixture, SOURCE_ACCOUNT, location};
use super::{Reply, Request, handle};
use jiff::{SignedDuration, Timestamp, ToSpan};
use lockstep_domain::images::copy_slots::COPIES_AT_ONCE;
use lockstep_domain::messages::Task;
use lockstep_domain::messages::image::NextStep;
use lockstep_domain::messages::inputs::PromoteImage;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::ids::{DeploymentId, ImageName};
use lockstep_domain::records::Image;
use lockstep_sim::stages::{stage_text, text_of};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

/// Number of images if `LOCKSTEP_FLEET` is not set.
const IMAGES: usize = 24;
const REGIONS: [&str; 5] = ["eu-west-1", "eu-central-1", "us-east-1", "us-west-2", "ap-southeast-2"];

/// Limit of AWS, as SimEc2 implements it.
const AWS_AT_ONCE: u64 = 20;

/// Duration of a step, in milliseconds.
const STEP_MS: i64 = 150;

/// Capacity and refill per second of AWS's token buckets, in each account and region.
/// <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>
const BUCKETS: [(&str, f64, f64); 5] = [
    ("CopyImage", 100.0, 1.0),
    ("DescribeImages", 100.0, 20.0),
    ("DescribeSnapshots", 100.0, 20.0),
    ("ModifyImageAttribute", 100.0, 5.0),
    ("ModifySnapshotAttribute", 100.0, 5.0),
];

/// States of promote-image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Inspect,
    WaitToBegin,
    Share,
    Copy,
    Observe,
    Compare,
    Unshare,
    Record,
}

struct Run {
    execution: String,
    input: PromoteImage,
    region: usize,
    copy_seconds: u64,
    state: State,
    /// Number of states entered, choice states included.
    transitions: u32,
    waits_for: Option<String>,
    /// Number of waits, which identifies the timeout of an old wait.
    waits: u32,
}

/// Token bucket of one API in one account and region.
struct Bucket {
    tokens: f64,
    at: Timestamp,
}

struct Fleet {
    fixture: Fixture,
    runs: Vec<Run>,
    /// Events to come: the time, the run, and for a timeout its wait.
    agenda: BinaryHeap<Reverse<(Timestamp, usize, Option<u32>)>>,
    waiting: BTreeMap<String, usize>,
    woken: usize,
    buckets: BTreeMap<(&'static str, String), Bucket>,
    calls: BTreeMap<&'static str, u64>,
    throttled: u64,
    done: usize,
}

#[expect(
    clippy::disallowed_methods,
    reason = "it says how large a test is, and is no setting of the product"
)]
fn images() -> usize {
    std::env::var("LOCKSTEP_FLEET").map_or(IMAGES, |n| n.parse().unwrap())
}

fn stages() -> String {
    let further =
        REGIONS.iter().map(|region| stage_text(&format!("in-{region}"), COPY_ACCOUNT).in_region(region));
    super::fixture::stages_text() + &text_of(further)
}

impl Fleet {
    async fn new() -> Self {
        let fixture = Fixture::new();
        fixture.apply_stages(2, &stages());
        let start = fixture.clock.now();
        let mut fleet = Self {
            fixture,
            runs: Vec::new(),
            agenda: BinaryHeap::new(),
            waiting: BTreeMap::new(),
            woken: 0,
            buckets: BTreeMap::new(),
            calls: BTreeMap::new(),
            throttled: 0,
            done: 0,
        };
        for n in 0..images() {
            let image: ImageName = format!("image-{n}").parse().unwrap();
            fleet.fixture.claim(image.as_str());
            let ami = fleet.fixture.ec2.register(&location(SOURCE_ACCOUNT));
            let (version, stage) = ("1.0.0".parse().unwrap(), "ci".parse().unwrap());
            handle(&*fleet.fixture, Request::Import { ami, name: image.clone(), version, stage })
                .await
                .unwrap();
            for (region, name) in REGIONS.iter().enumerate() {
                let input = PromoteImage {
                    image: image.clone(),
                    version: "1.0.0".parse().unwrap(),
                    to: format!("in-{name}").parse().unwrap(),
                };
                let run = fleet.runs.len();
                fleet.runs.push(Run {
                    execution: format!("arn:aws:states:eu-west-1:999999999999:execution:x:{run}"),
                    input,
                    region,
                    // Three to nine minutes.
                    copy_seconds: 180 + (n as u64 * 37 + region as u64 * 101) % 361,
                    state: State::Inspect,
                    transitions: 0,
                    waits_for: None,
                    waits: 0,
                });
                fleet.agenda.push(Reverse((start, run, None)));
            }
        }
        fleet.fixture.ec2.take_calls();
        fleet
    }

    /// Runs until all promotions are done.
    async fn run(&mut self) {
        while self.done < self.runs.len() {
            let next = self.agenda.peek().map(|Reverse((at, _, _))| *at);
            let moment = self.fixture.ec2.next_moment();
            let by_itself = moment.filter(|moment| next.is_none_or(|next| *moment <= next));
            if let Some(moment) = by_itself {
                self.fixture.clock.advance_to(moment);
                self.tell_of_ended_copies();
                continue;
            }
            let Reverse((at, run, timeout)) = self.agenda.pop().expect("an event is scheduled");
            self.fixture.clock.advance_to(at);
            match timeout {
                None => self.step(run).await,
                Some(wait) if self.runs[run].waits == wait && self.runs[run].waits_for.is_some() => {
                    self.resume(run)
                }
                Some(_) => {}
            }
        }
    }

    fn tell_of_ended_copies(&mut self) {
        for event in self.fixture.ec2.take_events() {
            let arn = event["resources"][0].as_str().unwrap().to_owned();
            if let Some(run) = self.waiting.get(&arn).copied() {
                self.resume(run);
            }
        }
    }

    /// Completes the task token of the waiting state.
    fn resume(&mut self, run: usize) {
        let Some(key) = self.runs[run].waits_for.take() else { return };
        self.waiting.remove(&key);
        self.runs[run].state = match self.runs[run].state {
            State::WaitToBegin => State::Inspect,
            _ => State::Observe,
        };
        self.soon(run);
    }

    fn soon(&mut self, run: usize) {
        let then = self.fixture.clock.now().checked_add(SignedDuration::from_millis(STEP_MS)).unwrap();
        self.agenda.push(Reverse((then, run, None)));
    }

    async fn step(&mut self, run: usize) {
        let (state, execution) = (self.runs[run].state, self.runs[run].execution.clone());
        let promotion = DeploymentId::of_execution(&execution);
        let task = Task {
            token: execution.clone(),
            execution: execution.clone(),
            entered_at: self.fixture.clock.now(),
            retry: 0,
        };
        let request = match state {
            State::Inspect => Request::Inspect { execution, input: self.runs[run].input.clone() },
            State::WaitToBegin => Request::Wait { promotion, task },
            State::Share => Request::Share { promotion },
            State::Copy => Request::Copy { promotion, task },
            State::Observe => Request::Observe { promotion },
            State::Compare => Request::Compare { promotion },
            State::Unshare => Request::Unshare { promotion },
            State::Record => Request::Record { promotion },
        };
        self.fixture.ec2.set_pace(Duration::from_secs(self.runs[run].copy_seconds));
        let answer = handle(&*self.fixture, request).await.unwrap();
        self.count(run, state);
        self.runs[run].transitions += 1;
        let next = match answer {
            Reply::Inspected(inspected) => Some(inspected.next),
            Reply::Next(next) => Some(next.next),
            _ => None,
        };
        // A choice state reads the reply.
        self.runs[run].transitions += u32::from(next.is_some());
        let following = match (state, next) {
            (State::Inspect, Some(NextStep::Copy)) => State::Share,
            (State::Inspect, Some(NextStep::Wait)) => State::WaitToBegin,
            (State::Share, None) | (State::Observe, Some(NextStep::Wait)) => State::Copy,
            (State::Observe, Some(NextStep::Compare)) => State::Compare,
            (State::Compare, None) => State::Unshare,
            (State::Unshare, None) => State::Record,
            (State::WaitToBegin | State::Copy, None) => return self.wait(run),
            (State::Record, None) => {
                // `Done` is a state.
                self.runs[run].transitions += 1;
                self.done += 1;
                return self.wake();
            }
            other => panic!("{other:?}"),
        };
        self.runs[run].state = following;
        self.soon(run);
        self.wake();
    }

    /// Makes the run wait for its last callback, for 15 minutes at most.
    fn wait(&mut self, run: usize) {
        let key = self.fixture.account.registered().last().cloned().unwrap();
        self.waiting.insert(key.clone(), run);
        self.runs[run].waits_for = Some(key);
        self.runs[run].waits += 1;
        let timeout = self.fixture.clock.now().checked_add(900.seconds()).unwrap();
        self.agenda.push(Reverse((timeout, run, Some(self.runs[run].waits))));
        self.wake();
    }

    fn wake(&mut self) {
        let woken: Vec<String> = self.fixture.account.woken()[self.woken..].to_vec();
        self.woken += woken.len();
        for key in woken {
            if let Some(run) = self.waiting.get(&key).copied() {
                self.resume(run);
            }
        }
    }

    /// Charges the calls of a step to the buckets of the account and region in which they were made.
    fn count(&mut self, run: usize, state: State) {
        let target = format!("{COPY_ACCOUNT} {}", REGIONS[self.runs[run].region]);
        let source = format!("{SOURCE_ACCOUNT} eu-west-1");
        let mut looks = 0;
        for call in self.fixture.ec2.take_calls() {
            let place = match call {
                "CopyImage" => &target,
                "DescribeImages" => {
                    looks += 1;
                    // These states read the source first.
                    let both = [State::Inspect, State::Compare].contains(&state);
                    if both && looks == 1 { &source } else { &target }
                }
                _ => &source,
            };
            self.charge(call, place.clone());
        }
    }

    fn charge(&mut self, call: &'static str, place: String) {
        *self.calls.entry(call).or_default() += 1;
        let now = self.fixture.clock.now();
        let (_, burst, rate) =
            *BUCKETS.iter().find(|(name, _, _)| *name == call).unwrap_or_else(|| panic!("{call}"));
        let bucket = self.buckets.entry((call, place)).or_insert(Bucket { tokens: burst, at: now });
        let passed = now.duration_since(bucket.at).as_millis() as f64 / 1000.0;
        bucket.tokens = (bucket.tokens + passed * rate).min(burst) - 1.0;
        bucket.at = now;
        self.throttled += u64::from(bucket.tokens < 0.0);
    }

    /// Returns the least duration, in seconds, for so many copies at a time, in the region with the most work.
    fn bound(&self, at_once: u64) -> u64 {
        let of = |region: usize| {
            let seconds: u64 =
                self.runs.iter().filter(|run| run.region == region).map(|run| run.copy_seconds).sum();
            seconds.div_ceil(at_once)
        };
        (0..REGIONS.len()).map(of).max().unwrap()
    }
}

/// Row 45 of the failure modes. `LOCKSTEP_FLEET=200` runs it at full size.
#[tokio::test]
async fn many_images_reach_five_regions_within_the_limits_without_a_throttle() {
    let mut fleet = Fleet::new().await;
    let start = fleet.fixture.clock.now();
    fleet.run().await;
    let took = u64::try_from(fleet.fixture.clock.now().duration_since(start).as_secs()).unwrap();
    let (ours, aws) = (fleet.bound(COPIES_AT_ONCE.into()), fleet.bound(AWS_AT_ONCE));
    let copies = fleet.runs.len() as u64;
    println!("{} images to {} regions: {copies} copies of three to nine minutes", images(), REGIONS.len());
    println!(
        "  makespan {took} s; the least at {COPIES_AT_ONCE} copies at once {ours} s, at AWS's {AWS_AT_ONCE} {aws} s"
    );
    println!("  throttled calls: {}", fleet.throttled);
    for (call, times) in &fleet.calls {
        println!("  {call}: {:.2} for each copy", *times as f64 / copies as f64);
    }
    let transitions: u32 = fleet.runs.iter().map(|run| run.transitions).sum();
    let fewest = fleet.runs.iter().map(|run| run.transitions).min().unwrap();
    println!(
        "  states entered: {:.1} for each copy, {fewest} for one that need not wait",
        f64::from(transitions) / copies as f64
    );
    assert_eq!(fleet.throttled, 0);
    assert_eq!(fleet.calls["CopyImage"], copies, "nothing is copied twice");
    assert!(fleet.fixture.nothing_is_shared());
    // The longest copy may begin last.
    assert!(took < ours + 9 * 60, "{took} s, where {ours} s would do");
    let tokens: BTreeSet<String> =
        fleet.fixture.ec2.effects().into_iter().filter(|e| e.call == "CopyImage").map(|e| e.token).collect();
    assert_eq!(tokens.len() as u64, copies);
    for run in &fleet.runs {
        let mut place = location(COPY_ACCOUNT);
        place.region = REGIONS[run.region].parse().unwrap();
        let key = Image::key_of(&run.input.image, &run.input.version, &place, DeploymentPath::Promotion);
        assert!(fleet.fixture.account.find::<Image>(&key).unwrap().is_usable());
    }
}
