//! What the scheduled sweep does with what no event told of.
//!
//! It runs over and over, and twice at once where a schedule fires twice: each decision depends on what is there alone,
//! and whatever it starts has a name made of that. Unknown frees nothing, removes nothing and is not waited for.

use crate::delivery::approval;
use crate::delivery::environment;
use crate::delivery::manifest::TTL_MINUTES;
use crate::delivery::webhook_delivery;
use crate::model::ids::{CommitSha, DeploymentId};
use crate::model::token::client_token;
use crate::records::{
    Approval, Callback, CallbackState, DeliveryOutcome, Deployment, DeploymentKind, DeploymentState,
    Environment, Image, ImageState, Repository, WebhookDelivery, WebhookDeliveryState,
};
use jiff::{Timestamp, ToSpan};
use std::collections::BTreeSet;

/// How long whoever accepted an event may take to start its execution, in minutes.
pub const EVENT_MINUTES: i64 = 5;

/// What the deliveries begin with that nobody sent: the sweep saw the head of a branch.
pub const HEAD_DELIVERY: &str = "head-";

/// How long an open wait is left alone, in minutes. A state that waits looks for itself four times as often.
pub const WAIT_MINUTES: i64 = 60;

/// How long after a failed removal of a throw-away environment it is tried again, in hours.
pub const RETRY_HOURS: i64 = 24;

/// How long an execution may hold an environment, in days: as long as any may run. After that a person should look,
/// whatever is known of it.
pub const HOLD_DAYS: i64 = 14;

/// Whether `at` is at least `span` ago.
fn is_past(at: Timestamp, span: jiff::Span, now: Timestamp) -> bool {
    at.checked_add(span).is_ok_and(|end| end <= now)
}

/// Whether somebody should look at an environment that is held since `since`, though nothing is known to be wrong.
pub fn is_held_too_long(since: Timestamp, now: Timestamp) -> bool {
    is_past(since, (HOLD_DAYS * 24).hours(), now)
}

/// What to do with an event that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryStep {
    /// It is over, or young.
    Leave,
    /// Start its execution, which nobody may have done.
    Start,
    /// A later push to the same place was accepted: write it down as overtaken.
    Supersede(Box<WebhookDelivery>),
    /// See whether its execution still runs, then ask [`event_of_ended`].
    Look,
}

/// What to do with `event`; `others` are the events of late, in any order.
///
/// An old push is never started after a newer one: that would bring an older commit to where the newer one is. A head
/// that the sweep saw is not started either if a delivery came after all.
pub fn event(event: &WebhookDelivery, others: &[WebhookDelivery], now: Timestamp) -> DeliveryStep {
    if !is_past(event.accepted_at, EVENT_MINUTES.minutes(), now) {
        return DeliveryStep::Leave;
    }
    match (event.state, others.iter().find(|other| overtakes(other, event))) {
        (WebhookDeliveryState::Finished, _) => DeliveryStep::Leave,
        (WebhookDeliveryState::Started, _) => DeliveryStep::Look,
        (WebhookDeliveryState::Accepted, None) => DeliveryStep::Start,
        (WebhookDeliveryState::Accepted, Some(_)) => {
            webhook_delivery::finish(event, DeliveryOutcome::Superseded, now)
                .map_or(DeliveryStep::Leave, |event| DeliveryStep::Supersede(Box::new(event)))
        }
    }
}

/// An event whose execution has ended without finishing it, finished: a person must look.
pub fn event_of_ended(event: &WebhookDelivery, now: Timestamp) -> Option<WebhookDelivery> {
    let why = format!("its execution {} ended without saying how; look at it, then retry", event.execution);
    webhook_delivery::finish(event, DeliveryOutcome::Quarantined(why), now)
}

/// Whether `other` brings the same branch to where it is now, so that `event` need not.
fn overtakes(other: &WebhookDelivery, event: &WebhookDelivery) -> bool {
    let same_place = other.repository == event.repository && other.reference == event.reference;
    let both = (was_seen(event), was_seen(other));
    same_place
        && match both {
            (true, false) if other.commit == event.commit => !is_superseded(other),
            (false, true) if other.commit == event.commit => false,
            _ => other.accepted_at > event.accepted_at,
        }
}

/// Whether the sweep saw the head that `event` is about, and nobody sent it.
pub fn was_seen(event: &WebhookDelivery) -> bool {
    event.delivery.starts_with(HEAD_DELIVERY)
}

fn is_superseded(event: &WebhookDelivery) -> bool {
    event.end == Some(DeliveryOutcome::Superseded)
}

/// The event of a push that no delivery told of: `head` is what the default branch of `repository` points to now,
/// `events` are the events of late, in any order. Nothing if that head is known.
///
/// It is only accepted here: whoever delivers it after all, within [`EVENT_MINUTES`] or until the next sweep, comes first.
/// It is named after what was found, so that two sweeps write one.
pub fn unheard_of(
    repository: &Repository,
    head: &CommitSha,
    events: &[WebhookDelivery],
    now: Timestamp,
) -> Option<WebhookDelivery> {
    let reference = format!("refs/heads/{}", repository.branch);
    // What was superseded was never released: it knows nothing.
    let newest = events
        .iter()
        .filter(|e| e.repository == repository.id && e.reference == reference && !is_superseded(e))
        .max_by_key(|e| e.accepted_at);
    if repository.commit.as_ref() == Some(head) || newest.is_some_and(|newest| newest.commit == *head) {
        return None;
    }
    let after = newest.map_or("", |newest| newest.delivery.as_str());
    let found = client_token(repository.id.as_str(), &format!("{reference} {head} after {after}"), 1);
    let (provider, delivery) = (repository.id.provider(), format!("{HEAD_DELIVERY}{found}"));
    Some(WebhookDelivery {
        execution: client_token(provider, &delivery, 1),
        provider: provider.to_owned(),
        delivery,
        repository: repository.id.clone(),
        reference,
        commit: head.clone(),
        state: WebhookDeliveryState::Accepted,
        end: None,
        accepted_at: now,
        finished_at: None,
    })
}

