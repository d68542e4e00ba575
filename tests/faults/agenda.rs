//! The agenda of virtual time: delivery of events, answers of approvers, and the end of operations that rivals began.

use crate::functions::SLOW;
use crate::harness::Harness;
use crate::scenarios::Meanwhile;
use jiff::Timestamp;
use lockstep_domain::delivery::aws_events::ended_operation;
use lockstep_domain::messages::resume::Request;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_sim::faults::{Kind, Site};
use serde_json::Value;
use std::pin::Pin;
use std::time::Duration;

/// The delay of EventBridge and of an asynchronous invocation.
const DELIVERY: Duration = Duration::from_secs(2);
/// The delay before a failed function gets its event again, and the number of redeliveries.
const REDELIVERY: (Duration, u32) = (Duration::from_secs(60), 2);

/// An action that takes place at its time.
#[derive(Clone, Debug)]
pub enum Happening {
    /// `resume` receives an event, on its nth attempt.
    Event(Value, u32),
    /// An approver answers the question of a deployment, on the nth attempt.
    Answer(DeploymentId, u32),
    /// The action that a scenario places while the approver thinks.
    Meanwhile(Meanwhile),
    /// The execution that holds the environment fails and releases it.
    RivalEnds,
    /// The execution that promotes the same image fails and undoes its effects.
    ImageRivalEnds,
    /// The executions that bake the same image are aborted.
    BakeRivalEnds,
    /// No instance uses an image any more.
    NobodyUsesImages,
    /// AWS accepts copies of images again.
    RoomAgain,
}

impl Harness {
    /// Schedules a happening on the agenda.
    pub fn schedule(&self, after: Duration, happening: Happening) {
        let at = self.clock.now() + after;
        self.agenda.borrow_mut().insert((at, self.count()), happening);
    }

    /// Returns the events that AWS raised.
    fn raised(&self) -> Vec<Value> {
        // The end of a build creates an image, so its events come first.
        [self.codebuild.take_events(), self.cloud.take_events(), self.ec2.take_events()].concat()
    }

    /// Schedules the events that AWS raised, and the requests of functions that `resume` looks.
    ///
    /// Has `resume` carry out a registration at once, because its caller waits for that. One that fails comes again,
    /// as the retry of its state sends it.
    pub fn collect(&self) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        Box::pin(async move {
            for event in self.raised() {
                if ended_operation(&event).is_some() {
                    self.schedule(DELIVERY, Happening::Event(event, 0));
                }
            }
            for (_, request) in self.account.take_invocations() {
                if request["register"].is_object() {
                    self.deliver(request, 0).await;
                } else {
                    self.schedule(DELIVERY, Happening::Event(request, 0));
                }
            }
        })
    }

    /// Returns the time of the next happening, if it is before `end`.
    fn next(&self, end: Timestamp) -> Option<Timestamp> {
        let planned = self.agenda.borrow().keys().next().map(|(at, _)| *at);
        let simulated = [self.cloud.next_moment(), self.ec2.next_moment(), self.codebuild.next_moment()]
            .into_iter()
            .flatten();
        planned.into_iter().chain(simulated).min().filter(|at| *at <= end)
    }

    /// Lets `duration` pass, with all happenings in it.
    pub fn let_pass(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        Box::pin(async move {
            let end = self.clock.now() + duration;
            self.until(end, || false).await;
        })
    }

    /// Lets time pass until `end`, or until `enough` returns true.
    pub async fn until(&self, end: Timestamp, enough: impl Fn() -> bool) {
        loop {
            self.collect().await;
            if enough() {
                return;
            }
            let Some(next) = self.next(end) else { break };
            self.clock.advance_to(next);
            self.collect().await;
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
            Happening::Event(event, tries) => self.deliver(event, tries).await,
            Happening::Answer(id, tries) => self.decide(id, tries).await,
            Happening::Meanwhile(what) => what.happen(self),
            Happening::RivalEnds => crate::stacks::scenarios::end_rival(self).await,
            Happening::BakeRivalEnds => crate::bakes::scenarios::end_rival(self),
            Happening::NobodyUsesImages => self.ec2.refer_no_more(),
            Happening::RoomAgain => self.ec2.set_copies_at_once(20),
            Happening::ImageRivalEnds => crate::images::scenarios::end_rival(self).await,
        }
    }

    /// Delivers an event to `resume`: not at all, once, or twice. Delivers it again later if the function fails.
    async fn deliver(&self, event: Value, tries: u32) {
        let operation = ended_operation(&event).unwrap_or_default();
        let is_request = serde_json::from_value::<Request>(event.clone()).is_ok();
        let what = operation.split('#').next().unwrap_or_default().rsplit('/').nth(1).unwrap_or("approval");
        let what = what.rsplit(':').next().unwrap_or_default();
        let struck = match tries {
            // A request meets its fault where it is sent.
            0 if !is_request => self.faults.meet(&format!("event of {what}"), Site::Event),
            _ => None,
        };
        match struck {
            Some(Kind::Before) => return,
            Some(Kind::Slow) => return self.schedule(SLOW, Happening::Event(event, 1)),
            Some(Kind::Twice) => self.schedule(DELIVERY, Happening::Event(event.clone(), 1)),
            _ => {}
        }
        self.faults.set_aside(true);
        let delivered = self.function("resume", &event).await;
        self.faults.set_aside(false);
        if delivered.is_err() && tries < REDELIVERY.1 {
            self.schedule(REDELIVERY.0, Happening::Event(event, tries + 1));
        }
    }
}
