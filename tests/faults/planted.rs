//! The fault tests find every planted mistake.

use crate::bugs::Bug;
use crate::cases::{Case, Grounds, block_on, judge, singles, spawn};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Returns the scenario in which a mistake can matter; `None` for one about several deployments. The other scenarios would
/// only take time.
fn scenario_of(bug: Bug) -> Option<&'static str> {
    Some(match bug {
        Bug::RandomToken | Bug::EpochInToken | Bug::StaleLedger | Bug::NoIntent => "create",
        Bug::NoCatch | Bug::NoChecks | Bug::NoFence => "create",
        Bug::NoTurn => "rival",
        Bug::NoCondition | Bug::EmptyIsAbsent | Bug::RunningIsDone => "update",
        Bug::OnceStableRecreated => "rollback-without-a-resource",
        Bug::SurvivorsIgnored => "protected-remains",
        Bug::ConditionalIgnored => "conditional-replacement",
        Bug::RemovalsIgnored => "removal-refused",
        Bug::ApprovalByName | Bug::NoWake => "approved",
        Bug::NoReplan => "changed-while-thinking",
        Bug::ReviewIsFinal => "review-remains",
        Bug::SuccessByStatus => "failing-update",
        Bug::FileIsLost => "local-files",
        Bug::ForgottenUnshare => "image-copies-fail",
        Bug::ImageAlone | Bug::RandomCopyToken | Bug::TagLater => "image",
        Bug::GrantKept => "image-is-encrypted",
        Bug::LicenceIgnored => "image-is-licensed",
        Bug::RandomBuildToken => "bake",
        Bug::WithheldIsResolved => "bake-on-an-image",
        Bug::WithheldIsDeployed => "deploy-of-a-withheld-image",
        Bug::LackingIsUsable => "bake-cannot-be-copied",
        Bug::UsedIsDiscarded => "bake-is-used",
        Bug::DebrisIgnored => "bake-leaves-debris",
        Bug::BuildsUnasked => "bake-is-licensed-and-refused",
        Bug::InputsForgotten => "push-that-its-consumer-cannot-follow",
        Bug::NoOrder => "push-of-both-again",
        Bug::FollowedForgotten => "push-that-its-consumer-cannot-follow",
        // Mistakes about several deployments: see `crews`.
        Bug::TurnTakesNoLease
        | Bug::OvertakenGoesOn
        | Bug::NewestIsForgotten
        | Bug::NoWakeOfTurn
        | Bug::LastComesFirst
        | Bug::CancelledBegins
        | Bug::HoldIsForgotten
        | Bug::FailedCountsAsPassed
        | Bug::QuestionFreesEnvironment
        | Bug::AnswerIsForgotten
        | Bug::SuccessBeforeEnd => return None,
    })
}

/// Returns the number of cases until one finds `bug`, with its report, or `None` if no case finds it.
fn hunt(grounds: &mut Grounds, bug: Bug) -> Option<(usize, String)> {
    block_on(async {
        let (scenario, ground, calm) = grounds.get(scenario_of(bug)?).await;
        let singles = singles(&calm.crossed);
        // The stride shares no factor with the number of cases, so it visits all of them, spread over the run.
        const STRIDE: usize = 7919;
        let spread = (0..singles.len()).map(|n| vec![singles[n * STRIDE % singles.len()]]);
        for (tried, faults) in std::iter::once(Vec::new()).chain(spread).take(CASES_MAX).enumerate() {
            let case = Case { scenario: scenario.name, faults, bug: Some(bug) };
            if let Some(first) = judge(&case, scenario, ground, calm).await.broken.first() {
                return Some((tried + 1, format!("{case} {first}")));
            }
        }
        None
    })
}

fn print_result(bug: Bug, hunted: Option<&(usize, String)>) {
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
    let only = crate::setting(crate::ONLY).unwrap_or_default();
    let bugs: Vec<Bug> = Bug::ALL
        .iter()
        .copied()
        .filter(|bug| scenario_of(*bug).is_some_and(|it| it.starts_with(&only)))
        .collect();
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            spawn(scope, || {
                let mut grounds = Grounds::default();
                while let Some(bug) = bugs.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let hunted = hunt(&mut grounds, *bug);
                    print_result(*bug, hunted.as_ref());
                    found.lock().expect("no thread panics there").push((*bug, hunted));
                }
            });
        }
    });
    let found = found.into_inner().expect("no thread panics there");
    let survivors: Vec<_> = found.iter().filter(|(_, hunted)| hunted.is_none()).map(|(bug, _)| bug).collect();
    assert!(survivors.is_empty(), "not found within {CASES_MAX} cases: {survivors:?}");
}
