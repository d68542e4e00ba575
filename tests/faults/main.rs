//! The fault tests: run `deploy`, `teardown`, `promote-image` and `bake-image` within the process, with a fault at
//! each call.
//!
//! The state machines are the real files, the functions are the real handlers, and DynamoDB is its engine.
//! CloudFormation, EC2 and CodeBuild are simulated, and time is virtual. A case is a scenario and a few faults. After
//! each case, every invariant is checked. `docs/reliability.md` has the figures and the command that replays a case.

mod agenda;
mod bakes;
mod bugs;
mod cases;
mod crews;
mod functions;
mod harness;
mod host;
mod images;
mod organisation;
mod people;
mod planted;
mod pushes;
mod scenarios;
mod stacks;
mod units;
mod wire;
mod workflows;

use cases::{
    Calm, Case, Grounds, Tally, block_on, failure_report, judge, pairs, run_all, singles, with_room,
};
use lockstep_sim::faults::Fault;
use scenarios::{Scenario, scenario};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use workflows::{execute, word};

/// The case to replay.
const CASE: &str = "LOCKSTEP_FAULTS_CASE";

/// The extent: `all` runs every single fault.
const EXTENT: &str = "LOCKSTEP_FAULTS";

/// The step: one single fault in this many runs.
const STEP: &str = "LOCKSTEP_FAULTS_STEP";

/// The default step. It shares no factor with the number of kinds of a call, so that the kinds alternate from call to
/// call.
const SINGLES_STEP: u64 = 67;

/// The default number of pairs of each scenario.
const PAIRS_OF_A_SCENARIO: u64 = 1;

/// Number of pairs to draw for each scenario.
const PAIRS: &str = "LOCKSTEP_FAULTS_PAIRS";

/// The prefix of the names of the scenarios to run.
const ONLY: &str = "LOCKSTEP_FAULTS_ONLY";

/// The seed of the pairs.
const SEED: &str = "LOCKSTEP_FAULTS_SEED";

/// Returns a setting from the environment.
#[expect(clippy::disallowed_methods, reason = "what is asked of a test is no setting of the product")]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Returns a number from the environment.
fn number(name: &str, default: u64) -> u64 {
    setting(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}: {text}")))
}

fn run_cases(what: &str, choose: impl Fn(&Scenario, &Calm) -> Vec<Case> + Sync) {
    let began = Instant::now();
    let Tally { count, failures } = run_all(choose);
    println!("{count} {what} in {:.1} s", began.elapsed().as_secs_f64());
    assert!(failures.is_empty(), "{} of {count} {what} failed:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_scenario_ends_as_expected_without_faults() {
    let calm =
        |scenario: &Scenario, _: &Calm| vec![Case { scenario: scenario.name, faults: vec![], bug: None }];
    run_cases("scenarios", calm);
}

#[test]
fn a_fault_at_any_call_is_survived_and_so_are_two() {
    let all = setting(EXTENT).is_some_and(|extent| extent == "all");
    let step = usize::try_from(number(STEP, if all { 1 } else { SINGLES_STEP })).expect("a small number");
    let (pair_count, seed) = (number(PAIRS, PAIRS_OF_A_SCENARIO), number(SEED, 1));
    let pair_count = usize::try_from(pair_count).expect("a small number");
    let known = AtomicUsize::new(0);
    run_cases("cases of one fault or two", |scenario, calm| {
        let singles = singles(&calm.crossed);
        known.fetch_add(singles.len(), Ordering::Relaxed);
        let single = |fault: &Fault| Case { scenario: scenario.name, faults: vec![*fault], bug: None };
        let mut cases: Vec<Case> = singles.iter().step_by(step).map(single).collect();
        cases.extend(pairs(scenario.name, &singles, pair_count, seed));
        cases
    });
    println!("there are {} cases of one fault", known.into_inner());
}

#[test]
fn one_case() {
    let line = setting(CASE).unwrap_or_else(|| "update:".to_owned());
    let case = Case::parse(&line).unwrap_or_else(|why| panic!("{CASE}: {why}"));
    let run = async || {
        let mut grounds = Grounds::default();
        let (scenario, ground, calm) = grounds.get(case.scenario).await;
        let verdict = judge(&case, scenario, ground, calm).await;
        for (at, crossing) in verdict.crossed.iter().enumerate() {
            println!("{at:4} {:12} {}", format!("{:?}", crossing.site), crossing.name);
        }
        println!("{} after {:#}: {}", word(&verdict.run), verdict.took, verdict.run.path.join(" "));
        (!verdict.broken.is_empty()).then(|| failure_report(&case, &verdict.broken, &verdict.crossed))
    };
    let failure = with_room(|| block_on(run()));
    assert_eq!(failure, None);
}

/// Returns the transitions of an update whose operation takes this long.
fn transitions_of_an_update(pace: Duration) -> usize {
    let count = async || {
        let scenario = scenario("update").expect("a scenario");
        let harness = scenario.case(&scenario.prepare().await, &[], None);
        harness.cloud.set_pace(pace);
        let run = execute(&harness, "case", &scenario.input()).await;
        assert_eq!(word(&run), "SUCCEEDED");
        run.transitions
    };
    with_room(|| block_on(count()))
}

#[test]
fn an_update_costs_the_same_however_long_it_takes() {
    let minutes = [1, 5, 10].map(|minutes| transitions_of_an_update(Duration::from_secs(60 * minutes)));
    println!("transitions of an update of one, five and ten minutes: {minutes:?}");
    assert_eq!(minutes, [minutes[0]; 3]);
    // The waiting state looks every 22 minutes and waits again.
    let hour = transitions_of_an_update(Duration::from_secs(3600));
    println!("of an hour: {hour}");
    assert_eq!(hour, minutes[0] + 3 * 2);
}
