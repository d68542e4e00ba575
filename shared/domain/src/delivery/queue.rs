//! The queue of an environment: the deployments that wait until it is free.
//!
//! An environment is busy while a deployment holds its lease, and a deployment that waits for an answer keeps the lease. So
//! an environment has at most one open question, and no later deployment can supersede the question or undo its change set.
//!
//! A deployment that meets a busy environment joins the queue, which is a part of the environment's record, and waits
//! without polling: the write that frees the environment wakes the first of the queue. Deployments that persons asked
//! for come first, oldest first. Of the deployments that pushes started, only the one with the newest release waits.
//! An older one that has not begun is overtaken, now or whenever it asks again. A stage with `superseding = false` runs
//! the releases of all pushes instead, in the order of their commits. While an environment has a hold, pushes wait.
//!
//! A deployment that waits for [`WAIT_MAX_DAYS`] ends as expired. An operator can cancel one that waits. Both get a closed
//! record, although they never began.

use crate::model::error::{Failure, FailureKind};
use crate::model::ids::DeploymentId;
use crate::model::operator_action::OperatorAction;
use crate::model::version::Version;
use crate::records::{
    Cancellation, Deployment, DeploymentState, Environment, FailureRecord, PushedRelease, QueuedDeployment,
};
use jiff::{SignedDuration, Timestamp};

/// Maximum length of a queue. The record of the environment holds it, and has a limited size.
pub const QUEUE_MAX: usize = 50;

/// The days after which a deployment that still waits for its turn expires.
pub const WAIT_MAX_DAYS: i64 = 14;

/// The beginning of the key of each callback of a queued deployment.
const PREFIX: &str = "turn#";

/// Decision about a deployment that asks for an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The environment is free, and no other deployment comes first.
    Acquire,
    /// The deployment waits in the queue.
    Queue,
    /// A push brought this newer release.
    Overtaken(Version),
    /// The deployment has waited for too long.
    Expired,
}

/// Returns the entry of a deployment that comes to its environment now. `packaged_at` is the time of its release if a push
/// started it.
pub fn entry(deployment: &Deployment, packaged_at: Option<Timestamp>, now: Timestamp) -> QueuedDeployment {
    QueuedDeployment {
        deployment: deployment.id.clone(),
        execution: deployment.execution.clone(),
        version: deployment.version.clone(),
        pushed: packaged_at,
        in_order: false,
        teardown: deployment.teardown().is_some(),
        since: now,
        ticket: 1,
    }
}

/// Returns the key of the callback that a queued deployment waits for.
pub fn operation(queued: &QueuedDeployment) -> String {
    format!("{PREFIX}{}#{}", queued.deployment, queued.ticket)
}

/// Returns the key of the callback of a deployment that is queued no longer. Its state is woken at once.
pub fn operation_of_unqueued(deployment: &DeploymentId) -> String {
    format!("{PREFIX}{deployment}#0")
}

/// Decides about a deployment that asks for `environment`. `is_held` is true if another deployment holds it and may run.
pub fn turn(environment: &Environment, asks: &QueuedDeployment, is_held: bool) -> Turn {
    if let Some(newer) = newer_push(environment, asks) {
        return Turn::Overtaken(newer.version.clone());
    }
    // A newcomer comes after all that wait already.
    let all = environment.queue.iter().chain([asks]);
    let first = first_of(all.filter(|queued| passes_hold(environment, queued)));
    let comes_first = first.is_some_and(|first| first.deployment == asks.deployment);
    if comes_first && !is_held {
        return Turn::Acquire;
    }
    match find(environment, &asks.deployment) {
        Some(queued) if has_expired(queued, asks.since) => Turn::Expired,
        _ => Turn::Queue,
    }
}

/// Returns true if a deployment that joined the queue has waited for too long at `now`.
fn has_expired(queued: &QueuedDeployment, now: Timestamp) -> bool {
    now.duration_since(queued.since) >= SignedDuration::from_hours(24 * WAIT_MAX_DAYS)
}

