//! Room to copy in: the slots and the queue of an account and region, and the pace of calls there.
//!
//! Many executions write one item. Whoever loses reads again; whoever loses for long gives up, and its state machine tries
//! again later.

use crate::journal::note;
use crate::world::World;
use jiff::Timestamp;
use lockstep_domain::images::copy_slots::{self, Acquired, COPY_CALLS, SHARE_CALLS};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::model::location::Location;
use lockstep_domain::records::CopySlots;
use lockstep_platform::ledger::Inserted;
use lockstep_platform::ports::{Records, WaitBook};
use std::time::Duration;

/// How often a lost write is tried again.
const ATTEMPTS: u32 = 12;

/// The pause after a first lost write; after the n-th it is up to n times as long.
const PAUSE: Duration = Duration::from_millis(15);

/// The longest that a function waits for its turn to call; beyond it, its state machine waits.
const PATIENCE: Duration = Duration::from_secs(45);

/// Asks for a slot at `place`. Whoever must wait is told so, and has looked whether those before it are still alive. Undone
/// by [`leave`].
pub async fn enter<W: World>(
    world: &W,
    promotion: &DeploymentId,
    execution: &str,
    place: &Location,
) -> Result<bool, Failure> {
    let mut entered = try_enter(world, promotion, execution, place).await?;
    if matches!(entered, Acquired::Waits { .. }) && dismiss_the_dead(world, place).await? {
        entered = try_enter(world, promotion, execution, place).await?;
    }
    let Acquired::Waits { ahead, running } = entered else { return Ok(true) };
    let (account, region) = (&place.account, &place.region);
    let text = format!(
        "waiting for room in account {account} ({region}): {running} copies run, {ahead} wait before"
    );
    note(world, promotion, &text).await?;
    Ok(false)
}

async fn try_enter<W: World>(
    world: &W,
    promotion: &DeploymentId,
    execution: &str,
    place: &Location,
) -> Result<Acquired, Failure> {
    let most = world.records().image_settings().await?.copies_at_once;
    change(world, promotion, place, |traffic, now| {
        copy_slots::acquire(traffic, promotion, execution, most, now)
    })
    .await
}

/// Takes out what executions left that certainly have ended; answers whether there was one.
async fn dismiss_the_dead<W: World>(world: &W, place: &Location) -> Result<bool, Failure> {
    let Some(found) = world.records().get::<CopySlots>(&CopySlots::key_of(place)).await? else {
        return Ok(false);
    };
    let mut any = false;
    for (promotion, execution) in copy_slots::suspects(&found.record, world.now()) {
        if world.is_running(&execution).await == Some(false) {
            leave(world, &promotion, place).await?;
            any = true;
        }
    }
    Ok(any)
}

/// Gives the slot, or the place in the queue, back; there may be none. Who is next is woken.
pub async fn leave<W: World>(world: &W, promotion: &DeploymentId, place: &Location) -> Result<(), Failure> {
    let most = world.records().image_settings().await?.copies_at_once;
    let woken = change(world, promotion, place, |traffic, now| {
        let after = copy_slots::release(traffic, promotion, most, now);
        let woken = copy_slots::to_notify(&after);
        (after, woken)
    });
    for key in woken.await? {
        world.waits().wake(&key).await?;
    }
    Ok(())
}

/// The key under which `promotion` waits for room, a new one each time, and whether it has a slot already; nothing if it
/// asked for none.
pub async fn ask<W: World>(
    world: &W,
    promotion: &DeploymentId,
    place: &Location,
) -> Result<Option<(String, bool)>, Failure> {
    change(world, promotion, place, |traffic, _| match copy_slots::ask(traffic, promotion) {
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
pub async fn pace_copy<W: World>(
    world: &W,
    promotion: &DeploymentId,
    place: &Location,
) -> Result<(), Failure> {
    pace(world, promotion, place, |traffic, now| {
        let (until, wait) = copy_slots::throttle(traffic.copy_calls, COPY_CALLS, 1, PATIENCE, now)?;
        Ok((CopySlots { copy_calls: Some(until), ..traffic.clone() }, wait))
    })
    .await
}

/// Waits until so many snapshots, and an image, may be shared or unshared at `place`.
pub async fn pace_shares<W: World>(
    world: &W,
    promotion: &DeploymentId,
    place: &Location,
    snapshots: usize,
) -> Result<(), Failure> {
    // Images and snapshots have a bucket each: the larger number counts.
    let calls = u32::try_from(snapshots.max(1)).unwrap_or(u32::MAX);
    pace(world, promotion, place, |traffic, now| {
        let (until, wait) = copy_slots::throttle(traffic.share_calls, SHARE_CALLS, calls, PATIENCE, now)?;
        Ok((CopySlots { share_calls: Some(until), ..traffic.clone() }, wait))
    })
    .await
}

async fn pace<W: World>(
    world: &W,
    promotion: &DeploymentId,
    place: &Location,
    speak: impl Fn(&CopySlots, Timestamp) -> Result<(CopySlots, Duration), Duration>,
) -> Result<(), Failure> {
    let wait = change(world, promotion, place, |traffic, now| match speak(traffic, now) {
        Ok((after, wait)) => (after, Ok(wait)),
        Err(too_long) => (traffic.clone(), Err(too_long)),
    });
    match wait.await? {
        Ok(Duration::ZERO) => Ok(()),
        Ok(wait) => {
            world.pause(wait).await;
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

/// Writes what `plan` makes of what goes on at `place`, unless that is what is there; answers what it says.
async fn change<W: World, T>(
    world: &W,
    promotion: &DeploymentId,
    place: &Location,
    plan: impl Fn(&CopySlots, Timestamp) -> (CopySlots, T),
) -> Result<T, Failure> {
    let mut lost = Failure::new(FailureKind::Conflict, "nothing was tried");
    for attempt in 1..=ATTEMPTS {
        let found = world.records().get::<CopySlots>(&CopySlots::key_of(place)).await?;
        let nothing = CopySlots::none_at(place);
        let before = found.as_ref().map_or(&nothing, |found| &found.record);
        let (after, answer) = plan(before, world.now());
        if after == *before {
            return Ok(answer);
        }
        let written = match &found {
            Some(old) => world.records().replace(old, after).await.map(|_| true),
            None => world.records().insert(&after).await.map(|inserted| matches!(inserted, Inserted::New(_))),
        };
        match written {
            Ok(true) => return Ok(answer),
            Ok(false) => {}
            Err(failure) if failure.kind == FailureKind::Conflict => lost = failure,
            Err(failure) => return Err(failure),
        }
        world.pause(PAUSE * attempt * spread(promotion, attempt) / 8).await;
    }
    Err(lost)
}

/// From 1 to 8, another for each promotion and attempt, so that those who lost do not meet again.
fn spread(promotion: &DeploymentId, attempt: u32) -> u32 {
    let bytes = promotion.as_str().bytes().rev();
    let hash = bytes.fold(attempt, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)));
    hash % 8 + 1
}
