//! Lost, late and repeated wakes: a deployment looks by itself after an hour, and the sweep wakes the one whose turn it is.
//! No wake of an overtaken deployment arrives here: only its look finds that.

use super::*;
use crate::delivery::environment::{Acquired, abandon, release_dead_holder};
use crate::records::Hold;

/// The seconds after which a waiting state looks by itself, as `AwaitTurn` in `statemachines/deploy.asl.yaml`.
const LOOK: i64 = 3600;

/// The seconds between two sweeps.
const SWEEP: i64 = 24 * 3600;

/// The step of one deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Its state waits for a wake, since this time.
    Waits(i64),
    /// It holds the environment.
    Holds,
    /// It has ended, whatever its end.
    Ended,
    /// Its execution died, and no record says so.
    Dead,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Ask,
    Push,
    LatePush,
    /// The holder ends, and its wakes arrive or not.
    End {
        wakes: bool,
    },
    /// The holder's execution dies.
    HolderDies,
    /// The nth deployment that waits dies.
    Die(usize),
    /// An operator cancels the nth deployment that waits. The wake may be lost.
    Cancel(usize, bool),
    /// The nth wake so far arrives again.
    Repeat(usize),
    Hold,
    Resume {
        wakes: bool,
    },
    /// Hours pass.
    Pass(u8),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => Just(Event::Ask),
        3 => Just(Event::Push),
        1 => Just(Event::LatePush),
        4 => any::<bool>().prop_map(|wakes| Event::End { wakes }),
        1 => Just(Event::HolderDies),
        1 => (0usize..4).prop_map(Event::Die),
        2 => (0usize..4, any::<bool>()).prop_map(|(n, wakes)| Event::Cancel(n, wakes)),
        2 => (0usize..9).prop_map(Event::Repeat),
        1 => Just(Event::Hold),
        1 => any::<bool>().prop_map(|wakes| Event::Resume { wakes }),
        2 => (0u8..40).prop_map(Event::Pass),
    ]
}

/// One environment, the deployments that ask for it, and what finds a lost wake.
struct Hall {
    environment: Environment,
    steps: BTreeMap<DeploymentId, (QueuedDeployment, Step)>,
    woken: Vec<DeploymentId>,
    now: i64,
    looks: bool,
    sweeps: bool,
    /// True if a stage runs the releases of all pushes.
    in_order: bool,
    began: Vec<QueuedDeployment>,
}

impl Hall {
    fn new(looks: bool, sweeps: bool) -> Self {
        Self {
            environment: free(),
            steps: BTreeMap::new(),
            woken: Vec::new(),
            now: 1000,
            looks,
            sweeps,
            in_order: false,
            began: Vec::new(),
        }
    }

    fn is(&self, id: &DeploymentId, step: fn(Step) -> bool) -> bool {
        self.steps.get(id).is_some_and(|(_, own)| step(*own))
    }

    fn set(&mut self, id: &DeploymentId, step: Step) {
        if let Some(known) = self.steps.get_mut(id) {
            known.1 = step;
        }
    }

    fn is_dead(&self, id: &DeploymentId) -> bool {
        self.is(id, |step| step == Step::Dead)
    }

    /// Asks for the environment, as the state `Begin` does.
    fn begin(&mut self, asks: &QueuedDeployment) {
        let asks = QueuedDeployment { since: at(self.now), ..asks.clone() };
        let wanted = deployment(&asks.execution, &asks.version.to_string());
        self.steps.entry(wanted.id.clone()).or_insert((asks.clone(), Step::Waits(self.now)));
        if let Some(holder) = self.holder().filter(|holder| self.is_dead(holder)) {
            self.release_dead(&holder);
        }
        let is_held = competing_holder(Some(&self.environment), &wanted).is_some();
        while !is_held
            && let Some(dead) = first(&self.environment).filter(|first| self.is_dead(&first.deployment))
        {
            self.environment = without(&self.environment, &dead.clone());
        }
        match turn(&self.environment, &asks, is_held) {
            Turn::Overtaken(_) | Turn::Expired => {
                self.environment = without(&self.environment, &asks);
                self.set(&wanted.id, Step::Ended);
                self.wake_due(true);
            }
            Turn::Queue => {
                let joined = join(&self.environment, &asks).unwrap();
                self.environment = joined.environment;
                self.set(&wanted.id, Step::Waits(self.now));
                self.wake_due(true);
            }
            Turn::Acquire => {
                let Acquired { environment, .. } =
                    acquire(Some(&self.environment), &wanted, at(self.now)).unwrap();
                self.environment = enter(&environment, &asks).environment;
                self.set(&wanted.id, Step::Holds);
                self.began.push(asks);
            }
        }
    }

