//! Decisions of the scheduled sweep about states that no event reported.
//!
//! The sweep runs again and again, and twice at once if a schedule fires twice. Each decision therefore depends only on
//! the recorded state, and each started execution has a name derived from that state. An unknown state releases
//! nothing, removes nothing, and does not block the sweep.

use crate::delivery::approval;
use crate::delivery::environment;
use crate::delivery::manifest::TTL_MINUTES;
use crate::delivery::webhook_delivery;
use crate::model::ids::{CommitSha, DeploymentId};
use crate::model::outcome::Outcome;
use crate::model::token::client_token;
use crate::records::{
    Callback, CallbackState, Cursor, DeliveryEnd, Deployment, DeploymentState, Environment, Image,
    ImageState, Repository, WebhookDelivery, WebhookDeliveryState,
};
use jiff::{Timestamp, ToSpan};

/// Time in minutes that the webhook function may take to start the execution of an accepted webhook delivery.
pub const EVENT_MINUTES: i64 = 5;

/// Prefix of the delivery ids that the sweep assigns to heads of branches that no webhook reported.
pub const HEAD_DELIVERY: &str = "head-";

/// Age in minutes below which the sweep leaves an open callback alone. A waiting state checks its operation four times
/// as often.
pub const WAIT_MINUTES: i64 = 60;

/// Time in hours between a failed removal of a test stack and the next attempt.
pub const RETRY_HOURS: i64 = 24;

/// Maximum time in days that an execution may hold an environment: the longest run of any execution. After that an
/// operator should check the environment, whatever its recorded state is.
pub const HOLD_DAYS: i64 = 20;

/// Returns true if `at` is at least `span` ago.
fn is_past(at: Timestamp, span: jiff::Span, now: Timestamp) -> bool {
    at.checked_add(span).is_ok_and(|end| end <= now)
}

/// Returns true if an operator should check an environment that is held since `since`, even if no fault is known.
pub fn is_held_too_long(since: Timestamp, now: Timestamp) -> bool {
    is_past(since, (HOLD_DAYS * 24).hours(), now)
}

/// Action on a webhook delivery that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryStep {
    /// Leave it: it has ended or is recent.
    Leave,
    /// Start its execution, which may never have been started.
    Start,
    /// Record it as superseded: a later push to the same branch was accepted.
    Supersede(Box<WebhookDelivery>),
    /// Check if its execution still runs, then call [`event_of_ended`].
    Look,
}

/// Returns the action on the webhook delivery `event`; `others` are the recent webhook deliveries in any order.
///
/// An old push is never started after a newer one, because its older commit would replace the newer one. A head that
/// the sweep saw is not started either once a webhook reports it.
pub fn event(event: &WebhookDelivery, others: &[WebhookDelivery], now: Timestamp) -> DeliveryStep {
    if !is_past(event.accepted_at, EVENT_MINUTES.minutes(), now) {
        return DeliveryStep::Leave;
    }
    match (event.state, others.iter().find(|other| overtakes(other, event))) {
        (WebhookDeliveryState::Finished, _) => DeliveryStep::Leave,
        (WebhookDeliveryState::Started, _) => DeliveryStep::Look,
        (WebhookDeliveryState::Accepted, None) => DeliveryStep::Start,
        (WebhookDeliveryState::Accepted, Some(_)) => {
            webhook_delivery::finish(event, DeliveryEnd::superseded(), now)
                .map_or(DeliveryStep::Leave, |event| DeliveryStep::Supersede(Box::new(event)))
        }
    }
}

/// Closes a webhook delivery whose execution ended without closing it, as quarantined for an operator.
pub fn event_of_ended(event: &WebhookDelivery, now: Timestamp) -> Option<WebhookDelivery> {
    let why =
        format!("its execution {} ended without a recorded result; look at it, then retry", event.execution);
    webhook_delivery::finish(event, DeliveryEnd::quarantined(why), now)
}

/// Returns true if `other` releases the current state of the same branch, so that `event` is superseded.
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

/// Returns true if the sweep found the head of `event` and no webhook reported it.
pub fn was_seen(event: &WebhookDelivery) -> bool {
    event.delivery.starts_with(HEAD_DELIVERY)
}

fn is_superseded(event: &WebhookDelivery) -> bool {
    event.end.as_ref().is_some_and(|end| end.outcome == Outcome::Superseded)
}

/// Returns the webhook delivery for a push that no webhook reported. `head` is the current head of the default branch
/// of `repository`; `events` are the recent webhook deliveries in any order. Returns `None` if that head is known.
///
/// The delivery is only accepted here. A webhook that arrives late, within [`EVENT_MINUTES`] or before the next sweep,
/// has precedence. The delivery id is derived from the finding, so that two sweeps write one record.
pub fn unheard_of(
    repository: &Repository,
    cursor: Option<&Cursor>,
    head: &CommitSha,
    events: &[WebhookDelivery],
    now: Timestamp,
) -> Option<WebhookDelivery> {
    let reference = format!("refs/heads/{}", repository.branch);
    // A superseded delivery was never released, so its head does not count as known.
    let newest = events
        .iter()
        .filter(|e| e.repository == repository.id && e.reference == reference && !is_superseded(e))
        .max_by_key(|e| e.accepted_at);
    if cursor.is_some_and(|cursor| cursor.commit == *head)
        || newest.is_some_and(|newest| newest.commit == *head)
    {
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
        pusher: None,
        state: WebhookDeliveryState::Accepted,
        end: None,
        accepted_at: now,
        finished_at: None,
    })
}

