//! What holds after a crew has acted, whatever the order and the faults.

use super::acts::{Act, Acted};
use crate::harness::Harness;
use crate::organisation::{FIRST, patch};
use crate::scenarios::{CI, Scenario};
use crate::stacks::invariants::{Remains, steps_are_bounded};
use crate::wire::Written;
use jiff::{SignedDuration, Timestamp};
use lockstep_domain::delivery::ending::{Fate, fate_of};
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::model::token::client_token;
use lockstep_domain::records::{Deployment, DeploymentState, Environment};
use lockstep_sim::cloudformation::Effect;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The scenario whose invariants hold for each crew.
const ANY: Scenario = Scenario { version: FIRST, ..CI };

/// The seconds within which the next deployment begins: a wake and a few calls, or a look after a lost wake.
const SOON: i64 = 120;
const LOOK: i64 = 3600 + 900;

/// The state after a crew.
pub struct CrewRemains<'a> {
    harness: &'a Harness,
    acted: &'a [Acted],
    deployments: Vec<Deployment>,
    environments: Vec<Environment>,
    effects: Vec<Effect>,
    common: Vec<String>,
}

/// The turn of a deployment that began.
struct Turn {
    execution: String,
    asked: Timestamp,
    free: Timestamp,
    began: Timestamp,
}

/// An environment as a write stored it.
struct Stored {
    at: Timestamp,
    holder: Option<String>,
    /// The queue: each execution, and true if a push started it.
    queue: Vec<(String, bool)>,
    held_back: bool,
}

impl<'a> CrewRemains<'a> {
    /// Collects the state.
    pub async fn of(harness: &'a Harness, acted: &'a [Acted]) -> Self {
        let environments = [harness.environment("ci").await, harness.environment("production").await];
        Self {
            harness,
            acted,
            deployments: harness.deployments().await,
            environments: environments.into_iter().flatten().collect(),
            effects: harness.cloud.effects(),
            common: Remains::of(harness, &ANY).await.broken(),
        }
    }

    /// Returns each broken invariant as a sentence. Faults may lose a wake, unless the case is `calm`.
    pub fn broken(&self, calm: bool) -> Vec<String> {
        // A teardown deletes the record of the environment, and its epochs begin again.
        let torn_down = self.acted.iter().any(|acted| acted.act == Act::Teardown);
        let mut broken = self.common.clone();
        broken.retain(|sentence| !torn_down || !sentence.starts_with("1: the epoch of "));
        broken.extend(self.acted.iter().flat_map(|acted| acted.lies.clone()));
        broken.extend(self.acted.iter().filter_map(|acted| acted.run.as_ref()).flat_map(steps_are_bounded));
        broken.extend(self.what_never_began_changed_nothing());
        broken.extend(self.pushes_begin_in_the_order_of_commits());
        broken.extend(self.no_person_is_overtaken());
        broken.extend(self.persons_come_first_in_the_order_asked());
        broken.extend(self.a_hold_keeps_pushes_waiting());
        broken.extend(self.one_question_at_a_time_and_none_twice());
        broken.extend(self.no_deployment_waits_at_a_free_environment(if calm { SOON } else { LOOK }));
        broken.extend(self.a_rollback_returns_to_what_passed());
        broken.extend(self.a_cancelled_deployment_is_closed());
        broken.extend(self.nothing_is_left_in_a_queue());
        broken
    }

    /// Returns each broken invariant but the number of transitions, which depends on the durations.
    pub fn broken_in_any_time(&self) -> Vec<String> {
        self.broken(true).into_iter().filter(|broken| !broken.contains(" transitions, ended ")).collect()
    }

    /// Returns the writes of the environment of a stage, oldest first.
    fn stored(&self, stage: &str) -> Vec<Stored> {
        let key = format!("STAGE#{stage}");
        let written = self.harness.written();
        let own = written.iter().filter(|write| write.kind == "ENVIRONMENT" && write.pk == key);
        own.map(stored).collect()
    }

    fn began(&self, stage: &str) -> Vec<String> {
        let mut began: Vec<String> = Vec::new();
        for holder in self.stored(stage).into_iter().filter_map(|stored| stored.holder) {
            if began.last() != Some(&holder) {
                began.push(holder);
            }
        }
        began
    }

    /// Returns the act of an execution of this case.
    fn act_of(&self, execution: &str) -> Option<&Acted> {
        let id = DeploymentId::of_execution(execution);
        self.acted.iter().find(|acted| acted.run.is_some() && acted.id.as_ref() == Some(&id))
    }

