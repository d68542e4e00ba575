//! Copy slots and the queue of an account and region, and the rate of calls there.
//!
//! Many executions write one item. A write conflict is retried; after the last attempt the state machine retries later.

use crate::context::ImageContext;
use jiff::Timestamp;
use lockstep_aws::ledger::Inserted;
use lockstep_domain::images::copy_slots::{self, Acquired, COPY_CALLS, SHARE_CALLS};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::model::location::Location;
use lockstep_domain::records::CopySlots;
use lockstep_runtime::retry::retry_under_contention;
use lockstep_runtime::stages::image_settings;
use lockstep_runtime::{deployment_log, lease};
use std::time::Duration;

/// Longest wait of a function for its turn to call. The state machine waits for a longer one.
const PATIENCE: Duration = Duration::from_secs(45);

/// Acquires a copy slot at `place`. Returns false and logs the queue if the promotion must wait; before that, it removes
/// executions that have ended. [`leave`] undoes it.
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
        "waiting for a copy slot in account {account} ({region}): {running} copies run, {ahead} wait before"
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
    change(context, promotion, place, |slots, now| {
        copy_slots::acquire(slots, promotion, execution, most, now)
    })
    .await
}

/// Removes the slots and queue entries of executions that have certainly ended. Returns true if there was one.
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

/// Releases the slot or the queue entry, if there is one, and notifies the next promotion.
pub async fn leave<C: ImageContext>(
    context: &C,
    promotion: &DeploymentId,
    place: &Location,
) -> Result<(), Failure> {
    let most = image_settings(context.ledger()).await?.copies_at_once;
    let woken = change(context, promotion, place, |slots, now| {
        let after = copy_slots::release(slots, promotion, most, now);
        let woken = copy_slots::to_notify(&after);
        (after, woken)
    });
    for key in woken.await? {
        context.callbacks().wake(&key).await?;
    }
    Ok(())
}

/// Returns a new callback key for `promotion` and true if it has a slot already; `None` if it requested no slot.
pub async fn ask<C: ImageContext>(
    context: &C,
    promotion: &DeploymentId,
    place: &Location,
) -> Result<Option<(String, bool)>, Failure> {
    change(context, promotion, place, |slots, _| match copy_slots::ask(slots, promotion) {
        None => (slots.clone(), None),
        Some((asked, number)) => {
            let key = copy_slots::callback_key(&asked, promotion, number);
            let has_slot = asked.slots.contains_key(promotion);
            (asked, Some((key, has_slot)))
        }
    })
    .await
}

/// Waits until a copy may start at `place`.
pub async fn pace_copy<C: ImageContext>(
    context: &C,
    promotion: &DeploymentId,
    place: &Location,
) -> Result<(), Failure> {
    pace(context, promotion, place, |slots, now| {
        let (until, wait) = copy_slots::throttle(slots.copy_calls, COPY_CALLS, 1, PATIENCE, now)?;
        Ok((CopySlots { copy_calls: Some(until), ..slots.clone() }, wait))
    })
    .await
}

/// Waits until an image with so many snapshots may be shared or unshared at `place`.
pub async fn pace_shares<C: ImageContext>(
    context: &C,
    promotion: &DeploymentId,
    place: &Location,
    snapshots: usize,
) -> Result<(), Failure> {
    // Images and snapshots have separate rate limits, so the larger number counts.
    let calls = u32::try_from(snapshots.max(1)).unwrap_or(u32::MAX);
    pace(context, promotion, place, |slots, now| {
        let (until, wait) = copy_slots::throttle(slots.share_calls, SHARE_CALLS, calls, PATIENCE, now)?;
        Ok((CopySlots { share_calls: Some(until), ..slots.clone() }, wait))
    })
    .await
}

async fn pace<C: ImageContext>(
    context: &C,
    promotion: &DeploymentId,
    place: &Location,
    throttle: impl Fn(&CopySlots, Timestamp) -> Result<(CopySlots, Duration), Duration>,
) -> Result<(), Failure> {
    let wait = change(context, promotion, place, |slots, now| match throttle(slots, now) {
        Ok((after, wait)) => (after, Ok(wait)),
        Err(too_long) => (slots.clone(), Err(too_long)),
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

/// Applies `plan` to the copy slots of `place` under optimistic locking and returns its result; skips the write if nothing
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
        let (after, result) = plan(before, context.now());
        if after == *before {
            return Ok(result);
        }
        match &found {
            Some(old) => context.ledger().replace(old, after).await.map(|_| result),
            None => match context.ledger().insert(&after).await? {
                Inserted::New(_) => Ok(result),
                Inserted::Exists(_) => Err(Failure::new(
                    FailureKind::Conflict,
                    "another writer changed the copy slots of this account and region",
                )),
            },
        }
    })
    .await
}