/// Action on a test environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TestStackStep {
    /// Leave it: it is recent, or a deployment holds it.
    Leave,
    /// Start its teardown under this name.
    Remove {
        /// Name of the execution: the same for every sweep until the teardown has started, or a day has passed.
        execution: String,
    },
    /// Report it: its removal is overdue.
    Stuck {
        /// The reason, as a sentence.
        why: String,
    },
}

/// Returns the action on `environment`, which belongs to the stage of test stacks. `last` is its last deployment.
/// `ttl_minutes` is the lifetime from the manifest of its release, or `None` if that cannot be read; the maximum then
/// applies.
pub fn test_stack(
    environment: &Environment,
    last: Option<&Deployment>,
    ttl_minutes: Option<u32>,
    now: Timestamp,
) -> TestStackStep {
    let asks = last.is_some_and(is_asking);
    if environment.holder.is_some() && !asks {
        return TestStackStep::Leave;
    }
    let Some(last) = last else {
        return stuck("its last deployment is not in the ledger, so its state is unknown".to_owned());
    };
    let failed_teardown = last.teardown().is_some() && last.state.is_final();
    let due = match last.finished_at.filter(|_| failed_teardown) {
        Some(failed_at) => failed_at.checked_add(RETRY_HOURS.hours()),
        None => last.started_at.checked_add(minutes(ttl_minutes).minutes()),
    };
    let is_due = due.as_ref().is_ok_and(|due| *due <= now);
    match due {
        _ if asks => {
            stuck(format!("deployment {} waits for an answer: lockstep approve {}", last.id, last.id))
        }
        Ok(due) if is_due => TestStackStep::Remove { execution: removal(last, due, now) },
        _ if failed_teardown => {
            let why = last
                .failure
                .as_ref()
                .map_or("the failure has no message", |failure| failure.message.as_str());
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

/// Returns the execution name of a teardown. The name contains the id of the environment's last deployment, which
/// changes with each acquisition. A teardown that never started is tried again the next day under another name.
fn removal(last: &Deployment, due: Timestamp, now: Timestamp) -> String {
    let days = now.duration_since(due).as_secs() / (RETRY_HOURS * 3600);
    client_token(last.id.as_str(), "sweep", u32::try_from(days).unwrap_or(u32::MAX).saturating_add(1))
}

/// Action on a callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallbackStep {
    /// Leave it: it has ended, is recent, or waits for an approver.
    Leave,
    /// Remove it, because its execution has ended. First propose to the authority to close this deployment, which
    /// waited for an answer.
    Remove(Option<DeploymentId>),
    /// Let `resume` complete it; the waiting state then checks its operation.
    Wake,
}

/// Returns the promotion that copies an image, if one does. Its execution may have ended.
pub fn promotion_of(image: &Image) -> Option<DeploymentId> {
    (image.state == ImageState::Promoting).then(|| DeploymentId::of_execution(&image.recorded_by))
}

/// Returns true if `deployment` is the promotion of an image and its execution certainly ended. Such a promotion never
/// releases the resources that it holds.
pub fn is_dead_promotion(deployment: &Deployment, is_running: Option<bool>) -> bool {
    deployment.promotion().is_some() && is_running == Some(false)
}

/// Returns the action on the callback `wait`. `is_running` is the state of its execution, or `None` if that is unknown.
/// `asking` is the deployment whose question the callback belongs to, if it belongs to one, and `is_answered` is true if
/// that question has a decision.
///
/// The sweep never completes the callback of an open question: the waiting state would count as refused.
pub fn wait(
    wait: &Callback,
    is_running: Option<bool>,
    asking: Option<&Deployment>,
    is_answered: bool,
    now: Timestamp,
) -> CallbackStep {
    let CallbackState::Open { execution, .. } = &wait.state else { return CallbackStep::Leave };
    if is_running == Some(false) {
        let waiting = asking.filter(|asking| asking.execution == *execution && is_asking(asking));
        return CallbackStep::Remove(waiting.map(|asking| asking.id.clone()));
    }
    let open = approval::of_operation(&wait.operation).is_some() && !is_answered;
    if open || !is_past(wait.at, WAIT_MINUTES.minutes(), now) {
        CallbackStep::Leave
    } else {
        CallbackStep::Wake
    }
}

fn is_asking(deployment: &Deployment) -> bool {
    deployment.state == DeploymentState::AwaitingApproval
}

/// Returns the deployment, whose execution certainly ended, as closed; `None` if it does not wait for an answer.
pub fn close_unanswered(deployment: &Deployment, now: Timestamp) -> Option<Deployment> {
    let asking = Some(deployment).filter(|deployment| is_asking(deployment))?;
    environment::abandon(asking, "no answer could arrive any more", now)
}

/// Number of open callbacks of one kind, and the age of the oldest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenCallbacks {
    /// `approval` if an operator ends them, `operation` if AWS does.
    pub kind: &'static str,
    /// Number of callbacks.
    pub open: u64,
    /// Seconds since the registration of the oldest; 0 if none is open.
    pub oldest_seconds: u64,
}

/// Returns the open ones of `callbacks` by kind.
pub fn open_callbacks<'a>(
    callbacks: impl IntoIterator<Item = &'a Callback>,
    now: Timestamp,
) -> [OpenCallbacks; 2] {
    let mut kinds = ["operation", "approval"].map(|kind| OpenCallbacks { kind, open: 0, oldest_seconds: 0 });
    for callback in callbacks {
        if matches!(callback.state, CallbackState::Open { .. }) {
            let kind = &mut kinds[usize::from(approval::of_operation(&callback.operation).is_some())];
            let age = u64::try_from(now.duration_since(callback.at).as_secs()).unwrap_or_default();
            kind.open += 1;
            kind.oldest_seconds = kind.oldest_seconds.max(age);
        }
    }
    kinds
}

#[cfg(test)]
mod tests;
