//! The cases of crews: each crew in several orders, with a fault at each call, and with planted mistakes.

use super::acts::{Acted, act_all};
use super::invariants::CrewRemains;
use super::scenarios::{CREWS, Crew};
use crate::bugs::Bug;
use crate::cases::{block_on, singles, spawn};
use crate::harness::Harness;
use lockstep_sim::faults::{Crossing, Fault, Kind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The orders in which each crew acts without faults.
const ORDERS: u64 = 4;

/// One single fault in this many runs.
const STEP: u64 = 197;

/// The case to replay, such as `crew-pushes/1:17=lost`: a crew, an order, and faults.
const CASE: &str = "LOCKSTEP_FAULTS_CREW";

/// The most cases that a mistake may survive.
const CASES_MAX: usize = 200;

/// One case of a crew.
#[derive(Clone, Debug)]
struct CrewCase {
    crew: &'static Crew,
    order: u64,
    faults: Vec<Fault>,
    bug: Option<Bug>,
}

impl std::fmt::Display for CrewCase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let faults: Vec<String> = self.faults.iter().map(ToString::to_string).collect();
        write!(f, "{}/{}:{}", self.crew.name, self.order, faults.join(","))
    }
}

/// Performs a case. Returns what is broken, the acts, and the boundaries that were crossed.
async fn judge(case: &CrewCase, ground: &Harness) -> (Vec<String>, Vec<Acted>, Vec<Crossing>) {
    let harness = ground.case(&case.faults, case.bug);
    harness.answers.replace(case.crew.answers.to_vec());
    harness.refused.replace(case.crew.refused.to_vec());
    let acted = act_all(&harness, case.crew.cues, case.order).await;
    let crossed = harness.faults.crossed();
    harness.faults.suspend(true);
    let calm = case.faults.is_empty();
    let mut broken = CrewRemains::of(&harness, &acted).await.broken(calm);
    for (cue, acted) in case.crew.cues.iter().zip(&acted) {
        // A fault may change who comes first, and so who is overtaken; the invariants say what must hold then.
        let moved =
            ["SUCCEEDED", "Overtaken", "Cancelled", "200", "409", "404"].contains(&acted.word.as_str());
        if acted.word != cue.ends && (calm || !moved) {
            broken.push(format!("10: {:?} ended {} instead of {}", cue.act, acted.word, cue.ends));
        }
    }
    (broken, acted, crossed)
}

/// Runs `work` for each crew on every core, and returns what it reports.
fn each_crew<T: Send>(work: impl Fn(&'static Crew, &Harness) -> Vec<T> + Sync) -> Vec<T> {
    let only = crate::setting(crate::ONLY).unwrap_or_default();
    let crews: Vec<&'static Crew> = CREWS.iter().filter(|crew| crew.name.starts_with(&only)).collect();
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            spawn(scope, || {
                while let Some(crew) = crews.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let ground = block_on(crew.prepare());
                    let reported = work(crew, &ground);
                    found.lock().expect("no thread panics there").extend(reported);
                }
            });
        }
    });
    found.into_inner().expect("no thread panics there")
}

/// Returns the report of a broken case.
fn report(case: &CrewCase, broken: &[String]) -> String {
    format!(
        "{case}\n    {}\n    {CASE}='{case}' cargo test --test faults one_crew -- --nocapture",
        broken.join("\n    ")
    )
}