/// What to do with a throw-away environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TestStackStep {
    /// It is young, or somebody works with it.
    Leave,
    /// Start its teardown under this name.
    Remove {
        /// The same for every sweep until the teardown has begun, or a day has passed.
        execution: String,
    },
    /// It should be gone and is not.
    Stuck {
        /// Why, as a sentence.
        why: String,
    },
}

/// What to do with `environment`, of the throw-away stage. `last` is its last deployment; `ttl_minutes` what the manifest
/// of its release says, or nothing if that cannot be read: then it lives as long as any may.
pub fn test_stack(
    environment: &Environment,
    last: Option<&Deployment>,
    ttl_minutes: Option<u32>,
    now: Timestamp,
) -> TestStackStep {
    if environment.holder.is_some() {
        return TestStackStep::Leave;
    }
    let Some(last) = last else {
        return stuck("its last deployment is not in the ledger, so that nothing is known of it".to_owned());
    };
    let failed_teardown = matches!(last.kind, DeploymentKind::Teardown { .. }) && last.state.is_final();
    let due = match last.finished_at.filter(|_| failed_teardown) {
        Some(failed_at) => failed_at.checked_add(RETRY_HOURS.hours()),
        None => last.started_at.checked_add(minutes(ttl_minutes).minutes()),
    };
    let is_due = due.as_ref().is_ok_and(|due| *due <= now);
    match due {
        _ if last.state == DeploymentState::AwaitingApproval => {
            stuck(format!("deployment {} waits for an answer: lockstep approve {}", last.id, last.id))
        }
        Ok(due) if is_due => TestStackStep::Remove { execution: removal(last, due, now) },
        _ if failed_teardown => {
            let why = last.failure.as_ref().map_or("it does not say why", |failure| failure.message.as_str());
            stuck(format!("deployment {} could not remove it: {why}", last.id))
        }
        _ => TestStackStep::Leave,
    }
}

fn stuck(why: String) -> TestStackStep {
    TestStackStep::Stuck { why }
}

fn minutes(ttl_minutes: Option<u32>) -> i64 {
    i64::from(ttl_minutes.unwrap_or(*TTL_MINUTES.end()))
}

/// The last deployment of an environment changes whenever it is taken, so that its id stands for what was found. A
/// teardown that never began is tried again the next day.
fn removal(last: &Deployment, due: Timestamp, now: Timestamp) -> String {
    let days = now.duration_since(due).as_secs() / (RETRY_HOURS * 3600);
    client_token(last.id.as_str(), "sweep", u32::try_from(days).unwrap_or(u32::MAX).saturating_add(1))
}

/// What to do with a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallbackStep {
    /// It is over, or young, or its end is for a person to say.
    Leave,
    /// Nobody waits any more: remove it, and close this deployment, which was waiting for an answer.
    Remove(Option<Box<Deployment>>),
    /// Let `resume` answer it; whoever waits looks for itself.
    Wake,
}

/// The promotions by which an image is on its way, or for which it is shared: each may have died.
pub fn promotions(image: &Image) -> BTreeSet<DeploymentId> {
    let on_its_way = image.state == ImageState::Promoting;
    let on_its_way = on_its_way.then(|| DeploymentId::of_execution(&image.recorded_by));
    on_its_way.into_iter().chain(image.shared_with.values().flatten().cloned()).collect()
}

/// Whether `deployment` is the promotion of an image whose execution certainly ended. Whatever it still holds, nobody
/// will give back.
pub fn is_dead_promotion(deployment: &Deployment, is_running: Option<bool>) -> bool {
    matches!(deployment.kind, DeploymentKind::PromoteImage { .. }) && is_running == Some(false)
}

/// What to do with `wait`, whose execution runs, does not, or is not known to; `asking` is the deployment whose question
/// it waits for, if it is such a wait.
///
/// A question is never answered by a sweep: to wake who waits for one that is open would be a refusal.
pub fn wait(
    wait: &Callback,
    is_running: Option<bool>,
    asking: Option<&Deployment>,
    now: Timestamp,
) -> CallbackStep {
    let CallbackState::Open { execution, .. } = &wait.state else { return CallbackStep::Leave };
    if is_running == Some(false) {
        let waiting = asking.filter(|asking| {
            asking.state == DeploymentState::AwaitingApproval && asking.execution == *execution
        });
        let closed =
            waiting.and_then(|asking| environment::abandon(asking, "nobody could answer it any more", now));
        return CallbackStep::Remove(closed.map(Box::new));
    }
    let open = approval::of_operation(&wait.operation).is_some_and(|(_, number)| {
        let question = |approval: &&Approval| approval.number == number && approval.decision.is_some();
        asking.is_none_or(|asking| asking.approvals.iter().find(question).is_none())
    });
    if open || !is_past(wait.at, WAIT_MINUTES.minutes(), now) {
        CallbackStep::Leave
    } else {
        CallbackStep::Wake
    }
}

#[cfg(test)]
mod tests;
