//! What happens in virtual time: events come, people answer, and what others had begun ends.

use crate::functions::SLOW;
use crate::harness::Harness;
use crate::scenarios::Meanwhile;
use jiff::Timestamp;
use lockstep_domain::delivery::aws_events::ended_operation;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_sim::faults::{Kind, Site};
use serde_json::Value;
use std::pin::Pin;
use std::time::Duration;

/// How long EventBridge and an asynchronous invocation take.
const DELIVERY: Duration = Duration::from_secs(2);
/// How long a function that failed is left alone before it gets its event again, and how often it does.
const REDELIVERY: (Duration, u32) = (Duration::from_secs(60), 2);

/// What happens at its time.
#[derive(Clone, Debug)]
pub enum Happening {
    /// `resume` gets an event, for the nth time.
    Event(Value, u32),
    /// A person answers the question of a deployment, trying for the nth time.
    Answer(DeploymentId, u32),
    /// What a scenario lets happen while a person thinks.
    Meanwhile(Meanwhile),
    /// The execution that holds the environment fails and gives it back.
    RivalEnds,
    /// The execution that brings the same image fails and takes everything back.
    ImageRivalEnds,
    /// The executions that bake the same image are aborted.
    BakeRivalEnds,
    /// Nothing uses any image any more.
    NobodyUsesImages,
    /// AWS takes copies of images again.
    RoomAgain,
}

impl Harness {
    /// Puts something on the agenda.
    pub fn schedule(&self, after: Duration, happening: Happening) {
        let at = self.clock.now() + after;
        self.agenda.borrow_mut().insert((at, self.count()), happening);
    }

    /// What AWS tells of.
    fn told(&self) -> Vec<Value> {
        // A build that ends makes an image.
        [self.codebuild.take_events(), self.cloud.take_events(), self.ec2.take_events()].concat()
    }

    /// What AWS was asked to tell, or tells by itself, goes on its way.
    pub fn collect(&self) {
        for event in self.told() {
            if ended_operation(&event).is_some() {
                self.schedule(DELIVERY, Happening::Event(event, 0));
            }
        }
        for (_, wake) in self.account.take_invocations() {
            self.schedule(DELIVERY, Happening::Event(wake, 0));
        }
    }

    /// When something happens next, if that is before `end`.
    fn next(&self, end: Timestamp) -> Option<Timestamp> {
        let planned = self.agenda.borrow().keys().next().map(|(at, _)| *at);
        let by_themselves = [self.cloud.next_moment(), self.ec2.next_moment(), self.codebuild.next_moment()]
            .into_iter()
            .flatten();
        planned.into_iter().chain(by_themselves).min().filter(|at| *at <= end)
    }

    /// Lets `duration` pass, with everything that happens in it.
    pub fn let_pass(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        Box::pin(async move {
            let end = self.clock.now() + duration;
            self.until(end, || false).await;
        })
    }

    /// Lets time pass until `end`, or until `enough` says so.
    pub async fn until(&self, end: Timestamp, enough: impl Fn() -> bool) {
        loop {
            self.collect();
            if enough() {
                return;
            }
            let Some(next) = self.next(end) else { break };
            self.clock.advance_to(next);
            self.collect();
            let due = {
                let mut agenda = self.agenda.borrow_mut();
                let first = agenda.first_entry().filter(|entry| entry.key().0 <= self.clock.now());
                first.map(|entry| entry.remove())
            };
            if let Some(happening) = due {
                self.happen(happening).await;
            }
        }
        self.clock.advance_to(end);
    }

    async fn happen(&self, happening: Happening) {
        match happening {
            Happening::Event(event, tries) => self.tell(event, tries).await,
            Happening::Answer(id, tries) => self.decide(id, tries).await,
            Happening::Meanwhile(what) => what.happen(self),
            Happening::RivalEnds => crate::stacks::scenarios::end_rival(self).await,
            Happening::BakeRivalEnds => crate::bakes::scenarios::end_rival(self),
            Happening::NobodyUsesImages => self.ec2.refer_no_more(),
            Happening::RoomAgain => self.ec2.set_copies_at_once(20),
            Happening::ImageRivalEnds => crate::images::scenarios::end_rival(self).await,
        }
    }

    /// `resume` gets an event: not, once, or twice; again later if it fails.
    async fn tell(&self, event: Value, tries: u32) {
        let operation = ended_operation(&event).unwrap_or_default();
        let is_wake = event.get("wake").is_some();
        let what = operation.split('#').next().unwrap_or_default().rsplit('/').nth(1).unwrap_or("approval");
        let what = what.rsplit(':').next().unwrap_or_default();
        let struck = match tries {
            // A wake was struck, or not, where it was sent.
            0 if !is_wake => self.faults.meet(&format!("event of {what}"), Site::Event),
            _ => None,
        };
        match struck {
            Some(Kind::Before) => return,
            Some(Kind::Slow) => return self.schedule(SLOW, Happening::Event(event, 1)),
            Some(Kind::Twice) => self.schedule(DELIVERY, Happening::Event(event.clone(), 1)),
            _ => {}
        }
        self.faults.set_aside(true);
        let told = self.function("resume", &event).await;
        self.faults.set_aside(false);
        if told.is_err() && tries < REDELIVERY.1 {
            self.schedule(REDELIVERY.0, Happening::Event(event, tries + 1));
        }
    }
}
