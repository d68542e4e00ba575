//! Cases: a scenario, a few faults, and perhaps a planted mistake. Runs all cases on every core.

use crate::bakes::invariants::BakeRemains;
use crate::bugs::Bug;
use crate::harness::Harness;
use crate::images::invariants::ImageRemains;
use crate::pushes::invariants::PushRemains;
use crate::pushes::scenarios::follow;
use crate::scenarios::{Scenario, scenario, scenarios};
use crate::stacks::invariants::{Remains, steps_are_bounded};
use crate::workflows::{Work, execute, word};
use jiff::SignedDuration;
use lockstep_sim::faults::{Crossing, Fault, Kind, Site};
use lockstep_tests::asl::{End, Run};
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, Scope, ScopedJoinHandle};
use std::time::Instant;

/// A scenario and its faults.
#[derive(Clone, Debug)]
pub struct Case {
    /// The name of the scenario.
    pub scenario: &'static str,
    pub faults: Vec<Fault>,
    /// The planted mistake.
    pub bug: Option<Bug>,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: Vec<String> = self.faults.iter().map(ToString::to_string).collect();
        write!(f, "{}:{}", self.scenario, faults.join(","))
    }
}

impl Case {
    /// Parses a line such as `update:17=lost,23=crash`.
    pub fn parse(line: &str) -> Result<Self, String> {
        let (name, faults) = line.split_once(':').unwrap_or((line, ""));
        let scenario = scenario(name).ok_or_else(|| format!("there is no scenario '{name}'"))?.name;
        let faults = faults.split(',').filter(|fault| !fault.is_empty()).map(str::parse);
        Ok(Self { scenario, faults: faults.collect::<Result<_, _>>()?, bug: None })
    }
}

/// The result of a case.
#[derive(Debug)]
pub struct Verdict {
    /// Each broken invariant, as a sentence.
    pub broken: Vec<String>,
    /// The boundaries that the run crossed.
    pub crossed: Vec<Crossing>,
    pub run: Run,
    /// The duration in virtual time.
    pub took: SignedDuration,
    /// The state after the case, see [`Left::in_short`].
    pub remains: String,
}

/// The run of a scenario without faults.
#[derive(Clone, Debug)]
pub struct Calm {
    /// The end of the run.
    pub word: String,
    /// The duration in virtual time.
    pub took: SignedDuration,
    /// The boundaries that the run crosses.
    pub crossed: Vec<Crossing>,
    /// The state after the run, see [`Left::in_short`].
    pub remains: String,
}

