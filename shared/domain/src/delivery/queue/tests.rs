use super::*;
use crate::delivery::environment::{acquire, competing_holder, release_lease};
use crate::model::ids::DeploymentId;
use crate::records::{DeploymentState, Hold, testing};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

mod wakes;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn deployment(name: &str, version: &str) -> Deployment {
    let body = testing::deploy("logs", "ci-logs");
    Deployment::new(testing::start(name, version, "ci"), body)
}

/// Returns the entry of a deployment that a person asked for.
fn asked(name: &str, second: i64) -> QueuedDeployment {
    entry(&deployment(name, "1.0.0"), None, at(second))
}

/// Returns the entry of a push whose release was packaged at a second.
fn pushed(name: &str, version: &str, packaged: i64, second: i64) -> QueuedDeployment {
    entry(&deployment(name, version), Some(at(packaged)), at(second))
}

fn free() -> Environment {
    Environment::new("ci".parse().unwrap(), "logs", "logs".parse().unwrap())
}

fn held() -> Environment {
    acquire(None, &deployment("holder", "1.0.0"), at(0)).unwrap().environment
}

fn joined(environment: &Environment, asks: &QueuedDeployment) -> Environment {
    join(environment, asks).unwrap().environment
}

fn names(queue: &[QueuedDeployment]) -> Vec<String> {
    queue.iter().map(|queued| queued.execution.clone()).collect()
}

#[test]
fn a_free_environment_is_acquired_and_a_held_one_waited_for() {
    let asks = asked("a", 1);
    assert_eq!(turn(&free(), &asks, false), Turn::Acquire);
    assert_eq!(turn(&held(), &asks, true), Turn::Queue);
    assert_eq!(due(&joined(&held(), &asks)), None);
    assert_eq!(due(&joined(&free(), &asks)), Some(&asks));
}

#[test]
fn persons_come_before_pushes_in_the_order_asked() {
    let mut environment = free();
    let (push, first, second) = (pushed("push", "1.0.1", 0, 1), asked("first", 2), asked("second", 3));
    for asks in [&push, &first, &second] {
        environment = joined(&environment, asks);
    }
    for asks in [&first, &second, &push] {
        for other in environment.queue.iter().filter(|other| *other != asks) {
            assert_eq!(turn(&environment, other, false), Turn::Queue, "{}", other.execution);
        }
        assert_eq!(super::first(&environment), Some(asks));
        assert_eq!(turn(&environment, asks, false), Turn::Acquire);
        environment = enter(&environment, asks).environment;
    }
    assert_eq!(environment.queue, []);
}

#[test]
fn a_newcomer_does_not_pass_a_free_environment_with_a_queue() {
    let environment = joined(&free(), &asked("a", 1));
    assert_eq!(turn(&environment, &asked("b", 2), false), Turn::Queue);
    assert_eq!(turn(&without(&environment, &asked("a", 9)), &asked("b", 2), false), Turn::Acquire);
}

#[test]
fn a_newer_push_overtakes_older_ones_and_no_person() {
    let mut environment = held();
    for asks in [pushed("old", "1.0.1", 10, 11), asked("person", 12)] {
        environment = joined(&environment, &asks);
    }
    let requeued = join(&environment, &pushed("new", "1.0.2", 20, 21)).unwrap();
    assert_eq!(names(&requeued.overtaken), ["old"]);
    assert_eq!(names(&requeued.environment.queue), ["person", "new"]);
    let overtaken = Turn::Overtaken("1.0.2".parse().unwrap());
    for is_held in [true, false] {
        assert_eq!(turn(&requeued.environment, &pushed("old", "1.0.1", 10, 22), is_held), overtaken);
    }
}

#[test]
fn the_order_of_commits_decides_and_not_the_version() {
    // The author set the version back: the later commit has the lower version.
    let requeued = enter(&free(), &pushed("later", "1.9.0", 20, 21));
    let earlier = pushed("earlier", "2.0.0", 10, 22);
    assert_eq!(turn(&requeued.environment, &earlier, false), Turn::Overtaken("1.9.0".parse().unwrap()));
}

#[test]
fn an_older_push_is_overtaken_even_after_the_newer_one_has_ended() {
    let entered = enter(&free(), &pushed("new", "1.0.2", 20, 21)).environment;
    assert_eq!(
        turn(&entered, &pushed("old", "1.0.1", 10, 99), false),
        Turn::Overtaken("1.0.2".parse().unwrap())
    );
    assert_eq!(turn(&entered, &asked("by hand", 99), false), Turn::Acquire);
    let failure = overtaken(&deployment("old", "1.0.1"), &"1.0.2".parse().unwrap());
    assert_eq!(failure.kind, FailureKind::Overtaken);
    assert!(failure.message.starts_with("superseded in ci by 1.0.2"), "{failure}");
    assert!(failure.message.ends_with("lockstep deploy logs@1.0.1 --in ci"), "{failure}");
}

