//! What the members of a crew do: pushes, deployments of persons, promotions, rollbacks, cancellations and teardowns.

use super::stage::{Acting, perform};
use crate::harness::Harness;
use crate::organisation::release;
use crate::scenarios::input;
use crate::workflows::{deployment_of, execute, execute_unasked, execution_of, word};
use jiff::{SignedDuration, Timestamp};
use lockstep_domain::delivery::{gate, rollback, start};
use lockstep_domain::messages::callers::Callers;
use lockstep_domain::model::ids::{DeploymentId, Digest};
use lockstep_domain::records::{Deployment, DeploymentState, Environment};
use lockstep_tests::asl::Run;
use serde_json::{Value, json};

/// The act of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A push brings a release to `ci`.
    Push(&'static str),
    /// A person deploys a release to `ci`.
    Deploy(&'static str),
    /// A person promotes a release to production.
    Promote(&'static str),
    /// A person holds `ci` and rolls it back.
    Rollback,
    /// A person ends the hold of `ci`.
    Resume,
    /// A person cancels the deployment of the member of this number.
    Cancel(usize),
    /// A person tears `ci` down.
    Teardown,
}

/// An act at its time.
#[derive(Clone, Copy, Debug)]
pub struct Cue {
    /// Seconds after the beginning of the case.
    pub at: i64,
    pub act: Act,
    /// The end without faults.
    pub ends: &'static str,
}

/// An act that has ended.
#[derive(Clone, Debug)]
pub struct Acted {
    pub act: Act,
    /// The deployment of the act.
    pub id: Option<DeploymentId>,
    pub run: Option<Run>,
    /// The version that was deployed.
    pub version: String,
    /// The end in a word.
    pub word: String,
    /// The time at which a person heard that `ci` has a hold, or has it no longer.
    pub heard: Option<Timestamp>,
    /// Each statement about the end that was false when it was made.
    pub lies: Vec<String>,
}

impl Act {
    /// Returns true if a person asked for a deployment.
    pub fn is_of_person(self) -> bool {
        matches!(self, Self::Deploy(_) | Self::Promote(_) | Self::Rollback | Self::Teardown)
    }

    /// Returns the stage that the act changes.
    pub fn stage(self) -> &'static str {
        if matches!(self, Self::Promote(_)) { "production" } else { "ci" }
    }

    /// Returns the name of the execution of the member of this number.
    fn name(self, number: usize) -> String {
        match self {
            Self::Push(version) => {
                let release = &release(version).release;
                let stage = "ci".parse().expect("a stage");
                gate::deploy_execution(&format!("the push of {version}"), &stage, &release.component)
            }
            Self::Promote(_) => start::promoted_execution(&format!("the promotion {number}")),
            _ => format!("member-{number}"),
        }
    }

    /// Returns the input of the execution.
    fn input(self, version: &str) -> Value {
        match self {
            Self::Teardown => json!({"component": "logs", "stage": "ci"}),
            _ => input(self.stage(), version),
        }
    }

    /// Returns the version that the act names.
    fn version(self) -> &'static str {
        match self {
            Self::Push(version) | Self::Deploy(version) | Self::Promote(version) => version,
            Self::Rollback | Self::Resume | Self::Cancel(_) | Self::Teardown => "",
        }
    }
}

/// Performs a crew's acts. The seed decides who comes first at each call.
pub async fn act_all(harness: &Harness, cues: &[Cue], seed: u64) -> Vec<Acted> {
    let began = harness.clock.now();
    let works = cues.iter().enumerate().map(|(number, cue)| {
        let at: Timestamp = began + SignedDuration::from_secs(cue.at);
        let acting: Acting<'_, Acted> = Box::pin(act(harness, cues, number));
        (at, acting)
    });
    perform(harness, works.collect(), seed).await
}

async fn act(harness: &Harness, cues: &[Cue], number: usize) -> Acted {
    let act = cues[number].act;
    match act {
        Act::Push(version) => {
            let run = execute_unasked(harness, &act.name(number), &act.input(version)).await;
            reported(harness, act, version.to_owned(), run).await
        }
        Act::Deploy(version) | Act::Promote(version) => {
            let run = execute(harness, &act.name(number), &act.input(version)).await;
            reported(harness, act, version.to_owned(), run).await
        }
        Act::Teardown => {
            let run = execute(harness, &act.name(number), &act.input("")).await;
            reported(harness, act, String::new(), run).await
        }
        Act::Rollback => {
            let hold = json!({"action": "hold", "stage": "ci", "environment": "logs", "reason": "bad night"});
            let held = ask(harness, &hold).await;
            let heard = (held == "200").then(|| harness.clock.now());
            let environment = seen(harness).await;
            let target = rollback::target(&environment, |_| false).expect("a target").version.to_string();
            let run = execute(harness, &act.name(number), &act.input(&target)).await;
            Acted { heard, ..reported(harness, act, target, run).await }
        }
        Act::Resume => {
            let word = ask(harness, &json!({"action": "resume", "stage": "ci", "environment": "logs"})).await;
            let heard = (word == "200").then(|| harness.clock.now());
            Acted { act, id: None, run: None, version: String::new(), word, heard, lies: Vec::new() }
        }
        Act::Cancel(other) => cancel(harness, act, cues[other].act, other).await,
    }
}

