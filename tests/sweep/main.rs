//! The fault sweep: `deploy` within the process, struck at every call.
//!
//! The state machine is the real file, the functions are the real handlers, DynamoDB is its engine; CloudFormation is
//! simulated, and time is virtual. A case is a scenario and a few faults; after each, every invariant is checked. How
//! to replay one, and the figures: `docs/reliability.md`.

mod bugs;
mod cases;
mod faults;
mod harness;
mod host;
mod invariants;
mod organisation;
mod planted;
mod scenarios;
mod stacks;
mod statuses;
mod wire;

use cases::{Case, Grounds, all_singles, block_on, judge, pairs, run_all, told};
use scenarios::{scenario, scenarios, word};
use std::time::{Duration, Instant};

/// Names the case to replay.
const CASE: &str = "LOCKSTEP_SWEEP_CASE";

/// `all` runs every single fault; else one in three is run, such that every call is struck.
const EXTENT: &str = "LOCKSTEP_SWEEP";

/// How many pairs are drawn.
const PAIRS: &str = "LOCKSTEP_SWEEP_PAIRS";

/// Where the pairs are drawn from.
const SEED: &str = "LOCKSTEP_SWEEP_SEED";

fn calm_cases() -> Vec<Case> {
    scenarios().iter().map(|it| Case { scenario: it.name, faults: Vec::new(), bug: None }).collect()
}

/// A number from the environment.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}: {text}")))
}

fn sweep(what: &str, cases: &[Case]) {
    let began = Instant::now();
    let (count, failures) = run_all(cases);
    println!("{count} {what} in {:.1} s", began.elapsed().as_secs_f64());
    assert!(failures.is_empty(), "{} of {count} {what} failed:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_scenario_ends_as_it_should_when_nothing_strikes() {
    sweep("scenarios", &calm_cases());
}

#[test]
fn a_fault_at_any_call_is_survived_and_so_are_two() {
    let singles = all_singles();
    // No kind of call knows fewer than three faults: every call is struck.
    let step = if std::env::var(EXTENT).is_ok_and(|extent| extent == "all") { 1 } else { 3 };
    let chosen: Vec<Case> = singles.iter().step_by(step).cloned().collect();
    sweep(&format!("of {} cases of one fault", singles.len()), &chosen);
    let count = usize::try_from(number(PAIRS, 150)).expect("a small number");
    sweep("cases of two faults", &pairs(&singles, count, number(SEED, 1)));
}

#[test]
fn one_case() {
    let line = std::env::var(CASE).unwrap_or_else(|_| "update:".to_owned());
    let case = Case::parse(&line).unwrap_or_else(|why| panic!("{CASE}: {why}"));
    let told = block_on(async {
        let mut grounds = Grounds::default();
        let (scenario, ground, calm) = grounds.get(case.scenario).await;
        let verdict = judge(&case, scenario, ground, calm).await;
        for (at, crossing) in verdict.crossed.iter().enumerate() {
            println!("{at:4} {:12} {}", format!("{:?}", crossing.site), crossing.name);
        }
        println!("{} after {:#}: {}", word(&verdict.run), verdict.took, verdict.run.path.join(" "));
        (!verdict.broken.is_empty()).then(|| told(&case, &verdict.broken, &verdict.crossed))
    });
    assert_eq!(told, None);
}

/// The transitions of an update whose operation takes this long.
fn transitions_of_an_update(pace: Duration) -> usize {
    block_on(async {
        let scenario = scenario("update").expect("a scenario");
        let harness = scenario.case(&scenario.prepare().await, &[], None);
        harness.cloud.set_pace(pace);
        let run = scenarios::deploy(&harness, "case", &scenario.input()).await;
        assert_eq!(word(&run), "SUCCEEDED");
        run.transitions
    })
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