    /// Invariant 1: a deployment that was overtaken, cancelled in the queue or expired made no call that changes a stack.
    fn what_never_began_changed_nothing(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for acted in self.acted {
            let (Some(id), Some(_)) = (&acted.id, &acted.run) else { continue };
            let record = self.deployments.iter().find(|deployment| deployment.id == *id);
            let unbegun = record.is_some_and(|record| record.epoch == 0);
            if !(unbegun || acted.word == "Overtaken" || acted.word == "Expired") {
                continue;
            }
            let steps = ["change-set", "execute", "clear", "rollback", "delete", "destroy"];
            let tokens: BTreeSet<String> =
                steps.iter().flat_map(|step| (1..5).map(|n| client_token(id.as_str(), step, n))).collect();
            if self.effects.iter().any(|effect| tokens.contains(&effect.token)) {
                broken.push(format!("1: {:?} ended {} and changed a stack", acted.act, acted.word));
            }
        }
        broken
    }

    /// Invariant 16: no push replaces the release of a later one.
    fn pushes_begin_in_the_order_of_commits(&self) -> Vec<String> {
        let began = self.began("ci");
        let pushes = began.iter().filter_map(|execution| self.act_of(execution));
        let commits: Vec<i64> = pushes
            .filter(|acted| matches!(acted.act, Act::Push(_)))
            .map(|acted| patch(&acted.version))
            .collect();
        if commits.is_sorted() {
            return Vec::new();
        }
        vec![format!("16: pushes began in the order {commits:?}")]
    }

    /// A push supersedes no deployment that a person asked for.
    fn no_person_is_overtaken(&self) -> Vec<String> {
        let persons = self.acted.iter().filter(|acted| acted.act.is_of_person() && acted.word == "Overtaken");
        persons.map(|acted| format!("16: {:?} was superseded by a push", acted.act)).collect()
    }

    /// Returns each deployment that began in a stage: its execution, when it entered the queue, since when the environment
    /// was free, and when it began. The queue is believed at the first sight of an entry alone: a mistake may lose or move
    /// it.
    fn turns(&self, stage: &str) -> Vec<Turn> {
        let mut asked: BTreeMap<String, Timestamp> = BTreeMap::new();
        let (mut turns, mut holder, mut free): (Vec<Turn>, Option<String>, _) = (Vec::new(), None, None);
        for now in self.stored(stage) {
            for (execution, _) in &now.queue {
                asked.entry(execution.clone()).or_insert(now.at);
            }
            if let Some(execution) = now.holder.clone().filter(|execution| holder.as_ref() != Some(execution))
            {
                let asked = asked.get(&execution).copied().unwrap_or(now.at);
                turns.push(Turn { execution, asked, free: free.unwrap_or(now.at), began: now.at });
            }
            free = if now.holder.is_some() { None } else { free.or(Some(now.at)) };
            holder = now.holder;
        }
        turns
    }

    /// Persons come first, in the order in which they asked.
    fn persons_come_first_in_the_order_asked(&self) -> Vec<String> {
        let of_person =
            |turn: &&Turn| self.act_of(&turn.execution).is_some_and(|acted| acted.act.is_of_person());
        let mut broken = Vec::new();
        for stage in ["ci", "production"] {
            let turns = self.turns(stage);
            for (place, turn) in turns.iter().enumerate() {
                let mut waiting =
                    turns[place + 1..].iter().filter(of_person).filter(|it| it.asked < turn.began);
                if waiting.any(|person| !of_person(&turn) || person.asked < turn.asked) {
                    broken.push(format!("16: {} began before a person who asked earlier", turn.execution));
                }
            }
        }
        broken
    }

    /// Invariant 17: no push begins while its environment has a hold.
    fn a_hold_keeps_pushes_waiting(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let mut before: Option<String> = None;
        for now in self.stored("ci") {
            let began = now.holder.clone().filter(|holder| before.as_ref() != Some(holder));
            let push = began.as_ref().and_then(|execution| self.act_of(execution));
            if now.held_back && push.is_some_and(|acted| matches!(acted.act, Act::Push(_))) {
                broken.push(format!("17: {} began under a hold", began.unwrap_or_default()));
            }
            before = now.holder;
        }
        // The hold may be forgotten, so the answer to the person counts too.
        let heard = |act: Act| self.acted.iter().find(|acted| acted.act == act).and_then(|acted| acted.heard);
        if let (Some(held), Some(resumed)) = (heard(Act::Rollback), heard(Act::Resume)) {
            let is_push =
                |it: &&Turn| self.act_of(&it.execution).is_some_and(|it| matches!(it.act, Act::Push(_)));
            let turns = self.turns("ci");
            let early = turns.iter().filter(is_push).filter(|it| it.began > held && it.began < resumed);
            broken.extend(early.map(|it| format!("17: {} began between hold and resume", it.execution)));
        }
        broken
    }

