//! A harness for tests that share a cloud and start from the state that earlier ones left.
//!
//! The threads of the suites check their promises in the declared order, side by side. The trials of `libtest-mimic` only
//! wait for the verdicts. A promise that a filter selects brings those that it needs, even if the filter leaves them out.

use crate::test_cloud::TestCloud;
use libtest_mimic::{Arguments, Failed, Trial};
use lockstep_cli::failure::Failure;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::mpsc::{Sender, channel};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// Stack of a suite's thread. A debug build keeps the futures of whole commands on it.
const STACK_BYTES: usize = 32 << 20;

/// Future of a check.
pub type Check<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + 'a>>;

/// A test.
pub struct Promise {
    /// Name of the function that checks it.
    pub name: &'static str,
    /// Names of the promises whose state it starts from. They are declared before it.
    pub needs: &'static [&'static str],
    /// The function.
    pub check: for<'a> fn(&'a mut TestCloud) -> Check<'a>,
}

/// The tests of one cloud, in the order in which they run.
pub struct Suite {
    /// Name of the cloud.
    pub name: &'static str,
    /// The tests.
    pub promises: &'static [Promise],
}

/// Result of a check: the reason of a failure for people.
type Verdict = Result<(), String>;

/// Checks the selected promises of all suites and reports them as the standard harness does.
pub fn run(arguments: Arguments, suites: &[Suite]) -> ExitCode {
    // One thread prints the verdicts in the declared order.
    let arguments = Arguments { test_threads: Some(1), ..arguments };
    let mut trials = Vec::new();
    let mut runs = Vec::new();
    for suite in suites {
        let mut selected = BTreeMap::new();
        for promise in suite.promises {
            let (sender, verdict) = channel();
            let interrupted = |_| Err("not checked: the run was interrupted".to_owned());
            let trial = Trial::test(promise.name, move || {
                verdict.recv().unwrap_or_else(interrupted).map_err(Failed::from)
            });
            if !arguments.list && !arguments.is_filtered_out(&trial) && !arguments.is_ignored(&trial) {
                selected.insert(promise.name, sender);
            }
            trials.push(trial);
        }
        if !selected.is_empty() {
            runs.push(Run::start(suite, selected));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    let mut code = conclusion.exit_code();
    for run in runs {
        match run.join() {
            Ok(Ok(durations)) => print(&durations),
            Ok(Err(failure)) => {
                eprintln!("{failure}");
                code = ExitCode::FAILURE;
            }
            Err(_) => code = ExitCode::FAILURE,
        }
    }
    code
}

fn print(durations: &[(&str, Duration)]) {
    for (name, duration) in durations {
        println!("{:6.1} s  {name}", duration.as_secs_f64());
    }
}

/// A run of the selected promises of one suite.
struct Run {
    planned: Vec<&'static Promise>,
    selected: BTreeMap<&'static str, Sender<Verdict>>,
    /// Sentences about the promises that failed first, by the promises that cannot hold for that reason.
    causes: BTreeMap<&'static str, String>,
    durations: Vec<(&'static str, Duration)>,
}

/// Durations of the checks, or the reason why the cloud could not be stopped.
type Ended = Result<Vec<(&'static str, Duration)>, Failure>;

impl Run {
    /// Starts the thread of a suite.
    fn start(suite: &Suite, selected: BTreeMap<&'static str, Sender<Verdict>>) -> JoinHandle<Ended> {
        let run = Self {
            planned: planned(suite.promises, selected.keys().copied().collect()),
            selected,
            causes: BTreeMap::new(),
            durations: Vec::new(),
        };
        let (name, thread) = (suite.name, std::thread::Builder::new().stack_size(STACK_BYTES));
        let running = thread.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime");
            let ended = runtime.block_on(run.until_interrupted(name));
            // An interrupted run may leave a thread that waits for a lock.
            runtime.shutdown_background();
            ended
        });
        running.expect("a thread")
    }

    /// Checks the planned promises, and stops the cloud on every outcome, an interruption included.
    async fn until_interrupted(mut self, name: &str) -> Ended {
        let mut cloud = None;
        tokio::select! {
            () = self.check_all(name, &mut cloud) => (),
            () = interrupted() => (),
        }
        if let Some(cloud) = cloud {
            cloud.stop().await?;
        }
        Ok(self.durations)
    }

    async fn check_all(&mut self, name: &str, cloud: &mut Option<TestCloud>) {
        let cloud = match TestCloud::prepare(name).await {
            Ok(prepared) => cloud.insert(prepared),
            Err(failure) => {
                let reason = format!("the cloud cannot be prepared: {failure}");
                self.selected.values().for_each(|trial| drop(trial.send(Err(reason.clone()))));
                return;
            }
        };
        for promise in std::mem::take(&mut self.planned) {
            let verdict = self.check(promise, cloud).await;
            if let Some(trial) = self.selected.get(promise.name) {
                // The receiver lives as long as its trial.
                let _ = trial.send(verdict);
            } else if let Err(reason) = verdict {
                eprintln!("{}: {reason}", promise.name);
            }
        }
    }

    async fn check(&mut self, promise: &Promise, cloud: &mut TestCloud) -> Verdict {
        if let Some(cause) = promise.needs.iter().find_map(|need| self.causes.get(need)).cloned() {
            self.causes.insert(promise.name, cause.clone());
            return Err(cause);
        }
        let began = Instant::now();
        cloud.begin(promise.name).await;
        let outcome = without_panic((promise.check)(cloud)).await;
        self.durations.push((promise.name, began.elapsed()));
        let Err(failure) = outcome else { return Ok(()) };
        self.causes.insert(promise.name, format!("because {} failed: {failure}", promise.name));
        let reason = format!("{failure}\n\nits output:\n{}", cloud.output_of_promise());
        cloud.clean_up().await;
        Err(reason)
    }
}

/// Returns the promises of these names and those that they need, in the declared order.
fn planned(promises: &'static [Promise], mut names: BTreeSet<&'static str>) -> Vec<&'static Promise> {
    let mut planned: Vec<&Promise> = Vec::new();
    // Backwards, since a promise needs only promises that are declared before it.
    for promise in promises.iter().rev() {
        if names.remove(promise.name) {
            names.extend(promise.needs);
            planned.push(promise);
        }
    }
    assert!(names.is_empty(), "no promise is declared early enough for those that need it: {names:?}");
    planned.reverse();
    planned
}

/// Completes on SIGINT or SIGTERM.
async fn interrupted() {
    let mut interrupt = signal(SignalKind::interrupt()).expect("a handler of SIGINT");
    let mut terminate = signal(SignalKind::terminate()).expect("a handler of SIGTERM");
    tokio::select! {
        _ = interrupt.recv() => (),
        _ = terminate.recv() => (),
    }
}

/// Turns a panic of a check into its failure, so that the other promises are checked.
async fn without_panic(mut check: Check<'_>) -> Result<(), Failure> {
    std::future::poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| check.as_mut().poll(context)));
        polled.unwrap_or_else(|_| {
            Poll::Ready(Err(Failure::new("the check panicked; standard error has the message")))
        })
    })
    .await
}