    fn holder(&self) -> Option<DeploymentId> {
        self.environment.holder.as_ref().map(|holder| holder.deployment.clone())
    }

    fn release_dead(&mut self, holder: &DeploymentId) {
        let entry = self.steps[holder].0.clone();
        let dead = deployment(&entry.execution, &entry.version.to_string());
        assert!(abandon(&dead, "taken over", at(self.now)).is_some());
        self.environment = release_dead_holder(&self.environment, &dead, at(self.now));
        self.set(holder, Step::Ended);
    }

    /// Wakes the deployment whose turn it is. The wake is lost unless it `arrives`.
    fn wake_due(&mut self, arrives: bool) {
        let Some(next) = due(&self.environment).cloned() else { return };
        self.woken.push(next.deployment.clone());
        if arrives {
            self.wake(&next.deployment);
        }
    }

    fn wake(&mut self, id: &DeploymentId) {
        if self.is(id, |step| matches!(step, Step::Waits(_))) {
            let asks = self.steps[id].0.clone();
            self.begin(&asks);
        }
    }

    fn end(&mut self, wakes: bool) {
        let Some(holder) = self.holder().filter(|holder| !self.is_dead(holder)) else { return };
        let entry = self.steps[&holder].0.clone();
        let ended = deployment(&entry.execution, &entry.version.to_string());
        self.environment = release_lease(&self.environment, &ended);
        self.set(&holder, Step::Ended);
        self.wake_due(wakes);
    }

    fn waiting(&self, number: usize) -> Option<DeploymentId> {
        let waits = self.environment.queue.iter().map(|queued| &queued.deployment);
        waits.filter(|id| self.is(id, |step| matches!(step, Step::Waits(_)))).nth(number).cloned()
    }

    fn cancel(&mut self, id: &DeploymentId, wakes: bool) {
        let entry = self.steps[id].0.clone();
        self.environment = without(&self.environment, &entry);
        // The record is closed in the same transaction, so the state ends when it looks, and begins never.
        self.set(id, Step::Ended);
        self.wake_due(wakes);
    }

    /// Lets time pass: each state that waited for an hour looks, and once a day the sweep does.
    fn pass(&mut self, seconds: i64) {
        let end = self.now + seconds;
        while self.now < end {
            self.now += LOOK / 2;
            let late = |(_, step): &&(QueuedDeployment, Step)| matches!(step, Step::Waits(since) if self.now - since >= LOOK);
            let due: Vec<QueuedDeployment> =
                self.steps.values().filter(late).map(|(asks, _)| asks.clone()).collect();
            let looking = if self.looks { due } else { Vec::new() };
            for asks in looking {
                // An earlier look of the same moment may have ended this one.
                self.wake(&asks.deployment);
            }
            if self.sweeps && self.now / SWEEP > (self.now - LOOK / 2) / SWEEP {
                self.sweep();
            }
        }
    }

    /// Does what the sweep proposes and the owner carries out.
    fn sweep(&mut self) {
        match self.holder() {
            Some(holder) if self.is_dead(&holder) => self.release_dead(&holder),
            Some(_) => return,
            None => {}
        }
        for queued in self.environment.queue.clone() {
            if self.is_dead(&queued.deployment) {
                self.environment = without(&self.environment, &queued);
            }
        }
        self.wake_due(true);
    }

    fn happen(&mut self, event: Event) {
        self.now += 1;
        let (now, name) = (self.now, format!("e{}-{}", self.now, self.steps.len()));
        let push = |packaged: i64, hall: &Self| QueuedDeployment {
            in_order: hall.in_order,
            ..pushed(&name, &format!("1.0.{packaged}"), packaged, now)
        };
        match event {
            Event::Ask => self.begin(&asked(&name, now)),
            Event::Push => self.begin(&push(now, self)),
            Event::LatePush => self.begin(&push(now - 500, self)),
            Event::End { wakes } => self.end(wakes),
            Event::HolderDies => {
                if let Some(holder) = self.holder() {
                    self.set(&holder, Step::Dead);
                }
            }
            Event::Die(number) => {
                if let Some(id) = self.waiting(number) {
                    self.set(&id, Step::Dead);
                }
            }
            Event::Cancel(number, wakes) => {
                if let Some(id) = self.waiting(number) {
                    self.cancel(&id, wakes);
                }
            }
            Event::Repeat(number) => {
                if let Some(id) = self.woken.get(number).cloned() {
                    self.wake(&id);
                }
            }
            Event::Hold => {
                self.environment.hold = Some(Hold { by: "ada".into(), reason: "why".into(), at: at(now) });
            }
            Event::Resume { wakes } => {
                self.environment.hold = None;
                self.wake_due(wakes);
            }
            Event::Pass(hours) => self.pass(i64::from(hours) * LOOK),
        }
    }