    /// Invariant 16: an environment has at most one open question, and a deployment asks the same only once.
    fn one_question_at_a_time_and_none_twice(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let mut open: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for write in self.harness.written().iter().filter(|write| write.kind == "DEPLOYMENT") {
            let stage = text(&write.body["stage"]).to_owned();
            let asking = open.entry(stage.clone()).or_default();
            match text(&write.body["state"]) {
                "awaiting_approval" => drop(asking.insert(write.pk.clone())),
                _ => drop(asking.remove(&write.pk)),
            }
            if asking.len() > 1 {
                broken.push(format!("16: {stage} has {} open questions", asking.len()));
            }
        }
        let of_case = |deployment: &&Deployment| self.harness.is_of_this_case(&deployment.execution);
        for deployment in self.deployments.iter().filter(of_case) {
            let mut asked = BTreeSet::new();
            let again =
                deployment.approvals.iter().any(|question| !asked.insert(question.reasons.join("; ")));
            if again {
                broken.push(format!("16: {} asked the same twice", deployment.execution));
            }
        }
        broken
    }

    /// Invariant 19: the turn of a waiting deployment comes soon after its environment is free.
    fn no_deployment_waits_at_a_free_environment(&self, seconds: i64) -> Vec<String> {
        let mut broken = Vec::new();
        for stage in ["ci", "production"] {
            let mut idle: Option<Timestamp> = None;
            for now in self.stored(stage) {
                let waits = now.queue.iter().any(|(_, pushed)| !(*pushed && now.held_back));
                let idles = now.holder.is_none() && waits;
                if let Some(since) =
                    idle.filter(|since| now.at.duration_since(*since) > SignedDuration::from_secs(seconds))
                {
                    broken.push(format!(
                        "19: {stage} was free from {since} to {} while a deployment waited",
                        now.at
                    ));
                    idle = None;
                }
                idle = if idles { idle.or(Some(now.at)) } else { None };
            }
            let has_hold = self.acted.iter().any(|acted| acted.act == Act::Rollback);
            for turn in self.turns(stage) {
                let is_push = self.act_of(&turn.execution).is_some_and(|it| matches!(it.act, Act::Push(_)));
                let since = turn.free.max(turn.asked);
                let late = turn.began.duration_since(since) > SignedDuration::from_secs(seconds);
                if late && !(is_push && has_hold) {
                    broken
                        .push(format!("19: {} waited since {since} for a free environment", turn.execution));
                }
            }
        }
        broken
    }

    /// Invariant 17: a rollback returns to a release that passed its checks there.
    fn a_rollback_returns_to_what_passed(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for acted in self.acted.iter().filter(|acted| acted.act == Act::Rollback) {
            let there = self.deployments.iter().filter(|deployment| {
                deployment.stage.as_str() == "ci"
                    && deployment.version.to_string() == acted.version
                    && acted.id.as_ref() != Some(&deployment.id)
            });
            let fates: Vec<Fate> = there.filter_map(fate_of).collect();
            if fates.contains(&Fate::Failing) || !fates.contains(&Fate::Done) {
                broken.push(format!("17: rolled back into {}, which did not pass there", acted.version));
            }
        }
        broken
    }

    /// Invariant 18: a cancellation that was accepted is on record, and nothing of the deployment follows one in the queue.
    fn a_cancelled_deployment_is_closed(&self) -> Vec<String> {
        let accepted =
            self.acted.iter().filter(|acted| matches!(acted.act, Act::Cancel(_)) && acted.word == "200");
        let mut broken = Vec::new();
        for acted in accepted {
            let record = self.deployments.iter().find(|deployment| acted.id.as_ref() == Some(&deployment.id));
            let Some(record) = record else {
                broken.push(format!("18: {:?} was accepted, and there is no record of it", acted.act));
                continue;
            };
            if record.cancellation.is_none() || !record.state.is_final() {
                broken.push(format!(
                    "18: {:?} was accepted, and the deployment is {:?}",
                    acted.act, record.state
                ));
            }
            if record.epoch == 0 && record.state != DeploymentState::Cancelled {
                broken.push(format!(
                    "18: {:?} was accepted in the queue, and it is {:?}",
                    acted.act, record.state
                ));
            }
        }
        broken
    }

    /// Invariant 10: no queue has an entry after every execution has ended.
    fn nothing_is_left_in_a_queue(&self) -> Vec<String> {
        let left = self
            .environments
            .iter()
            .filter(|environment| !environment.queue.is_empty() || environment.holder.is_some());
        left.map(|environment| {
            let waits = environment.queue.len();
            format!(
                "10: {} is left with {waits} queued, held: {}",
                environment.stage,
                environment.holder.is_some()
            )
        })
        .collect()
    }
}

fn stored(write: &Written) -> Stored {
    let queue = write.body["queue"]["L"].as_array().into_iter().flatten().map(|entry| &entry["M"]);
    let entry = |entry: &Value| (text(&entry["execution"]).to_owned(), entry["pushed"].is_object());
    Stored {
        at: write.at,
        holder: write.body["holder"]["M"]["execution"]["S"].as_str().map(str::to_owned),
        queue: queue.map(entry).collect(),
        held_back: write.body["hold"].is_object(),
    }
}

fn text(value: &Value) -> &str {
    value["S"].as_str().unwrap_or_default()
}