/// The harnesses that a thread has prepared, by scenario.
#[derive(Default)]
pub struct Grounds(BTreeMap<&'static str, (Scenario, Harness, Calm)>);

impl Grounds {
    /// Returns the prepared harness of a scenario.
    pub async fn get(&mut self, name: &'static str) -> &(Scenario, Harness, Calm) {
        if !self.0.contains_key(name) {
            let scenario = scenario(name).expect("a scenario");
            let ground = scenario.prepare().await;
            let case = Case { scenario: name, faults: Vec::new(), bug: None };
            let nothing = Calm {
                word: scenario.ends.into(),
                took: SignedDuration::MAX,
                crossed: Vec::new(),
                remains: String::new(),
            };
            let verdict = judge(&case, &scenario, &ground, &nothing).await;
            assert!(verdict.broken.is_empty(), "{case} without a fault: {:#?}", verdict.broken);
            let calm = Calm {
                word: word(&verdict.run).to_owned(),
                took: verdict.took,
                crossed: verdict.crossed,
                remains: verdict.remains,
            };
            self.0.insert(name, (scenario, ground, calm));
        }
        &self.0[name]
    }
}

/// The state after a case, with the invariants that apply to it.
enum Left<'a> {
    Stacks(Box<Remains<'a>>, Box<ImageRemains<'a>>),
    Images(Box<ImageRemains<'a>>),
    Bakes(Box<BakeRemains<'a>>),
    Pushes(Box<PushRemains<'a>>),
}

impl<'a> Left<'a> {
    async fn of(harness: &'a Harness, scenario: &'a Scenario) -> Self {
        match scenario.work {
            Work::Deploy | Work::Teardown => Self::Stacks(
                Box::new(Remains::of(harness, scenario).await),
                Box::new(ImageRemains::of(harness, scenario).await),
            ),
            Work::PromoteImage => Self::Images(Box::new(ImageRemains::of(harness, scenario).await)),
            Work::BakeImage | Work::BuildImage => {
                Self::Bakes(Box::new(BakeRemains::of(harness, scenario).await))
            }
            Work::Release => Self::Pushes(Box::new(PushRemains::of(harness, scenario).await)),
        }
    }

    /// Returns each invariant that is broken after the last run, as a sentence.
    fn broken(&self, last: &Run) -> Vec<String> {
        match self {
            Self::Stacks(remains, images) => {
                [remains.success_is_true(last), remains.broken(), images.broken()].concat()
            }
            Self::Images(remains) => [remains.success_is_true(last), remains.broken()].concat(),
            Self::Bakes(remains) => [remains.success_is_true(last), remains.broken()].concat(),
            Self::Pushes(remains) => [remains.success_is_true(last), remains.broken()].concat(),
        }
    }

    /// Returns the state that decides about the next run: two harnesses with equal states behave alike.
    fn in_short(&self) -> String {
        match self {
            Self::Stacks(remains, images) => format!("{} {}", remains.in_short(), images.in_short()),
            Self::Images(remains) => remains.in_short(),
            Self::Bakes(remains) => remains.in_short(),
            Self::Pushes(remains) => remains.in_short(),
        }
    }
}

/// Runs a case and judges it.
pub async fn judge(case: &Case, scenario: &Scenario, ground: &Harness, calm: &Calm) -> Verdict {
    let harness = scenario.case(ground, &case.faults, case.bug);
    let began = harness.clock.now();
    let input = scenario.input();
    let run = execute(&harness, "case", &input).await;
    let took = harness.clock.now().duration_since(began);
    let crossed = harness.faults.crossed();
    harness.faults.suspend(true);
    let mut broken = expected(&harness, &run, took, calm);
    broken.extend(steps_are_bounded(&run));
    let successor = harness.successor.borrow().clone();
    let last = match &successor {
        Some(execution) => {
            let name = execution.rsplit(':').next().unwrap_or_default().to_owned();
            execute(&harness, &name, &input).await
        }
        None => run.clone(),
    };
    follow(&harness).await;
    let remains = Left::of(&harness, scenario).await;
    broken.extend(remains.broken(&last));
    let left = remains.in_short();
    // A state equal to the one without faults leads to the same next run, which is already checked.
    if broken.is_empty() && left != calm.remains {
        broken.extend(converges(&harness, scenario, &last).await);
    }
    Verdict { broken, crossed, run, took, remains: left }
}

/// Checks that the run absorbed faults of this kind and number: the end is the same, and not much later.
fn expected(harness: &Harness, run: &Run, took: SignedDuration, calm: &Calm) -> Vec<String> {
    let struck = harness.faults.struck();
    if struck.iter().any(|fault| fault.kind == Kind::Superseded) {
        return Vec::new();
    }
    let mut broken = Vec::new();
    // A failed operation that is found in another order may need an operator.
    let alike = calm.word == "StackFailed" && word(run) == "StackNeedsHuman";
    if word(run) != calm.word && !alike {
        let cause = match &run.end {
            End::Failed(error) => error.cause.as_str(),
            _ => "",
        };
        broken.push(format!("10: ended {} instead of {}: {cause}", word(run), calm.word));
    }
    let crossed = harness.faults.crossed();
    let allowance: i64 = struck
        .iter()
        .map(|fault| match (crossed[fault.at].site, fault.kind) {
            // No event reported the end, so the state times out and looks.
            (Site::Event, Kind::Before) => 1420,
            _ => 400,
        })
        .sum();
    let limit = calm.took.saturating_add(SignedDuration::from_secs(allowance));
    if took > limit {
        broken.push(format!("10: took {took:#}, more than {limit:#}"));
    }
    broken
}

/// Invariants 10 and 11: once faults stop, the next deployment reaches the expected end. A further deployment then
/// changes nothing.
async fn converges(harness: &Harness, scenario: &Scenario, last: &Run) -> Vec<String> {
    harness.cloud.end_trouble();
    harness.ec2.end_trouble();
    harness.codebuild.end_trouble();
    harness.let_pass(std::time::Duration::from_secs(600)).await;
    let mut done = matches!(last.end, End::Succeeded(_));
    let mut broken = Vec::new();
    for name in ["again", "once-more"] {
        let effects = harness.effects().len();
        harness.ec2.take_calls();
        harness.answers.replace(scenario.answers.to_vec());
        let run = execute(harness, name, &scenario.input()).await;
        let succeeded = matches!(run.end, End::Succeeded(_));
        // A second teardown finds no stack.
        let expected = if done && scenario.is_teardown() { "NotFound" } else { scenario.again };
        if word(&run) != expected {
            return vec![format!("10: again, it ended {:?}, not {expected}", run.end)];
        }
        follow(harness).await;
        broken.extend(Left::of(harness, scenario).await.broken(&run));
        let mut touched = harness.effects().split_off(effects);
        touched.extend(harness.ec2.take_calls().into_iter().filter(|call| is_mutating(call)));
        // A run looks for drift with a change set, and deletes the change set if it is empty.
        let looks = ["CreateChangeSet", "DeleteChangeSet"];
        touched.retain(|call| !(scenario.revert_drift && looks.contains(call)));
        if done && !touched.is_empty() {
            broken.push(format!("11: doing again what is done made the calls {}", touched.join(", ")));
        }
        if done || !succeeded || !broken.is_empty() {
            return broken;
        }
        done = true;
    }
    broken
}

/// Returns true if a call can change state.
fn is_mutating(call: &str) -> bool {
    !["Describe", "Get", "List"].iter().any(|reading| call.starts_with(reading))
}

/// Returns every single fault of a run that crossed these boundaries.
pub fn singles(crossed: &[Crossing]) -> Vec<Fault> {
    let all = crossed.iter().enumerate();
    all.flat_map(|(at, crossing)| crossing.site.kinds().iter().map(move |kind| Fault { at, kind: *kind }))
        .collect()
}

/// Returns `count` pairs of faults of a scenario, drawn from `singles` by a seed.
pub fn pairs(scenario: &'static str, singles: &[Fault], count: usize, seed: u64) -> Vec<Case> {
    // Each scenario has a series of its own.
    let mut state =
        scenario.bytes().fold(seed, |state, byte| state.wrapping_mul(31).wrapping_add(byte.into()));
    let mut draw = || {
        // SplitMix64.
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        singles[usize::try_from((mixed ^ (mixed >> 27)) % singles.len() as u64).unwrap_or_default()]
    };
    let mut drawn = Vec::new();
    while drawn.len() < count {
        let mut faults = vec![draw(), draw()];
        faults.sort();
        // The second number may lie beyond the end of the run that the first one shortens. Then the second fault never
        // strikes.
        if faults[0].at != faults[1].at {
            drawn.push(Case { scenario, faults, bug: None });
        }
    }
    drawn
}

/// Returns the report of a failed case, with the command that replays exactly this case.
pub fn failure_report(case: &Case, verdict: &[String], crossed: &[Crossing]) -> String {
    let where_ = case.faults.iter().map(|fault| match crossed.get(fault.at) {
        Some(crossing) => format!("{} at `{}`", fault.kind, crossing.name),
        None => fault.to_string(),
    });
    format!(
        "{case} ({})\n    {}\n    LOCKSTEP_FAULTS_CASE='{case}' cargo test --test faults one_case -- --nocapture",
        where_.collect::<Vec<_>>().join(", then "),
        verdict.join("\n    ")
    )
}

/// Runs `work` in a runtime of its own.
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(work)
}

/// The stack size of a thread that runs cases. A machine, its functions, and a successor within them are all
/// unoptimised futures.
const STACK_BYTES: usize = 64 * 1024 * 1024;

/// Starts `work` in a thread with a stack of this size.
pub fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> ScopedJoinHandle<'scope, T> {
    Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work).expect("a thread")
}