#[test]
fn every_crew_ends_as_expected_in_every_order() {
    let failures = each_crew(|crew, ground| {
        let case = |order| CrewCase { crew, order, faults: Vec::new(), bug: None };
        let judged = (0..ORDERS).map(case).filter_map(|case| {
            let (broken, ..) = block_on(judge(&case, ground));
            (!broken.is_empty()).then(|| report(&case, &broken))
        });
        judged.collect()
    });
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

/// Returns the single faults of a crew. Which execution a successor would take over from is not defined for several.
fn faults_of(crossed: &[Crossing]) -> Vec<Fault> {
    singles(crossed).into_iter().filter(|fault| fault.kind != Kind::Superseded).collect()
}

#[test]
fn a_fault_at_any_call_of_a_crew_is_survived() {
    let all = crate::setting(crate::EXTENT).is_some_and(|extent| extent == "all");
    let step =
        usize::try_from(crate::number(crate::STEP, if all { 1 } else { STEP })).expect("a small number");
    let (count, known) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let failures = each_crew(|crew, ground| {
        let calm = CrewCase { crew, order: 0, faults: Vec::new(), bug: None };
        let (_, _, crossed) = block_on(judge(&calm, ground));
        let faults = faults_of(&crossed);
        known.fetch_add(faults.len(), Ordering::Relaxed);
        let cases =
            faults.iter().step_by(step).map(|fault| CrewCase { faults: vec![*fault], ..calm.clone() });
        let judged = cases.filter_map(|case| {
            count.fetch_add(1, Ordering::Relaxed);
            let (broken, ..) = block_on(judge(&case, ground));
            (!broken.is_empty()).then(|| report(&case, &broken))
        });
        judged.collect()
    });
    println!("{} cases of crews of {}", count.into_inner(), known.into_inner());
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn one_crew() {
    let line = crate::setting(CASE).unwrap_or_else(|| "crew-pushes/0:".to_owned());
    let (name, faults) = line.split_once(':').unwrap_or((&line, ""));
    let (name, order) = name.split_once('/').unwrap_or((name, "0"));
    let crew = Crew::named(name).unwrap_or_else(|| panic!("there is no crew {name}"));
    let faults =
        faults.split(',').filter(|fault| !fault.is_empty()).map(|fault| fault.parse().expect("a fault"));
    let case =
        CrewCase { crew, order: order.parse().expect("a number"), faults: faults.collect(), bug: None };
    let failure = crate::cases::with_room(|| {
        let ground = block_on(crew.prepare());
        let (broken, acted, crossed) = block_on(judge(&case, &ground));
        for (at, crossing) in crossed.iter().enumerate() {
            println!("{at:4} {:12} {}", format!("{:?}", crossing.site), crossing.name);
        }
        for acted in &acted {
            let path = acted.run.as_ref().map(|run| run.path.join(" ")).unwrap_or_default();
            println!("{:?} {} {}: {path}", acted.act, acted.version, acted.word);
        }
        (!broken.is_empty()).then(|| report(&case, &broken))
    });
    assert_eq!(failure, None);
}

/// Returns the crew in which a mistake can matter, and the mistake: each of these is about several deployments.
fn planted() -> Vec<(&'static str, Bug)> {
    vec![
        ("crew-pushes", Bug::NoTurn),
        ("crew-pushes", Bug::TurnTakesNoLease),
        ("crew-pushes", Bug::OvertakenGoesOn),
        ("crew-late-push", Bug::NewestIsForgotten),
        ("crew-pushes", Bug::NoWakeOfTurn),
        ("crew-cancel-queued", Bug::CancelledBegins),
        ("crew-promotions", Bug::QuestionFreesEnvironment),
        ("crew-promotions", Bug::AnswerIsForgotten),
        ("crew-pushes", Bug::SuccessBeforeEnd),
        ("crew-failing-push", Bug::NoChecks),
        ("crew-persons-and-a-push", Bug::LastComesFirst),
        ("crew-rollback-and-a-push", Bug::HoldIsForgotten),
        ("crew-rollback-from-what-failed", Bug::FailedCountsAsPassed),
    ]
}

#[test]
fn every_planted_mistake_of_a_crew_is_found() {
    let results = each_crew(|crew, ground| {
        let own = planted().into_iter().filter(|(name, _)| *name == crew.name);
        own.map(|(_, bug)| (bug, hunt(crew, ground, bug))).collect()
    });
    for (bug, hunted) in &results {
        match hunted {
            Some((tried, why)) => eprintln!("{bug:?}: {tried} cases: {why}"),
            None => eprintln!("{bug:?} survives"),
        }
    }
    let survivors: Vec<_> =
        results.iter().filter(|(_, hunted)| hunted.is_none()).map(|(bug, _)| bug).collect();
    assert!(survivors.is_empty(), "not found within {CASES_MAX} cases: {survivors:?}");
}

/// Returns the number of cases until one finds `bug`: each order first, then single faults.
fn hunt(crew: &'static Crew, ground: &Harness, bug: Bug) -> Option<(usize, String)> {
    let calm = CrewCase { crew, order: 0, faults: Vec::new(), bug: None };
    let (_, _, crossed) = block_on(judge(&calm, ground));
    let faults = faults_of(&crossed);
    const STRIDE: usize = 7919;
    let spread = (0..faults.len()).map(|n| vec![faults[n * STRIDE % faults.len()]]);
    let orders = (0..ORDERS).map(|order| CrewCase { order, bug: Some(bug), ..calm.clone() });
    let struck = spread.map(|faults| CrewCase { faults, bug: Some(bug), ..calm.clone() });
    for (tried, case) in orders.chain(struck).take(CASES_MAX).enumerate() {
        let (broken, ..) = block_on(judge(&case, ground));
        if let Some(first) = broken.first() {
            let why: String = first.chars().take(150).collect();
            return Some((tried + 1, format!("{case} {why}")));
        }
    }
    None
}