    /// Returns true if a deployment waits although it could hold the environment.
    fn idles(&self) -> bool {
        let waits =
            |queued: &QueuedDeployment| self.is(&queued.deployment, |step| matches!(step, Step::Waits(_)));
        let is_free = self.holder().is_none_or(|holder| self.is_dead(&holder));
        is_free && self.environment.hold.is_none() && self.environment.queue.iter().any(waits)
    }

    /// Lets a day pass for each deployment, and the holder end after each without a wake.
    fn settle(&mut self) {
        self.environment.hold = None;
        for _ in 0..=self.steps.len() {
            self.pass(SWEEP);
            self.end(false);
        }
    }
}

/// Returns a hall in which one deployment waits, and the wake at the end of the holder is lost.
fn with_a_lost_wake(looks: bool, sweeps: bool) -> (Hall, DeploymentId) {
    let mut hall = Hall::new(looks, sweeps);
    hall.begin(&asked("holder", 1));
    let waiter = asked("waiter", 2);
    hall.begin(&waiter);
    hall.end(false);
    assert!(hall.idles());
    (hall, waiter.deployment)
}

#[test]
fn a_lost_wake_is_found_by_a_look_or_by_the_sweep() {
    for (looks, sweeps, within) in [(true, false, LOOK), (false, true, SWEEP), (true, true, LOOK)] {
        let (mut hall, waiter) = with_a_lost_wake(looks, sweeps);
        hall.pass(within);
        assert_eq!(hall.holder(), Some(waiter), "looks: {looks}, sweeps: {sweeps}");
    }
}

#[test]
fn without_a_look_and_a_sweep_a_lost_wake_is_never_found() {
    let (mut hall, _) = with_a_lost_wake(false, false);
    hall.pass(31 * SWEEP);
    assert!(hall.idles(), "the tests would not see a lost wake");
}

#[test]
fn a_deployment_whose_turn_does_not_come_expires() {
    let mut hall = Hall::new(true, true);
    hall.begin(&asked("holder", 1));
    let waiter = asked("waiter", 2);
    hall.begin(&waiter);
    hall.pass(13 * SWEEP);
    assert!(hall.is(&waiter.deployment, |step| matches!(step, Step::Waits(_))));
    hall.pass(SWEEP + 2 * LOOK);
    assert!(hall.is(&waiter.deployment, |step| step == Step::Ended));
    assert_eq!(hall.environment.queue, []);
    // A deployment that may begin does not expire, however late it looks.
    hall.looks = false;
    let late = asked("late", hall.now);
    hall.begin(&late);
    hall.pass(20 * SWEEP);
    hall.looks = true;
    hall.end(false);
    hall.pass(2 * LOOK);
    assert_eq!(hall.began.len(), 2);
}

proptest! {
    /// Invariant 19 of waiting deployments: each begins, is overtaken, is cancelled, expires or is dead, whichever wakes
    /// are lost, late or repeated. None waits for more than an hour while the environment is free.
    #[test]
    fn no_deployment_waits_for_ever(
        events in prop::collection::vec(event(), 1..50),
        sweeps in any::<bool>(),
        in_order in any::<bool>(),
    ) {
        let mut hall = Hall { in_order, ..Hall::new(true, sweeps) };
        for event in events {
            hall.happen(event);
            if hall.idles() {
                let began = hall.began.len();
                hall.pass(2 * LOOK);
                prop_assert!(!hall.idles() || hall.began.len() > began, "a free environment was left alone");
            }
        }
        hall.settle();
        let left = hall.steps.values().filter(|(_, step)| matches!(step, Step::Waits(_) | Step::Holds));
        prop_assert_eq!(left.count(), 0, "a deployment waits for ever");
        let began: BTreeSet<&DeploymentId> = hall.began.iter().map(|queued| &queued.deployment).collect();
        prop_assert_eq!(began.len(), hall.began.len(), "a deployment began twice");
        let pushes: Vec<Timestamp> = hall.began.iter().filter_map(|queued| queued.pushed).collect();
        prop_assert!(pushes.is_sorted(), "an older push began after a newer one");
    }
}
