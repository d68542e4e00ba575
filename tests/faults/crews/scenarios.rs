//! Crews: two and three deployments at once into one environment, in several orders.

use super::acts::{Act, Cue};
use crate::harness::Harness;
use crate::organisation::{CONDITIONAL, EQUAL, FAILING, FIRST, NEXT, SAFE};
use crate::scenarios::Step;
use lockstep_domain::records::Decision;

/// A crew.
#[derive(Clone, Copy, Debug)]
pub struct Crew {
    /// The name in a case.
    pub name: &'static str,
    /// The state before.
    pub ground: &'static [Step],
    pub cues: &'static [Cue],
    /// The answers to the first question of a deployment, the second, ...
    pub answers: &'static [Decision],
    /// The versions whose questions are refused.
    pub refused: &'static [&'static str],
}

const fn cue(at: i64, act: Act, ends: &'static str) -> Cue {
    Cue { at, act, ends }
}

const FIRST_IN_CI: Step = Step::Deploy("ci", FIRST);
const DONE: &str = "SUCCEEDED";
const OVERTAKEN: &str = "Overtaken";
const OK: &str = "200";

/// Returns every crew.
pub const CREWS: &[Crew] = &[
    Crew {
        name: "crew-pushes",
        cues: &[
            cue(0, Act::Push(SAFE), DONE),
            cue(10, Act::Push(EQUAL), OVERTAKEN),
            cue(20, Act::Push(NEXT), DONE),
        ],
        ..PLAIN
    },
    Crew {
        name: "crew-pushes-in-another-order",
        cues: &[
            cue(0, Act::Push(SAFE), DONE),
            cue(10, Act::Push(NEXT), DONE),
            cue(20, Act::Push(EQUAL), OVERTAKEN),
        ],
        ..PLAIN
    },
    Crew {
        name: "crew-late-push",
        cues: &[cue(0, Act::Push(NEXT), DONE), cue(7200, Act::Push(SAFE), OVERTAKEN)],
        ..PLAIN
    },
    Crew {
        name: "crew-persons-and-a-push",
        cues: &[
            cue(0, Act::Push(SAFE), DONE),
            cue(5, Act::Push(NEXT), DONE),
            cue(10, Act::Deploy(FIRST), DONE),
            cue(15, Act::Deploy(EQUAL), DONE),
        ],
        ..PLAIN
    },
    Crew {
        name: "crew-cancel-queued",
        cues: &[
            cue(0, Act::Deploy(SAFE), DONE),
            cue(5, Act::Deploy(EQUAL), "Cancelled"),
            cue(10, Act::Deploy(NEXT), DONE),
            cue(15, Act::Cancel(1), OK),
        ],
        ..PLAIN
    },
    Crew {
        name: "crew-cancel-queued-push",
        cues: &[
            cue(0, Act::Push(SAFE), DONE),
            cue(5, Act::Push(NEXT), "Cancelled"),
            cue(15, Act::Cancel(1), OK),
        ],
        ..PLAIN
    },
    Crew {
        name: "crew-cancel-running",
        cues: &[
            cue(0, Act::Deploy(SAFE), "Cancelled"),
            cue(5, Act::Deploy(NEXT), DONE),
            cue(8, Act::Cancel(0), OK),
        ],
        ..PLAIN
    },
    Crew {
        name: "crew-rollback-and-a-push",
        ground: &[FIRST_IN_CI, Step::Deploy("ci", SAFE)],
        cues: &[cue(0, Act::Rollback, DONE), cue(5, Act::Push(NEXT), DONE), cue(7200, Act::Resume, OK)],
        ..PLAIN
    },
    Crew {
        name: "crew-rollback-from-what-failed",
        ground: &[FIRST_IN_CI, Step::Deploy("ci", SAFE)],
        cues: &[
            cue(0, Act::Deploy(FAILING), "CheckFailed"),
            cue(7200, Act::Deploy(NEXT), DONE),
            cue(14400, Act::Rollback, DONE),
            cue(14403, Act::Deploy(EQUAL), DONE),
        ],
        ..PLAIN
    },
    Crew {
        name: "crew-promotions",
        ground: PASSED,
        cues: &[
            cue(0, Act::Promote(FIRST), DONE),
            cue(10, Act::Promote(SAFE), "ApprovalRefused"),
            cue(20, Act::Promote(NEXT), DONE),
        ],
        answers: &[Decision::Approve],
        refused: &[SAFE],
    },
    Crew {
        name: "crew-pushes-behind-a-question",
        cues: &[
            cue(0, Act::Deploy(CONDITIONAL), DONE),
            cue(60, Act::Push(SAFE), OVERTAKEN),
            cue(300, Act::Push(NEXT), DONE),
        ],
        answers: &[Decision::Approve],
        ..PLAIN
    },
    Crew {
        name: "crew-teardown",
        cues: &[cue(0, Act::Push(SAFE), DONE), cue(5, Act::Teardown, DONE), cue(10, Act::Deploy(NEXT), DONE)],
        answers: &[Decision::Approve; 2],
        ..PLAIN
    },
    Crew {
        name: "crew-failing-push",
        cues: &[cue(0, Act::Push(NEXT), DONE), cue(5, Act::Push(FAILING), "CheckFailed")],
        ..PLAIN
    },
];

/// Three releases that passed `ci`.
const PASSED: &[Step] = &[FIRST_IN_CI, Step::Passed("ci", SAFE), Step::Passed("ci", NEXT)];

const PLAIN: Crew = Crew { name: "", ground: &[FIRST_IN_CI], cues: &[], answers: &[], refused: &[] };

impl Crew {
    /// Returns the crew of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        CREWS.iter().find(|crew| crew.name == name)
    }

    /// Returns the harness before the acts.
    pub async fn prepare(&self) -> Harness {
        let harness = Harness::new().await;
        harness.faults.suspend(true);
        for (number, step) in self.ground.iter().enumerate() {
            step.take(&harness, number).await;
        }
        harness.let_pass(std::time::Duration::from_secs(7200)).await;
        harness
    }
}