/// Runs `work` in a thread with a stack of this size.
pub fn with_room<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| spawn(scope, work).join().unwrap_or_else(|panic| resume_unwind(panic)))
}

/// The results of many cases.
#[derive(Debug, Default)]
pub struct Tally {
    /// Number of cases.
    pub count: usize,
    /// The reports of the failed cases.
    pub failures: Vec<String>,
}

/// Runs the cases that `choose` returns for each scenario, scenario after scenario on every core.
pub fn run_all(choose: impl Fn(&Scenario, &Calm) -> Vec<Case> + Sync) -> Tally {
    let only = crate::setting(crate::ONLY).unwrap_or_default();
    let names: Vec<Scenario> = scenarios().into_iter().filter(|it| it.name.starts_with(&only)).collect();
    let next = AtomicUsize::new(0);
    let tally = Mutex::new(Tally::default());
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            spawn(scope, || {
                while let Some(scenario) = names.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let found = run_scenario(scenario, &choose);
                    let mut tally = tally.lock().expect("no thread panics there");
                    tally.count += found.count;
                    tally.failures.extend(found.failures);
                }
            });
        }
    });
    tally.into_inner().expect("no thread panics there")
}

fn run_scenario(scenario: &Scenario, choose: &impl Fn(&Scenario, &Calm) -> Vec<Case>) -> Tally {
    let mut grounds = Grounds::default();
    let mut tally = Tally::default();
    let prepare = AssertUnwindSafe(|| block_on(async { grounds.get(scenario.name).await.2.clone() }));
    let Ok(calm) = catch_unwind(prepare) else {
        let case = Case { scenario: scenario.name, faults: Vec::new(), bug: None };
        return Tally {
            count: 1,
            failures: vec![failure_report(&case, &["fails without a fault".to_owned()], &[])],
        };
    };
    let began = Instant::now();
    for case in choose(scenario, &calm) {
        tally.count += 1;
        if let Some(failure) = run_one(&mut grounds, &case) {
            eprintln!("{failure}");
            tally.failures.push(failure);
        }
    }
    let (name, count, failed) = (scenario.name, tally.count, tally.failures.len());
    eprintln!("{name}: {count} cases in {:.0} s, {failed} failed", began.elapsed().as_secs_f64());
    tally
}

fn run_one(grounds: &mut Grounds, case: &Case) -> Option<String> {
    let run = AssertUnwindSafe(|| {
        block_on(async {
            let (scenario, ground, calm) = grounds.get(case.scenario).await;
            let verdict = judge(case, scenario, ground, calm).await;
            (!verdict.broken.is_empty()).then(|| failure_report(case, &verdict.broken, &verdict.crossed))
        })
    });
    catch_unwind(run).unwrap_or_else(|_| Some(failure_report(case, &["it panicked".to_owned()], &[])))
}
