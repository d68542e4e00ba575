//! The fault sweep: `deploy`, `teardown`, `promote-image` and `bake-image` within the process, struck at every call.
//!
//! The state machines are the real files, the functions are the real handlers, DynamoDB is its engine; CloudFormation,
//! EC2 and CodeBuild are simulated, and time is virtual. A case is a scenario and a few faults; after each, every invariant is checked. How
//! to replay one, and the figures: `docs/reliability.md`.

mod agenda;
mod bakes;
mod bugs;
mod cases;
mod functions;
mod harness;
mod host;
mod images;
mod organisation;
mod people;
mod planted;
mod scenarios;
mod stacks;
mod wire;
mod workflows;

use cases::{Calm, Case, Grounds, Tally, block_on, judge, pairs, run_all, singles, told, with_room};
use lockstep_sim::faults::Fault;
use scenarios::{Scenario, scenario};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use workflows::{execute, word};

/// Names the case to replay.
const CASE: &str = "LOCKSTEP_SWEEP_CASE";

/// `all` runs every single fault.
const EXTENT: &str = "LOCKSTEP_SWEEP";

/// Runs one single fault in so many.
const STEP: &str = "LOCKSTEP_SWEEP_STEP";

/// So many unless something else is asked for. It shares no factor with the number of kinds that a call knows, so that
/// the kinds take turns from call to call.
const SINGLES_STEP: u64 = 41;

/// How many pairs of each scenario unless something else is asked for.
const PAIRS_OF_A_SCENARIO: u64 = 1;

/// How many pairs are drawn for each scenario.
const PAIRS: &str = "LOCKSTEP_SWEEP_PAIRS";

/// Runs the scenarios whose names begin so.
const ONLY: &str = "LOCKSTEP_SWEEP_ONLY";

/// Where the pairs are drawn from.
const SEED: &str = "LOCKSTEP_SWEEP_SEED";

/// A wish from the environment.
#[expect(clippy::disallowed_methods, reason = "what is asked of a test is no setting of the product")]
fn wish(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A number from the environment.
fn number(name: &str, default: u64) -> u64 {
    wish(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}: {text}")))
}

fn sweep(what: &str, choose: impl Fn(&Scenario, &Calm) -> Vec<Case> + Sync) {
    let began = Instant::now();
    let Tally { count, failures } = run_all(choose);
    println!("{count} {what} in {:.1} s", began.elapsed().as_secs_f64());
    assert!(failures.is_empty(), "{} of {count} {what} failed:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_scenario_ends_as_it_should_when_nothing_strikes() {
    let calm =
        |scenario: &Scenario, _: &Calm| vec![Case { scenario: scenario.name, faults: vec![], bug: None }];
    sweep("scenarios", calm);
}

#[test]
fn a_fault_at_any_call_is_survived_and_so_are_two() {
    let all = wish(EXTENT).is_some_and(|extent| extent == "all");
    let step = usize::try_from(number(STEP, if all { 1 } else { SINGLES_STEP })).expect("a small number");
    let (pair_count, seed) = (number(PAIRS, PAIRS_OF_A_SCENARIO), number(SEED, 1));
    let pair_count = usize::try_from(pair_count).expect("a small number");
    let known = AtomicUsize::new(0);
    sweep("cases of one fault or two", |scenario, calm| {
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
    let line = wish(CASE).unwrap_or_else(|| "update:".to_owned());
    let case = Case::parse(&line).unwrap_or_else(|why| panic!("{CASE}: {why}"));
    let run = async || {
        let mut grounds = Grounds::default();
        let (scenario, ground, calm) = grounds.get(case.scenario).await;
        let verdict = judge(&case, scenario, ground, calm).await;
        for (at, crossing) in verdict.crossed.iter().enumerate() {
            println!("{at:4} {:12} {}", format!("{:?}", crossing.site), crossing.name);
        }
        println!("{} after {:#}: {}", word(&verdict.run), verdict.took, verdict.run.path.join(" "));
        (!verdict.broken.is_empty()).then(|| told(&case, &verdict.broken, &verdict.crossed))
    };
    let told = with_room(|| block_on(run()));
    assert_eq!(told, None);
}

/// The transitions of an update whose operation takes this long.
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
    // A quarter of an hour is when the waiting state looks, and waits again.
    let hour = transitions_of_an_update(Duration::from_secs(3600));
    println!("of an hour: {hour}");
    assert_eq!(hour, minutes[0] + 3 * 4);
}
