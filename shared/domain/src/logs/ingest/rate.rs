//! The rate of an application: a bucket of tokens, one for each event, that fills at a steady pace.
//!
//! The record of a bucket is the time at which it will be full. The number of its tokens follows from the
//! time.

use crate::model::ids::ApplicationName;
use crate::records::{Key, Record, Table};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Nanoseconds of a second.
const NANOSECONDS: u64 = 1_000_000_000;

/// A rate with its burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Numbers", into = "Numbers")]
pub struct Rate {
    events_per_second: u32,
    burst: u32,
}

#[derive(Serialize, Deserialize)]
struct Numbers {
    events_per_second: u32,
    burst: u32,
}

/// Numbers that are no valid rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a rate is at least one event per second and a burst of at least one, each at most {}", Rate::MAX)]
pub struct InvalidRate;

impl TryFrom<Numbers> for Rate {
    type Error = InvalidRate;

    fn try_from(numbers: Numbers) -> Result<Self, InvalidRate> {
        Self::new(numbers.events_per_second, numbers.burst)
    }
}

impl From<Rate> for Numbers {
    fn from(Rate { events_per_second, burst }: Rate) -> Numbers {
        Numbers { events_per_second, burst }
    }
}

impl Rate {
    /// Maximum of both numbers.
    pub const MAX: u32 = 1_000_000;

    /// Returns a rate of so many events a second in the long run, and so many at once.
    pub fn new(events_per_second: u32, burst: u32) -> Result<Self, InvalidRate> {
        let valid = |number| (1..=Self::MAX).contains(&number);
        if valid(events_per_second) && valid(burst) {
            Ok(Self { events_per_second, burst })
        } else {
            Err(InvalidRate)
        }
    }

    /// Returns the events a second in the long run.
    pub fn events_per_second(&self) -> u32 {
        self.events_per_second
    }

    /// Returns the maximum number of events at once.
    pub fn burst(&self) -> u32 {
        self.burst
    }

    /// Returns the time in which the bucket gains `events` tokens, rounded up to a nanosecond.
    fn time_for(&self, events: u32) -> SignedDuration {
        let nanoseconds = (u64::from(events) * NANOSECONDS).div_ceil(u64::from(self.events_per_second));
        SignedDuration::from_nanos(i64::try_from(nanoseconds).unwrap_or(i64::MAX))
    }
}

/// Bucket of an application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Application of the bucket.
    pub application: ApplicationName,
    /// Time at which it is full if no more tokens are taken.
    pub full_at: Timestamp,
}

impl Bucket {
    /// Returns the key of an application's bucket.
    pub fn key_of(application: &ApplicationName) -> Key {
        Key::single(Table::Applications, format!("BUCKET#{application}"))
    }
}

impl Record for Bucket {
    const KIND: &'static str = "BUCKET";
    const TABLES: &'static [Table] = &[Table::Applications];

    fn key(&self) -> Key {
        Self::key_of(&self.application)
    }

    /// Returns the expiry. A full bucket needs no record, but it is retained for a day, so that an
    /// application that sends all the time always has one.
    fn expires_at(&self) -> Option<i64> {
        Some(self.full_at.as_second() + 24 * 60 * 60)
    }
}

/// Result of taking tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RateDecision {
    /// The bucket had enough tokens; its new state.
    Yes(Bucket),
    /// The bucket will have enough tokens after so many seconds, at least one.
    After(u64),
    /// The bucket never holds so many tokens.
    Never,
}

/// Takes a token for each of `events` out of the bucket of `application`. An absent bucket is full.
pub fn limit_rate(
    rate: Rate,
    application: &ApplicationName,
    bucket: Option<&Bucket>,
    events: u32,
    now: Timestamp,
) -> RateDecision {
    if events > rate.burst {
        return RateDecision::Never;
    }
    let room = rate.time_for(rate.burst);
    // A bucket is at worst empty, even if another clock or another rate wrote it.
    let missing = bucket.map_or(SignedDuration::ZERO, |bucket| bucket.full_at.duration_since(now));
    let missing = missing.clamp(SignedDuration::ZERO, room) + rate.time_for(events);
    if missing > room {
        let nanoseconds = u64::try_from((missing - room).as_nanos()).unwrap_or(u64::MAX);
        return RateDecision::After(nanoseconds.div_ceil(NANOSECONDS));
    }
    let full_at = now.checked_add(missing).unwrap_or(Timestamp::MAX);
    RateDecision::Yes(Bucket { application: application.clone(), full_at })
}
