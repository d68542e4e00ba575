//! Copy slots, which keep image copies below AWS's limits.
//!
//! AWS limits the concurrent snapshot copies into one account and region, and the calls per second
//! (<https://docs.aws.amazon.com/general/latest/gr/ebs-service.html>,
//! <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>).
//!
//! A promotion first [`acquire`]s a copy slot at its target location: it gets a slot, or a position in a queue, first
//! come, first served. After its copy it [`release`]s the slot, and the same write gives the slot to the next
//! promotion. [`throttle`] returns the delay of a call that would follow others too soon.

use crate::model::ids::DeploymentId;
use crate::records::{CopySlot, CopySlots, QueuedPromotion};
use jiff::{SignedDuration, Timestamp, ToSpan};
use std::time::Duration;

/// Number of concurrent copies into one account and region, unless the organisation sets another. AWS allows 20; the
/// remainder is left for operators.
pub const COPIES_AT_ONCE: u32 = 18;

/// Rate of the calls that start copies. AWS's bucket holds 100 calls and refills at one a second.
pub const COPY_CALLS: Rate = Rate { burst: 90, interval_ms: 1_100 };

/// Rate of the calls that share and unshare, of images and of snapshots each. AWS's bucket holds 100 calls and refills
/// at five a second.
pub const SHARE_CALLS: Rate = Rate { burst: 90, interval_ms: 220 };

/// Minutes after which the holder of a slot is checked: does its execution still run?
pub const LOOK_MINUTES: i64 = 15;

/// Maximum number of executions that one visit checks.
pub const LOOKS_MAX: usize = 5;

/// A token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Number of calls that may arrive at once.
    pub burst: u32,
    /// Time until one call is available again, in milliseconds.
    pub interval_ms: u32,
}

/// Answer to a promotion that wants to copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// The promotion has a slot.
    Admitted,
    /// The promotion waits.
    Waits {
        /// Number of waiting promotions before this one.
        ahead: usize,
        /// Number of copies that run or may start.
        running: usize,
    },
}

/// Admits `promotion`, or adds it at the end of the queue. A promotion that is present keeps its position.
pub fn acquire(
    traffic: &CopySlots,
    promotion: &DeploymentId,
    execution: &str,
    copies_at_once: u32,
    now: Timestamp,
) -> (CopySlots, Acquired) {
    let mut traffic = traffic.clone();
    let is_here = traffic.slots.contains_key(promotion)
        || traffic.queue.iter().any(|waiting| waiting.promotion == *promotion);
    if !is_here {
        traffic.queue.push(QueuedPromotion {
            promotion: promotion.clone(),
            execution: execution.to_owned(),
            since: now,
            asked: 0,
        });
    }
    fill(&mut traffic, copies_at_once, now);
    if let Some(slot) = traffic.slots.get_mut(promotion) {
        // An admitted promotion does not wait any more.
        slot.waits = false;
        return (traffic, Acquired::Admitted);
    }
    let ahead = traffic.queue.iter().take_while(|waiting| waiting.promotion != *promotion).count();
    let running = traffic.slots.len();
    (traffic, Acquired::Waits { ahead, running })
}

/// Removes `promotion`, whether it copied or waited, and admits the next.
pub fn release(
    traffic: &CopySlots,
    promotion: &DeploymentId,
    copies_at_once: u32,
    now: Timestamp,
) -> CopySlots {
    let mut traffic = traffic.clone();
    traffic.slots.remove(promotion);
    traffic.queue.retain(|waiting| waiting.promotion != *promotion);
    fill(&mut traffic, copies_at_once, now);
    traffic
}

fn fill(traffic: &mut CopySlots, copies_at_once: u32, now: Timestamp) {
    let room = (copies_at_once.max(1) as usize).saturating_sub(traffic.slots.len());
    for next in traffic.queue.drain(..room.min(traffic.queue.len())) {
        let waits = next.asked > 0;
        let slot = CopySlot { execution: next.execution, since: now, asked: next.asked, waits };
        traffic.slots.insert(next.promotion, slot);
    }
}

/// Records that `promotion` waits once more, and returns the number of its callback; `None` if the promotion is not
/// present.
pub fn ask(traffic: &CopySlots, promotion: &DeploymentId) -> Option<(CopySlots, u32)> {
    let mut traffic = traffic.clone();
    let queued = traffic.queue.iter_mut().find(|waiting| waiting.promotion == *promotion);
    let asked = match queued {
        Some(waiting) => &mut waiting.asked,
        None => {
            let slot = traffic.slots.get_mut(promotion)?;
            slot.waits = true;
            &mut slot.asked
        }
    };
    *asked += 1;
    let number = *asked;
    Some((traffic, number))
}

/// Returns the callback keys of promotions that have a slot but have not started. Every release notifies them again, so
/// the next one repairs a lost notification.
pub fn to_notify(traffic: &CopySlots) -> Vec<String> {
    let waiting = traffic.slots.iter().filter(|(_, slot)| slot.waits);
    waiting.map(|(promotion, slot)| callback_key(traffic, promotion, slot.asked)).collect()
}