/// Returns `ci` as the command reads it.
async fn seen(harness: &Harness) -> Environment {
    let key = Environment::key_of(&"ci".parse().expect("a stage"), "logs");
    let suspended = harness.faults.suspend(true);
    let found = lockstep_runtime::HasLedger::ledger(&harness.context).get(&key).await;
    harness.faults.suspend(suspended);
    found.expect("a read").expect("an environment").record
}

/// Cancels the deployment of another member, as the command does: in the queue, if it has not begun.
async fn cancel(harness: &Harness, act: Act, other: Act, number: usize) -> Acted {
    let execution = execution_of(&other.name(number), &other.input(other.version()));
    let id = DeploymentId::of_execution(&execution);
    let mut request = json!({"action": "cancel", "deployment": id, "reason": "the wrong one"});
    let begun = harness.deployment(&id).await;
    if begun.is_none() {
        request["waits_for"] = json!({"stage": other.stage(), "environment": "logs"});
    }
    let word = ask(harness, &request).await;
    let mut lies = Vec::new();
    if word == "200" && begun.is_none() {
        let closed = harness.deployment(&id).await;
        if !closed.is_some_and(|closed| closed.state == DeploymentState::Cancelled) {
            lies.push("18: cancelled in the queue, and the record does not say so".to_owned());
        }
    }
    Acted { act, id: Some(id), run: None, version: String::new(), word, heard: None, lies }
}

/// Sends a request of an operator, again if the function fails. Returns the status.
async fn ask(harness: &Harness, request: &Value) -> String {
    harness.park(harness.clock.now(), None).await;
    for _ in 0..3 {
        harness.faults.set_caller("ledger operator");
        let answered = harness.ask_ledger(Callers::Operators, "grace", request).await;
        if let Some(Ok(answer)) = answered
            && answer["statusCode"] != 503
        {
            return answer["statusCode"].to_string();
        }
    }
    "no answer".to_owned()
}

/// Returns the end of a run, with each statement that was false at that moment.
async fn reported(harness: &Harness, act: Act, version: String, run: Run) -> Acted {
    let id = deployment_of(&run);
    let (record, environment) = (harness.deployment(&id).await, harness.environment(act.stage()).await);
    let word = word(&run).to_owned();
    let mut lies = Vec::new();
    let state = record.as_ref().map(|record| record.state);
    if word == "SUCCEEDED" {
        if !state.is_some_and(|state| state.outcome().is_some_and(|outcome| outcome.is_success())) {
            lies.push(format!("18: {act:?} reported success, and the deployment is {state:?}"));
        }
        if act != Act::Teardown {
            lies.extend(untrue_success(harness, (act, &id), &version, environment.as_ref()));
        }
    } else {
        lies.extend(untrue_failure(act, &word, record.as_ref(), environment.as_ref()));
    }
    Acted { act, id: Some(id), run: Some(run), version, word, heard: None, lies }
}

fn untrue_success(
    harness: &Harness,
    (act, id): (Act, &DeploymentId),
    version: &str,
    environment: Option<&Environment>,
) -> Option<String> {
    // A report that a fault delayed comes after a later deployment changed both.
    if environment.is_some_and(|environment| environment.last_deployment.as_ref() != Some(id)) {
        return None;
    }
    let wanted = &release(version).release;
    let runs = harness.cloud.runs(&format!("{}-logs", act.stage()));
    let is_it = runs.is_some_and(|(template, ..)| Digest::of(template.as_bytes()) == wanted.template_digest);
    let says = environment.and_then(|environment| environment.deployed.as_ref());
    let says_so = says.is_some_and(|deployed| deployed.digest == wanted.digest && deployed.checked);
    (!is_it || !says_so).then(|| {
        format!("18: {act:?} reported success; the stack runs it: {is_it}; the ledger says so: {says_so}")
    })
}

fn untrue_failure(
    act: Act,
    word: &str,
    record: Option<&Deployment>,
    environment: Option<&Environment>,
) -> Option<String> {
    let never = ["Overtaken", "Expired", "Cancelled"].contains(&word);
    let state = record.map(|record| record.state);
    let closed = state.is_some_and(DeploymentState::is_final);
    let says = environment.and_then(|environment| environment.deployed.as_ref());
    let runs = record.is_some_and(|record| says.is_some_and(|deployed| deployed.deployment == record.id));
    if never && (!closed || runs) {
        return Some(format!(
            "18: {act:?} reported {word}; it is {state:?}, and the environment runs it: {runs}"
        ));
    }
    None
}
