//! The turn of a deployment: it acquires its environment, or waits in the queue of the environment.

use crate::context::LedgerContext;
use crate::{follow, load};
use jiff::Timestamp;
use lockstep_aws::ledger::{Versioned, Write};
use lockstep_aws::scope;
use lockstep_domain::delivery::queue::{self, Requeued, Turn};
use lockstep_domain::delivery::{environment, freshness, gate};
use lockstep_domain::messages::Task;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{DeploymentId, StageName};
use lockstep_domain::records::{
    Charter, Deployment, DeploymentState, Environment, LeaseHolder, QueuedDeployment,
};
use lockstep_runtime::{deployment_end, lease};

/// The reason that a deployment gets when a later one takes over its environment.
const TAKEN_OVER: &str = "a later deployment took the environment over";

/// Acquires the environment for `wanted` and carries out `writes` in the same transaction. Returns false if the
/// environment is busy: then `wanted` is queued as `asks`, and nothing else is written.
///
/// Closes the holder as abandoned if its execution has certainly ended.
///
/// # Errors
/// `Overtaken` if a later push brought a newer release. `Superseded` for a redeployment that is not due any more.
/// `Expired` if the deployment waited for too long. Then its closed record is written.
pub async fn take(
    context: &impl LedgerContext,
    wanted: &Deployment,
    asks: QueuedDeployment,
    mut writes: Vec<Write>,
    now: Timestamp,
) -> Result<bool, Failure> {
    let found = load::environment(context, wanted).await?;
    // A taint does not prevent a teardown.
    if wanted.path == DeploymentPath::Promotion && wanted.deploy().is_some() {
        gate::check_taint(found.as_ref().map(|found| &found.record))?;
    }
    freshness::ensure_due(found.as_ref().map(|found| &found.record), wanted)?;
    let Some(found) = found else {
        let taken = environment::acquire(None, wanted, now)?;
        let entered = queue::enter(&taken.environment, &asks);
        writes.push(Write::insert(&entered.environment)?);
        return begun(context, &taken.deployment, writes).await.map(|()| true);
    };
    let holder = holder(context, &found.record, wanted).await?;
    let mut before = found.record.clone();
    let (mut abandoned, mut closing) = (None, Vec::new());
    if let Holder::Ended(dead) = &holder {
        before = environment::release_dead_holder(&before, &dead.record, now);
        abandoned = environment::abandon(&dead.record, TAKEN_OVER, now);
        if let Some(abandoned) = &abandoned {
            closing.push(Write::replace(dead, abandoned)?);
        }
    }
    let is_held = matches!(holder, Holder::Busy);
    if !is_held {
        before = without_dead(context, before, &asks).await;
    }
    let (requeued, taken) = match queue::turn(&before, &asks, is_held) {
        Turn::Overtaken(newer) => {
            let why = queue::overtaken(wanted, &newer);
            return Err(never_begins(context, &found, wanted, why, now).await?);
        }
        Turn::Expired => {
            return Err(never_begins(context, &found, wanted, queue::expired(wanted), now).await?);
        }
        Turn::Queue => {
            let requeued = queue::join(&before, &asks)?;
            if requeued.environment != found.record {
                closing.push(Write::replace(&found, &requeued.environment)?);
                context.ledger().transact(closing).await?;
            }
            wake_due(context, &requeued.environment).await?;
            (requeued, false)
        }
        Turn::Acquire => {
            let taken = environment::acquire(Some(&before), wanted, now)?;
            let entered = queue::enter(&taken.environment, &asks);
            writes.push(Write::replace(&found, &entered.environment)?);
            writes.extend(closing);
            begun(context, &taken.deployment, writes).await?;
            (entered, true)
        }
    };
    if let Some(abandoned) = &abandoned {
        deployment_end::report(abandoned, now);
    }
    wake_overtaken(context, &requeued).await?;
    Ok(taken)
}

/// Closes a deployment that never began, and takes it out of the queue. Returns `why`.
async fn never_begins(
    context: &impl LedgerContext,
    found: &Versioned<Environment>,
    wanted: &Deployment,
    why: Failure,
    now: Timestamp,
) -> Result<Failure, Failure> {
    let closed = queue::close(wanted, &why, now);
    let mut writes = vec![Write::insert(&closed)?];
    let left = queue::find(&found.record, &wanted.id).map(|queued| queue::without(&found.record, queued));
    if let Some(left) = &left {
        writes.push(Write::replace(found, left)?);
    }
    context.ledger().transact(writes).await?;
    deployment_end::report(&closed, now);
    follow::settle(context, left.as_ref().unwrap_or(&found.record)).await?;
    Ok(why)
}

/// Writes a deployment that acquired its environment.
async fn begun(
    context: &impl LedgerContext,
    deployment: &Deployment,
    mut writes: Vec<Write>,
) -> Result<(), Failure> {
    writes.push(Write::insert(deployment)?);
    if let Some(charter) = Charter::of(deployment) {
        writes.push(Write::insert(&charter)?);
    }
    context.ledger().transact(writes).await?;
    scope::about(deployment);
    Ok(())
}

/// Holder of an environment, as another deployment sees it.
enum Holder {
    /// No other deployment holds the environment.
    None,
    /// The holder's execution may run.
    Busy,
    /// The holder's execution certainly ended.
    Ended(Box<Versioned<Deployment>>),
}

