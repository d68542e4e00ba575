//! Room to copy in: the slots and the queue of an account and region, and the pace of calls there.
//!
//! Many executions write one item. A lost write is worked out again; after the last attempt the state machine tries again
//! later.

use crate::context::ImageContext;
use jiff::Timestamp;
use lockstep_domain::images::copy_slots::{self, Acquired, COPY_CALLS, SHARE_CALLS};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::model::location::Location;
use lockstep_domain::records::CopySlots;
use lockstep_platform::ledger::Inserted;
use lockstep_runtime::retry::retry_under_contention;
use lockstep_runtime::stages::image_settings;
use lockstep_runtime::{deployment_log, lease};
use std::time::Duration;

/// The longest that a function waits for its turn to call; beyond it, its state machine waits.
const PATIENCE: Duration = Duration::from_secs(45);

/// Asks for a slot at `place`. Whoever must wait is told so, and has looked whether those before it are still alive. Undone
/// by [`leave`].
pub async fn enter<C: ImageContext>(
    context: &C,
    promotion: &DeploymentId,
    execution: &str,
    place: &Location,
) -> Result<bool, Failure> {
    let mut entered = try_enter(context, promotion, execution, place).await?;
    if matches!(entered, Acquired::Waits { .. }) && dismiss_the_dead(context, place).await? {
        entered = try_enter(context, promotion, execution, place).await?;
    }
    let Acquired::Waits { ahead, running } = entered else { return Ok(true) };
    let (account, region) = (&place.account, &place.region);
    let text = format!(
        "waiting for room in account {account} ({region}): {running} copies run, {ahead} wait before"
    );
    deployment_log::append(context.ledger(), promotion, &text, context.now()).await?;
    Ok(false)
}

async fn try_enter<C: ImageContext>(
    context: &C,
    promotion: &DeploymentId,
    execution: &str,
    place: &Location,
) -> Result<Acquired, Failure> {
    let most = image_settings(context.ledger()).await?.copies_at_once;
    change(context, promotion, place, |traffic, now| {
        copy_slots::acquire(traffic, promotion, execution, most, now)
    })
    .await
}

/// Takes out what executions left that certainly have ended; answers whether there was one.
async fn dismiss_the_dead<C: ImageContext>(context: &C, place: &Location) -> Result<bool, Failure> {
    let Some(found) = context.ledger().get::<CopySlots>(&CopySlots::key_of(place)).await? else {
        return Ok(false);
    };
    let mut any = false;
    for (promotion, execution) in copy_slots::suspects(&found.record, context.now()) {
        if lease::has_ended(context.executions(), &execution).await {
            leave(context, &promotion, place).await?;
            any = true;
        }
    }
    Ok(any)
}

/// Gives the slot, or the place in the queue, back; there may be none. Who is next is woken.
pub async fn leave<C: ImageContext>(
    context: &C,
    promotion: &DeploymentId,
    place: &Location,
) -> Result<(), Failure> {
    let most = image_settings(context.ledger()).await?.copies_at_once;
    let woken = change(context, promotion, place, |traffic, now| {
        let after = copy_slots::release(traffic, promotion, most, now);
        let woken = copy_slots::to_notify(&after);
        (after, woken)
    });
    for key in woken.await? {
        context.callbacks().wake(&key).await?;
    }
    Ok(())
}

/// The key under which `promotion` waits for room, a new one each time, and whether it has a slot already; nothing if it
/// asked for none.
pub async fn ask<C: ImageContext>(
    context: &C,
    promotion: &DeploymentId,
    place: &Location,
) -> Result<Option<(String, bool)>, Failure> {
    change(context, promotion, place, |traffic, _| match copy_slots::ask(traffic, promotion) {
        None => (traffic.clone(), None),
        Some((asked, number)) => {
            let key = copy_slots::callback_key(&asked, promotion, number);
            let has_slot = asked.slots.contains_key(promotion);
            (asked, Some((key, has_slot)))
        }
    })
    .await
}

/// Waits until a copy may be begun at `place`.
pub async fn pace_copy<C: ImageContext>(
    context: &C,
    promotion: &DeploymentId,
    place: &Location,
) -> Result<(), Failure> {
    pace(context, promotion, place, |traffic, now| {
        let (until, wait) = copy_slots::throttle(traffic.copy_calls, COPY_CALLS, 1, PATIENCE, now)?;
        Ok((CopySlots { copy_calls: Some(until), ..traffic.clone() }, wait))
    })
    .await
}

/// Waits until so many snapshots, and an image, may be shared or unshared at `place`.
pub async fn pace_shares<C: ImageContext>(
    context: &C,
    promotion: &DeploymentId,
    place: &Location,
    snapshots: usize,
) -> Result<(), Failure> {
    // Images and snapshots have a bucket each: the larger number counts.
    let calls = u32::try_from(snapshots.max(1)).unwrap_or(u32::MAX);
    pace(context, promotion, place, |traffic, now| {
        let (until, wait) = copy_slots::throttle(traffic.share_calls, SHARE_CALLS, calls, PATIENCE, now)?;
        Ok((CopySlots { share_calls: Some(until), ..traffic.clone() }, wait))
    })
    .await
}

async fn pace<C: ImageContext>(
    context: &C,
    promotion: &DeploymentId,
    place: &Location,
    speak: impl Fn(&CopySlots, Timestamp) -> Result<(CopySlots, Duration), Duration>,
) -> Result<(), Failure> {
    let wait = change(context, promotion, place, |traffic, now| match speak(traffic, now) {
        Ok((after, wait)) => (after, Ok(wait)),
        Err(too_long) => (traffic.clone(), Err(too_long)),
    });
    match wait.await? {
        Ok(Duration::ZERO) => Ok(()),
        Ok(wait) => {
            context.sleep(wait).await;
            Ok(())
        }
        Err(wait) => Err(Failure::new(
            FailureKind::Throttled,
            format!(
                "so many images are shared or copied in account {} ({}) that the next call would have to wait for {} s",
                place.account,
                place.region,
                wait.as_secs()
            ),
        )),
    }
}

/// Applies `plan` to the traffic record of `place` under optimistic locking and returns its result; skips the write if nothing
/// changed.
async fn change<C: ImageContext, T>(
    context: &C,
    promotion: &DeploymentId,
    place: &Location,
    plan: impl Fn(&CopySlots, Timestamp) -> (CopySlots, T),
) -> Result<T, Failure> {
    retry_under_contention(context, promotion.as_str(), async || {
        let found = context.ledger().get::<CopySlots>(&CopySlots::key_of(place)).await?;
        let nothing = CopySlots::none_at(place);
        let before = found.as_ref().map_or(&nothing, |found| &found.record);
        let (after, answer) = plan(before, context.now());
        if after == *before {
            return Ok(answer);
        }
        match &found {
            Some(old) => context.ledger().replace(old, after).await.map(|_| answer),
            None => match context.ledger().insert(&after).await? {
                Inserted::New(_) => Ok(answer),
                Inserted::Exists(_) => {
                    Err(Failure::new(FailureKind::Conflict, "the traffic there was written by another"))
                }
            },
        }
    })
    .await
}