/// Returns the newer release that a push brought to the environment of an older push.
fn newer_push<'a>(environment: &'a Environment, asks: &QueuedDeployment) -> Option<&'a PushedRelease> {
    let packaged_at = asks.pushed?;
    environment.newest_push.as_ref().filter(|newest| newest.packaged_at > packaged_at)
}

/// Returns the first of a queue: the first that a person asked for, or else the one with the oldest release.
fn first_of<'a>(queue: impl Iterator<Item = &'a QueuedDeployment>) -> Option<&'a QueuedDeployment> {
    queue.min_by_key(|queued| queued.pushed)
}

/// An environment whose queue changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requeued {
    /// The environment to write.
    pub environment: Environment,
    /// The deployments that are queued no longer. Wake them after the write: each asks again, and is overtaken.
    pub overtaken: Vec<QueuedDeployment>,
}

/// Returns the environment with `asks` in its queue. A known entry keeps its place, and gets a new callback: its state
/// waits again.
///
/// # Errors
/// `Rejected` if the queue is full.
pub fn join(environment: &Environment, asks: &QueuedDeployment) -> Result<Requeued, Failure> {
    let mut requeued = match asks.in_order {
        true => Requeued { environment: environment.clone(), overtaken: Vec::new() },
        false => arrive(environment, asks),
    };
    let queue = &mut requeued.environment.queue;
    match queue.iter().position(|queued| queued.deployment == asks.deployment) {
        Some(known) => queue[known].ticket += 1,
        None if queue.len() < QUEUE_MAX => queue.push(asks.clone()),
        None => {
            return Err(Failure::rejected(format!(
                "{QUEUE_MAX} deployments wait for environment {} of stage {} already; end the one that holds it, then start \
                 again",
                environment.name, environment.stage
            )));
        }
    }
    Ok(requeued)
}

/// Returns the environment that `asks` acquired, without its entry in the queue.
pub fn enter(environment: &Environment, asks: &QueuedDeployment) -> Requeued {
    let mut requeued = arrive(environment, asks);
    requeued.environment.queue.retain(|queued| queued.deployment != asks.deployment);
    requeued
}

/// Records the release of a push, and takes the older pushes that it overtakes out of the queue.
fn arrive(environment: &Environment, asks: &QueuedDeployment) -> Requeued {
    let mut environment = environment.clone();
    let Some(packaged_at) = asks.pushed else { return Requeued { environment, overtaken: Vec::new() } };
    if environment.newest_push.as_ref().is_none_or(|newest| newest.packaged_at <= packaged_at) {
        environment.newest_push = Some(PushedRelease { version: asks.version.clone(), packaged_at });
    }
    let (overtaken, queue) =
        environment.queue.iter().cloned().partition(|queued| newer_push(&environment, queued).is_some());
    Requeued { environment: Environment { queue, ..environment }, overtaken }
}

/// Returns the environment without a queued deployment, which has ended or cannot begin.
pub fn without(environment: &Environment, left: &QueuedDeployment) -> Environment {
    let mut environment = environment.clone();
    environment.queue.retain(|queued| queued.deployment != left.deployment);
    environment
}

/// Returns the entry of a deployment in the queue.
pub fn find<'a>(environment: &'a Environment, deployment: &DeploymentId) -> Option<&'a QueuedDeployment> {
    environment.queue.iter().find(|queued| queued.deployment == *deployment)
}

/// Returns the first of the queue that no hold keeps waiting.
pub fn first(environment: &Environment) -> Option<&QueuedDeployment> {
    first_of(environment.queue.iter().filter(|queued| passes_hold(environment, queued)))
}

/// Returns true unless a hold keeps the deployment waiting: it keeps pushes, and no deployment that a person asked for.
fn passes_hold(environment: &Environment, queued: &QueuedDeployment) -> bool {
    environment.hold.is_none() || queued.pushed.is_none()
}

/// Returns the queued deployment that may acquire the environment, which no deployment holds.
pub fn due(environment: &Environment) -> Option<&QueuedDeployment> {
    if environment.holder.is_some() { None } else { first(environment) }
}