#[test]
fn a_deployment_that_asks_again_keeps_its_place_and_gets_a_new_callback() {
    let asks = asked("a", 1);
    let once = joined(&held(), &asks);
    let again = joined(&once, &asked("a", 5));
    assert_eq!((again.queue[0].ticket, again.queue[0].since), (2, at(1)));
    assert_ne!(operation(&again.queue[0]), operation(&once.queue[0]));
}

#[test]
fn a_hold_keeps_pushes_waiting_and_no_person() {
    let hold = Hold { by: "ada".into(), reason: "bad night".into(), at: at(0) };
    let mut environment = Environment { hold: Some(hold), ..free() };
    let (push, person) = (pushed("push", "1.0.1", 1, 1), asked("person", 2));
    assert_eq!(turn(&environment, &push, false), Turn::Queue);
    environment = joined(&environment, &push);
    assert_eq!(due(&environment), None);
    assert_eq!(turn(&environment, &person, false), Turn::Acquire);
    environment.hold = None;
    assert_eq!(due(&environment), Some(&push));
    assert_eq!(turn(&environment, &push, false), Turn::Acquire);
}

#[test]
fn without_superseding_every_push_begins_in_the_order_of_commits() {
    let in_order = |name: &str, version: &str, packaged: i64| QueuedDeployment {
        in_order: true,
        ..pushed(name, version, packaged, 50)
    };
    let mut environment = held();
    for asks in [in_order("second", "1.0.2", 20), asked("person", 12), in_order("first", "1.0.1", 10)] {
        let requeued = join(&environment, &asks).unwrap();
        assert_eq!(requeued.overtaken, []);
        environment = requeued.environment;
    }
    environment.holder = None;
    let mut began = Vec::new();
    while let Some(next) = due(&environment).cloned() {
        assert_eq!(turn(&environment, &next, false), Turn::Acquire);
        let entered = enter(&environment, &next);
        assert_eq!(entered.overtaken, []);
        environment = entered.environment;
        began.push(next.execution);
    }
    assert_eq!(began, ["person", "first", "second"]);
    // A release that comes after a newer one began would undo it.
    let late = in_order("late", "1.0.0", 5);
    assert_eq!(turn(&environment, &late, false), Turn::Overtaken("1.0.2".parse().unwrap()));
}

#[test]
fn a_full_queue_admits_no_other_deployment() {
    let mut environment = held();
    for number in 0..QUEUE_MAX {
        environment = joined(&environment, &asked(&format!("{number}"), 1));
    }
    assert!(join(&environment, &asked("0", 2)).is_ok());
    assert_eq!(join(&environment, &asked("one more", 2)).unwrap_err().kind, FailureKind::Rejected);
}

#[test]
fn a_question_counts_the_deployments_behind_it() {
    let mut environment = held();
    assert_eq!(behind(&environment), None);
    environment = joined(&environment, &asked("a", 1));
    assert_eq!(behind(&environment).unwrap(), "1 deployment waits behind it, of 1.0.0");
    environment = joined(&environment, &pushed("b", "1.0.4", 1, 2));
    assert_eq!(behind(&environment).unwrap(), "2 deployments wait behind it, the newest of 1.0.4");
}

/// An event in the life of one environment.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A person asks for a deployment.
    Ask,
    /// A push brings the next release.
    Push,
    /// A push whose release was packaged long ago comes late.
    LatePush,
    /// The holder asks its question.
    Question,
    /// The holder ends: after an answer, a success or a failure.
    End,
    /// The nth queued deployment asks again: it was woken, or its timeout came.
    Retry(usize),
    /// The execution of the nth queued deployment ends.
    Die(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => Just(Event::Ask),
        3 => Just(Event::Push),
        1 => Just(Event::LatePush),
        3 => Just(Event::Question),
        4 => Just(Event::End),
        4 => (0usize..6).prop_map(Event::Retry),
        1 => (0usize..6).prop_map(Event::Die),
    ]
}

/// One environment with all its deployments.
struct Timeline {
    environment: Environment,
    entries: BTreeMap<DeploymentId, QueuedDeployment>,
    states: BTreeMap<DeploymentId, DeploymentState>,
    dead: BTreeSet<DeploymentId>,
    overtaken: BTreeSet<DeploymentId>,
    began: Vec<QueuedDeployment>,
    questions: BTreeMap<DeploymentId, u32>,
    now: i64,
}

impl Timeline {
    fn new() -> Self {
        Self {
            environment: free(),
            entries: BTreeMap::new(),
            states: BTreeMap::new(),
            dead: BTreeSet::new(),
            overtaken: BTreeSet::new(),
            began: Vec::new(),
            questions: BTreeMap::new(),
            now: 1000,
        }
    }

