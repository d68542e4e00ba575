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
mod scenarios;
mod stacks;
mod wire;

use cases::{Case, Grounds, block_on, judge, run_all, singles, told};
use scenarios::{scenarios, word};

/// The case to replay.
const CASE: &str = "LOCKSTEP_SWEEP_CASE";

fn calm_cases() -> Vec<Case> {
    scenarios().iter().map(|it| Case { scenario: it.name, faults: Vec::new(), bug: None }).collect()
}

fn all_singles() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut grounds = Grounds::default();
    for scenario in scenarios() {
        let crossed = block_on(async { grounds.get(scenario.name).await.2.crossed.clone() });
        let single = |fault| Case { scenario: scenario.name, faults: vec![fault], bug: None };
        cases.extend(singles(&crossed).into_iter().map(single));
    }
    cases
}

#[test]
fn every_scenario_ends_as_it_should_when_nothing_strikes() {
    let (_, failures) = run_all(&calm_cases());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_single_fault_is_survived() {
    let began = std::time::Instant::now();
    let cases = all_singles();
    let (count, failures) = run_all(&cases);
    println!("{count} cases of one fault in {:.1} s", began.elapsed().as_secs_f64());
    assert!(failures.is_empty(), "{} of {count} cases failed:\n{}", failures.len(), failures.join("\n"));
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