/// Returns the callback key of `promotion` with this number.
pub fn callback_key(traffic: &CopySlots, promotion: &DeploymentId, number: u32) -> String {
    let place = &traffic.location;
    format!("room#{}#{}#{promotion}#{number}", place.account, place.region)
}

/// Returns the promotions and executions to check, because they may have died: the oldest that have held a slot for
/// long, and the next in the queue.
pub fn suspects(traffic: &CopySlots, now: Timestamp) -> Vec<(DeploymentId, String)> {
    let old = |since: Timestamp| since.checked_add(LOOK_MINUTES.minutes()).is_ok_and(|end| end <= now);
    let mut slots: Vec<(&DeploymentId, &CopySlot)> =
        traffic.slots.iter().filter(|(_, slot)| old(slot.since)).collect();
    slots.sort_by_key(|(promotion, slot)| (slot.since, *promotion));
    let slots = slots.into_iter().map(|(promotion, slot)| (promotion, &slot.execution));
    let next = traffic.queue.iter().filter(|waiting| old(waiting.since)).take(1);
    let next = next.map(|waiting| (&waiting.promotion, &waiting.execution));
    next.chain(slots)
        .take(LOOKS_MAX)
        .map(|(promotion, execution)| (promotion.clone(), execution.clone()))
        .collect()
}

