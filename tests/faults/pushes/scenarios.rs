//! Scenarios of pushes: the state before, the push, and the expected end.

use super::repository::{BOTH, BOTH_AGAIN, PRODUCER};
use crate::bakes::scenarios::BakeStep;
use crate::harness::Harness;
use crate::scenarios::{CI, Scenario, Step};
use crate::workflows::{Work, execute};
use lockstep_domain::messages::callers::Callers;
use lockstep_domain::model::ids::StageName;
use lockstep_domain::records::{Environment, Hold};
use lockstep_sim::cloudformation::Trouble;
use serde_json::{Value, json};
use std::time::Duration;

/// The consumer.
pub const CONSUMER: &str = "alarm";

/// The producer.
pub const OF: &str = "queue";

/// The most redeployments that a case runs: more than any correct one starts.
const REDEPLOYMENTS_MAX: usize = 6;

/// A step that prepares the state before a push.
#[derive(Clone, Copy, Debug)]
pub enum PushStep {
    /// A push of this commit, with any end.
    Pushed(&'static str),
    /// An operator holds the consumer.
    Held,
}

const PUSH: Scenario = Scenario { work: Work::Release, version: BOTH, ..CI };

const SUBSCRIBED: Step = Step::Bake(BakeStep::Subscribed);

const RUNNING: Step = Step::Push(PushStep::Pushed(BOTH));

/// Returns every scenario about pushes.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario { name: "push-of-both", ground: &[SUBSCRIBED], ..PUSH },
        Scenario { name: "push-of-both-again", ground: &[SUBSCRIBED, RUNNING], version: BOTH_AGAIN, ..PUSH },
        Scenario { name: "push-of-a-producer", ground: &[SUBSCRIBED, RUNNING], version: PRODUCER, ..PUSH },
        Scenario {
            name: "push-of-a-held-consumers-producer",
            ground: &[SUBSCRIBED, RUNNING, Step::Push(PushStep::Held)],
            version: PRODUCER,
            ..PUSH
        },
        Scenario {
            name: "push-that-its-consumer-cannot-follow",
            ground: &[SUBSCRIBED, RUNNING, Step::Trouble("Alarm", Trouble::Update)],
            version: PRODUCER,
            ..PUSH
        },
        Scenario {
            name: "push-whose-producer-fails",
            ground: &[SUBSCRIBED, RUNNING, Step::Trouble("Queue", Trouble::Update)],
            version: BOTH_AGAIN,
            ends: "Rejected",
            ..PUSH
        },
    ]
}

/// Returns the input of a push of `commit`. An operator asks for it, so no webhook delivery is overtaken.
pub fn input(commit: &str) -> Value {
    json!({"repository": "github.acme.images", "ref": "refs/heads/main", "commit": commit})
}

impl PushStep {
    /// Applies the step.
    pub async fn take(self, harness: &Harness, number: usize) {
        match self {
            Self::Pushed(commit) => {
                drop(execute(harness, &format!("ground-{number}"), &input(commit)).await);
                follow(harness).await;
            }
            Self::Held => {
                let key = Environment::key_of(&ci(), CONSUMER);
                let found =
                    harness.ledger.get::<Environment>(&key).await.expect("a read").expect("a consumer");
                let hold = Hold { by: "arn".into(), reason: "bad night".into(), at: harness.clock.now() };
                let held = Environment { hold: Some(hold), ..found.record.clone() };
                harness.ledger.replace(&found, held).await.expect("a write");
            }
        }
    }
}

/// Returns the stage that pushes reach.
pub fn ci() -> StageName {
    "ci".parse().expect("a stage")
}

/// Runs the redeployments that functions started, lets the sweep ask for those that no function started, and runs them.
pub async fn follow(harness: &Harness) {
    run_started(harness).await;
    let request = json!({"action": "free_environment", "stage": "ci", "environment": CONSUMER});
    // There may be no consumer.
    drop(harness.ledger_function(&harness.fault_free, Callers::Sweep, request).await);
    run_started(harness).await;
}

async fn run_started(harness: &Harness) {
    for _ in 0..REDEPLOYMENTS_MAX {
        let started = harness.account.started().into_iter().find(|(execution, input)| {
            input["follows"].is_object() && !harness.executions.borrow().contains_key(execution)
        });
        let Some((execution, input)) = started else { return };
        let name = execution.rsplit(':').next().unwrap_or_default().to_owned();
        drop(execute(harness, &name, &input).await);
        harness.let_pass(Duration::from_secs(10)).await;
    }
}
