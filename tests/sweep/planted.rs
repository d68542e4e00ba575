//! The sweep finds every mistake that is planted.

use crate::bugs::Bug;
use crate::cases::{Case, Grounds, all_singles, block_on, judge};
use crate::scenarios::scenarios;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// In the order they are tried: every scenario as it is, then single faults, spread over all scenarios.
fn cases() -> Vec<Case> {
    let calm = scenarios().into_iter().map(|it| Case { scenario: it.name, faults: Vec::new(), bug: None });
    let singles = all_singles();
    // A step that shares no factor with any number of cases walks through all of them.
    const STRIDE: usize = 7919;
    let order = (0..singles.len()).map(|n| singles[n * STRIDE % singles.len()].clone());
    calm.chain(order).collect()
}

/// How many cases it takes to find `bug`, and what is said of it; nothing if none of them does.
fn hunt(grounds: &mut Grounds, cases: &[Case], bug: Bug) -> Option<(usize, String)> {
    for (tried, case) in cases.iter().enumerate() {
        let case = Case { bug: Some(bug), ..case.clone() };
        let broken = block_on(async {
            let (scenario, ground, calm) = grounds.get(case.scenario).await;
            judge(&case, scenario, ground, calm).await.broken
        });
        if let Some(first) = broken.first() {
            return Some((tried + 1, format!("{case} {first}")));
        }
    }
    None
}

fn tell(bug: Bug, hunted: Option<&(usize, String)>) {
    let bug = format!("{bug:?}");
    match hunted {
        Some((tried, why)) => {
            let why: String = why.chars().take(150).collect();
            eprintln!("{bug:22} {tried:4} cases: {why}");
        }
        None => eprintln!("{bug:22} survives"),
    }
}

/// The most cases that a mistake may survive.
const CASES_MAX: usize = 400;

#[test]
fn every_planted_mistake_is_found() {
    let mut cases = cases();
    cases.truncate(CASES_MAX);
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                let mut grounds = Grounds::default();
                while let Some(bug) = Bug::ALL.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let hunted = hunt(&mut grounds, &cases, *bug);
                    tell(*bug, hunted.as_ref());
                    found.lock().expect("nobody panics there").push((*bug, hunted));
                }
            });
        }
    });
    let found = found.into_inner().expect("nobody panics there");
    let survivors: Vec<_> = found.iter().filter(|(_, hunted)| hunted.is_none()).map(|(bug, _)| bug).collect();
    assert!(survivors.is_empty(), "not found within {CASES_MAX} cases: {survivors:?}");
}