/// Reserves `calls` calls of a bucket that is reserved until `until`. Returns the new end of the reservation, and the
/// delay before the first call. Reserves nothing and returns the delay as an error if it would exceed `patience`.
pub fn throttle(
    until: Option<Timestamp>,
    rate: Rate,
    calls: u32,
    patience: Duration,
    now: Timestamp,
) -> Result<(Timestamp, Duration), Duration> {
    let one = SignedDuration::from_millis(i64::from(rate.interval_ms));
    let spoken = until.map_or(now, |until| until.max(now));
    let then = spoken.checked_add(one * i32::try_from(calls).unwrap_or(i32::MAX)).unwrap_or(spoken);
    let ahead = then.duration_since(now) - one * i32::try_from(rate.burst).unwrap_or(i32::MAX);
    let wait = ahead.max(SignedDuration::ZERO).unsigned_abs();
    if wait > patience { Err(wait) } else { Ok((then, wait)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::location::Location;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn start() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn place() -> CopySlots {
        CopySlots::none_at(&Location {
            account: "222222222222".parse().unwrap(),
            region: "eu-west-1".parse().unwrap(),
        })
    }

    fn id(n: u32) -> DeploymentId {
        DeploymentId::of_execution(&n.to_string())
    }

    fn entered(traffic: &mut CopySlots, n: u32, limit: u32) -> Acquired {
        let (after, entered) = acquire(traffic, &id(n), &n.to_string(), limit, start());
        *traffic = after;
        entered
    }

    /// Row 45 of the failure modes: a promotion above the limit waits, and its position is reported.
    #[test]
    fn copies_beyond_the_limit_wait_in_order_of_arrival() {
        let mut traffic = place();
        assert_eq!(entered(&mut traffic, 1, 2), Acquired::Admitted);
        assert_eq!(entered(&mut traffic, 2, 2), Acquired::Admitted);
        assert_eq!(entered(&mut traffic, 3, 2), Acquired::Waits { ahead: 0, running: 2 });
        assert_eq!(entered(&mut traffic, 4, 2), Acquired::Waits { ahead: 1, running: 2 });
        assert_eq!(
            entered(&mut traffic, 3, 2),
            Acquired::Waits { ahead: 0, running: 2 },
            "it keeps its place"
        );
        traffic = release(&traffic, &id(1), 2, start());
        assert_eq!(entered(&mut traffic, 4, 2), Acquired::Waits { ahead: 0, running: 2 });
        assert_eq!(entered(&mut traffic, 3, 2), Acquired::Admitted);
    }

    #[test]
    fn a_promotion_that_got_a_slot_is_notified_until_it_starts() {
        let mut traffic = place();
        entered(&mut traffic, 1, 1);
        entered(&mut traffic, 2, 1);
        let (asked, number) = ask(&traffic, &id(2)).unwrap();
        assert_eq!((number, to_notify(&asked)), (1, vec![]));
        let mut freed = release(&asked, &id(1), 1, start());
        let key = format!("room#222222222222#eu-west-1#{}#1", id(2));
        assert_eq!(to_notify(&freed), vec![key.clone()]);
        assert_eq!(
            to_notify(&release(&freed, &id(1), 1, start())),
            [key],
            "the first wake may have been lost"
        );
        assert_eq!(entered(&mut freed, 2, 1), Acquired::Admitted);
        assert_eq!(to_notify(&freed), Vec::<String>::new());
        assert_eq!(ask(&freed, &id(9)), None);
    }

    #[test]
    fn each_callback_has_a_key_of_its_own() {
        let mut traffic = place();
        entered(&mut traffic, 1, 1);
        entered(&mut traffic, 2, 1);
        let mut keys = BTreeSet::new();
        for _ in 0..3 {
            let (asked, number) = ask(&traffic, &id(2)).unwrap();
            keys.insert(callback_key(&asked, &id(2), number));
            traffic = asked;
            entered(&mut traffic, 2, 1);
        }
        traffic = release(&traffic, &id(1), 1, start());
        entered(&mut traffic, 2, 1);
        let (asked, number) = ask(&traffic, &id(2)).unwrap();
        keys.insert(callback_key(&asked, &id(2), number));
        assert_eq!(keys.len(), 4, "also once it has a slot");
    }

    #[test]
    fn only_old_slots_are_checked_for_dead_executions() {
        let mut traffic = place();
        for n in 1..=9 {
            entered(&mut traffic, n, 7);
        }
        assert_eq!(suspects(&traffic, start()), []);
        let later = start().checked_add(LOOK_MINUTES.minutes()).unwrap();
        let looked = suspects(&traffic, later);
        assert_eq!(looked.len(), LOOKS_MAX);
        assert_eq!(looked[0].0, id(8), "the next in the queue");
        let distinct: BTreeSet<_> = looked.iter().map(|(id, _)| id).collect();
        assert_eq!(distinct.len(), LOOKS_MAX);
    }

    #[test]
    fn calls_beyond_the_burst_are_delayed_to_the_rate() {
        let rate = Rate { burst: 3, interval_ms: 1000 };
        let patience = Duration::from_secs(60);
        let mut until = None;
        let waits: Vec<u64> = (0..6)
            .map(|_| {
                let (then, wait) = throttle(until, rate, 1, patience, start()).unwrap();
                until = Some(then);
                wait.as_secs()
            })
            .collect();
        assert_eq!(waits, [0, 0, 0, 1, 2, 3]);
        assert_eq!(throttle(until, rate, 1, Duration::from_secs(3), start()), Err(Duration::from_secs(4)));
        let rested = start().checked_add(10.seconds()).unwrap();
        assert_eq!(throttle(until, rate, 3, patience, rested).unwrap().1, Duration::ZERO);
    }

    proptest! {
        /// For every order of arrivals and releases: the limit is kept, each promotion is present once and none is
        /// lost, and none waits while a slot is free.
        #[test]
        fn the_limit_is_kept_and_no_promotion_waits_beside_a_free_slot(
            limit in 1u32..5,
            steps in prop::collection::vec((any::<bool>(), 0u32..12), 0..80),
        ) {
            let mut traffic = place();
            let mut inside = BTreeSet::new();
            for (comes, n) in steps {
                if comes {
                    let (after, entered) = acquire(&traffic, &id(n), &n.to_string(), limit, start());
                    prop_assert_eq!(entered == Acquired::Admitted, after.slots.contains_key(&id(n)));
                    traffic = after;
                    inside.insert(id(n));
                } else {
                    traffic = release(&traffic, &id(n), limit, start());
                    inside.remove(&id(n));
                }
                let running: BTreeSet<_> = traffic.slots.keys().cloned().collect();
                let waiting: BTreeSet<_> = traffic.queue.iter().map(|one| one.promotion.clone()).collect();
                prop_assert!(running.len() <= limit as usize);
                prop_assert!(running.is_disjoint(&waiting));
                prop_assert_eq!(waiting.len(), traffic.queue.len());
                prop_assert_eq!(running.union(&waiting).cloned().collect::<BTreeSet<_>>(), inside.clone());
                prop_assert!(waiting.is_empty() || running.len() == limit as usize);
            }
        }

        /// For every pattern of calls, no window of time holds more of them than the bucket allows.
        #[test]
        fn no_time_window_holds_more_calls_than_its_bucket_allows(
            gaps in prop::collection::vec(0i64..3000, 1..60),
            window_ms in 1i64..20_000,
        ) {
            let rate = Rate { burst: 4, interval_ms: 500 };
            let (mut until, mut now, mut made) = (None, start(), Vec::new());
            for gap in gaps {
                now = now.checked_add(gap.milliseconds()).unwrap();
                let (then, wait) = throttle(until, rate, 1, Duration::from_secs(3600), now).unwrap();
                until = Some(then);
                made.push(now.checked_add(SignedDuration::try_from(wait).unwrap()).unwrap());
            }
            for first in &made {
                let end = first.checked_add(window_ms.milliseconds()).unwrap();
                let within = made.iter().filter(|at| *at >= first && **at < end).count();
                let given = i64::from(rate.burst) + window_ms / i64::from(rate.interval_ms) + 1;
                prop_assert!(i64::try_from(within).unwrap() <= given);
            }
        }
    }
}