    /// Begins a deployment as the function does.
    fn begin(&mut self, asks: &QueuedDeployment) {
        let deployment = deployment(&asks.execution, &asks.version.to_string());
        self.entries.insert(deployment.id.clone(), asks.clone());
        let is_held = competing_holder(Some(&self.environment), &deployment).is_some();
        while let Some(dead) = first(&self.environment).filter(|first| self.dead.contains(&first.deployment))
        {
            self.environment = without(&self.environment, &dead.clone());
        }
        match turn(&self.environment, asks, is_held) {
            Turn::Overtaken(_) => drop(self.overtaken.insert(deployment.id)),
            Turn::Expired => unreachable!("no fortnight passes"),
            Turn::Queue => self.environment = join(&self.environment, asks).unwrap().environment,
            Turn::Acquire => {
                let taken = acquire(Some(&self.environment), &deployment, at(self.now)).unwrap();
                self.environment = enter(&taken.environment, asks).environment;
                self.states.insert(deployment.id, DeploymentState::Running);
                self.began.push(asks.clone());
            }
        }
    }

    fn holder(&self) -> Option<DeploymentId> {
        self.environment.holder.as_ref().map(|holder| holder.deployment.clone())
    }

    /// Ends the holder, and wakes the deployment whose turn it is.
    fn end(&mut self) {
        let Some(holder) = self.holder() else { return };
        let entry = self.entries[&holder].clone();
        let ended = deployment(&entry.execution, &entry.version.to_string());
        self.environment = release_lease(&self.environment, &ended);
        self.states.insert(holder, DeploymentState::Succeeded);
        if let Some(next) = due(&self.environment).cloned() {
            self.begin(&next);
        }
    }

    fn nth(&self, number: usize) -> Option<QueuedDeployment> {
        self.environment.queue.get(number).filter(|queued| !self.dead.contains(&queued.deployment)).cloned()
    }

    fn happen(&mut self, event: Event) {
        self.now += 1;
        let (now, name) = (self.now, format!("e{}", self.now));
        match event {
            Event::Ask => self.begin(&asked(&name, now)),
            Event::Push => self.begin(&pushed(&name, &format!("1.0.{now}"), now, now)),
            Event::LatePush => self.begin(&pushed(&name, &format!("1.0.{}", now - 500), now - 500, now)),
            Event::Question => {
                if let Some(holder) = self.holder() {
                    self.states.insert(holder.clone(), DeploymentState::AwaitingApproval);
                    *self.questions.entry(holder).or_default() = 1;
                }
            }
            Event::End => self.end(),
            Event::Retry(number) => {
                if let Some(queued) = self.nth(number) {
                    self.begin(&queued);
                }
            }
            Event::Die(number) => {
                if let Some(queued) = self.nth(number) {
                    self.dead.insert(queued.deployment);
                }
            }
        }
    }
}

proptest! {
    /// Invariant 16, and the end of every deployment: it begins once, or was overtaken by a newer push, or is dead.
    #[test]
    fn every_deployment_begins_once_or_is_overtaken(events in prop::collection::vec(event(), 1..60)) {
        let mut timeline = Timeline::new();
        for event in events {
            timeline.happen(event);
            let open = timeline.states.iter().filter(|(_, state)| **state == DeploymentState::AwaitingApproval);
            prop_assert!(open.count() <= 1, "an environment has at most one open question");
            let pushes = timeline.environment.queue.iter().filter(|queued| queued.pushed.is_some());
            prop_assert!(pushes.count() <= 1, "only the newest push waits");
        }
        // Every waiting state looks again after its timeout, and every holder ends.
        for _ in 0..=2 * timeline.entries.len() {
            if timeline.holder().is_some() {
                timeline.end();
            }
            for queued in timeline.environment.queue.clone() {
                if !timeline.dead.contains(&queued.deployment) {
                    timeline.begin(&queued);
                }
            }
        }
        prop_assert_eq!(timeline.holder(), None);
        let began: BTreeSet<&DeploymentId> = timeline.began.iter().map(|queued| &queued.deployment).collect();
        prop_assert_eq!(began.len(), timeline.began.len(), "no deployment begins twice");
        for (id, entry) in &timeline.entries {
            let ends = [began.contains(id), timeline.overtaken.contains(id), timeline.dead.contains(id)];
            let gone = entry.pushed.is_some() && newer_push(&timeline.environment, entry).is_some();
            prop_assert!(ends.contains(&true) || gone, "{} neither began nor ended", entry.execution);
            prop_assert!(entry.pushed.is_some() || !timeline.overtaken.contains(id), "a person is not overtaken");
        }
        // Pushes begin in the order of their commits.
        let pushes: Vec<Timestamp> = timeline.began.iter().filter_map(|queued| queued.pushed).collect();
        prop_assert!(pushes.is_sorted(), "an older push began after a newer one");
    }
}