/// Looks at the holder of the environment.
///
/// # Errors
/// `Rejected` for a plan behind an open question: the plan would wait as long as the question.
async fn holder(
    context: &impl LedgerContext,
    environment: &Environment,
    wanted: &Deployment,
) -> Result<Holder, Failure> {
    let Some(holder) = environment::competing_holder(Some(environment), wanted) else {
        return Ok(Holder::None);
    };
    match lease::ended_holder(context.ledger(), context.executions(), holder).await {
        Ok(dead) => {
            tracing::warn!(deployment = %holder.deployment, execution = holder.execution, "taking over from an ended execution");
            Ok(Holder::Ended(Box::new(dead)))
        }
        Err(busy) if busy.kind == FailureKind::EnvironmentBusy => {
            if wanted.is_plan_only() {
                ensure_no_question(context, holder).await?;
            }
            Ok(Holder::Busy)
        }
        Err(failure) => Err(failure),
    }
}

async fn ensure_no_question(context: &impl LedgerContext, holder: &LeaseHolder) -> Result<(), Failure> {
    let asking = context.ledger().get::<Deployment>(&Deployment::key_of(&holder.deployment)).await?;
    let asking = asking.filter(|asking| asking.record.state == DeploymentState::AwaitingApproval);
    asking.map_or(Ok(()), |asking| Err(queue::no_plan_behind(&asking.record)))
}

/// Returns the environment without the queued deployments before `asks` whose executions certainly ended.
async fn without_dead(
    context: &impl LedgerContext,
    mut environment: Environment,
    asks: &QueuedDeployment,
) -> Environment {
    while let Some(first) = queue::first(&environment).filter(|first| first.deployment != asks.deployment) {
        if !lease::has_ended(context.executions(), &first.execution).await {
            break;
        }
        let dead = first.clone();
        environment = queue::without(&environment, &dead);
    }
    environment
}

/// Takes the deployments whose executions certainly ended out of the queue, and settles the environment. The sweep and an
/// operator ask for it: an execution that an operator stopped leaves its entry, and a wake can be lost.
pub async fn tidy(context: &impl LedgerContext, found: &Versioned<Environment>) -> Result<(), Failure> {
    let mut tidied = found.record.clone();
    for queued in &found.record.queue {
        if lease::has_ended(context.executions(), &queued.execution).await {
            tidied = queue::without(&tidied, queued);
        }
    }
    if tidied != found.record {
        context.ledger().replace(found, tidied.clone()).await?;
    }
    follow::settle(context, &tidied).await
}

/// Takes a deployment that cannot begin out of the queue of its environment, and settles the environment.
pub async fn leave(
    context: &impl LedgerContext,
    id: &DeploymentId,
    stage: &StageName,
    name: &str,
) -> Result<(), Failure> {
    let Some(found) = context.ledger().get::<Environment>(&Environment::key_of(stage, name)).await? else {
        return Ok(());
    };
    let Some(queued) = queue::find(&found.record, id) else { return Ok(()) };
    let left = queue::without(&found.record, queued);
    context.ledger().replace(&found, left.clone()).await?;
    follow::settle(context, &left).await
}

/// Registers the callback of a queued deployment, and wakes it at once if its turn has come.
pub async fn wait(
    context: &impl LedgerContext,
    path: DeploymentPath,
    id: &DeploymentId,
    place: (&StageName, &str),
    task: &Task,
) -> Result<(), Failure> {
    load::ensure_on(path, id)?;
    let found = context.ledger().get::<Environment>(&Environment::key_of(place.0, place.1)).await?;
    let environment = found.map(|found| found.record);
    let queued = environment.as_ref().and_then(|environment| queue::find(environment, id));
    let operation = queued.map_or_else(|| queue::operation_of_unqueued(id), queue::operation);
    context.callbacks().register(&operation, task).await?;
    // The turn may have come, or a newer push may have taken the entry out, before the callback was registered.
    let next = environment.as_ref().and_then(queue::due);
    if queued.is_none() || next.is_some_and(|next| next.deployment == *id) {
        return context.callbacks().wake(&operation).await;
    }
    Ok(())
}

/// Wakes the queued deployment whose turn it is in a released environment.
pub async fn wake_due(context: &impl LedgerContext, environment: &Environment) -> Result<(), Failure> {
    match queue::due(environment) {
        Some(next) => context.callbacks().wake(&queue::operation(next)).await,
        None => Ok(()),
    }
}

/// Wakes the queued deployments after the environment `before` became `after`. A deleted environment has no queue, so every
/// deployment that waited for it asks again.
pub async fn wake_queue(
    context: &impl LedgerContext,
    before: &Environment,
    after: Option<&Environment>,
) -> Result<(), Failure> {
    let Some(after) = after else {
        for queued in &before.queue {
            context.callbacks().wake(&queue::operation(queued)).await?;
        }
        return Ok(());
    };
    wake_due(context, after).await
}

/// Wakes the queued deployment whose turn it is, after the deployment that held the environment was closed. A
/// repeated request wakes it again.
pub async fn wake_after(context: &impl LedgerContext, closed: &Deployment) -> Result<(), Failure> {
    if closed.stack().is_none() {
        return Ok(());
    }
    match load::environment(context, closed).await? {
        Some(found) => wake_due(context, &found.record).await,
        None => Ok(()),
    }
}

async fn wake_overtaken(context: &impl LedgerContext, requeued: &Requeued) -> Result<(), Failure> {
    for overtaken in &requeued.overtaken {
        context.callbacks().wake(&queue::operation(overtaken)).await?;
    }
    Ok(())
}