/// Returns the failure of a push that a newer one overtook.
pub fn overtaken(deployment: &Deployment, newer: &Version) -> Failure {
    let component = deployment.component().map(ToString::to_string).unwrap_or_default();
    let (version, stage) = (&deployment.version, &deployment.stage);
    Failure::new(
        FailureKind::Overtaken,
        format!(
            "superseded in {stage} by {newer}, which a later push brought there; to deploy this release: lockstep deploy \
             {component}@{version} --in {stage}"
        ),
    )
}

/// Returns the failure of a deployment whose turn did not come in time.
pub fn expired(deployment: &Deployment) -> Failure {
    let (stage, version) = (&deployment.stage, &deployment.version);
    Failure::new(
        FailureKind::Expired,
        format!(
            "{version} waited {WAIT_MAX_DAYS} days for its turn in {stage} and was not deployed; see what holds the \
             environment: lockstep status"
        ),
    )
}

/// Returns the failure of a deployment that an operator cancelled before it began.
pub fn cancelled(deployment: &Deployment, action: &OperatorAction) -> Failure {
    let (stage, version) = (&deployment.stage, &deployment.version);
    let deed = if deployment.teardown().is_some() { "its teardown" } else { "it" };
    Failure::new(
        FailureKind::Cancelled,
        format!(
            "{} cancelled {version} while {deed} waited for its turn in {stage}, which it did not change: {}",
            action.by, action.reason
        ),
    )
}

/// Returns the closed record of a deployment that never began. Its epoch remains 0, because it never held its environment.
pub fn close(waited: &Deployment, failure: &Failure, now: Timestamp) -> Deployment {
    let state = match failure.kind {
        FailureKind::Overtaken => DeploymentState::Superseded,
        FailureKind::Expired => DeploymentState::Expired,
        FailureKind::Cancelled => DeploymentState::Cancelled,
        _ => DeploymentState::Failed,
    };
    let record =
        FailureRecord { error: failure.kind.error_type().to_owned(), message: failure.message.clone() };
    Deployment { state, failure: Some(record), finished_at: Some(now), ..waited.clone() }
}

/// Returns the closed record of a queued deployment that an operator cancels. `waited` is the deployment as it would begin.
pub fn cancel(waited: &Deployment, action: &OperatorAction) -> Deployment {
    let cancellation = Cancellation { by: action.by.clone(), reason: action.reason.clone(), at: action.at };
    let waited = Deployment { cancellation: Some(cancellation), ..waited.clone() };
    close(&waited, &cancelled(&waited, action), action.at)
}

/// Returns the failure of a deployment that ended before it began; `None` for one that has begun or that is open.
pub fn never_began(deployment: &Deployment) -> Option<Failure> {
    let kind = match deployment.state {
        _ if deployment.epoch > 0 => return None,
        DeploymentState::Superseded => FailureKind::Overtaken,
        DeploymentState::Expired => FailureKind::Expired,
        DeploymentState::Cancelled => FailureKind::Cancelled,
        _ => return None,
    };
    deployment.failure.as_ref().map(|failure| Failure::new(kind, failure.message.clone()))
}

/// Returns the failure of a plan for an environment with an open question, which `asking` asks.
pub fn no_plan_behind(asking: &Deployment) -> Failure {
    let (id, stage) = (asking.id.short(), &asking.stage);
    Failure::rejected(format!(
        "{stage} has an open question, of deployment {id} with {}, and a plan for another release could change the answer's \
         change set; answer it first: lockstep approve {id}",
        asking.version
    ))
}

/// Returns a sentence about the deployments that wait behind the holder of the environment, or `None` if none waits.
pub fn behind(environment: &Environment) -> Option<String> {
    let newest = environment.queue.last()?;
    Some(match environment.queue.len() {
        1 => format!("1 deployment waits behind it, of {}", newest.version),
        many => format!("{many} deployments wait behind it, the newest of {}", newest.version),
    })
}

#[cfg(test)]
mod tests;
