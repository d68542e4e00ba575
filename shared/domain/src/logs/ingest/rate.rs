//! How much an application may send: a bucket of tokens, one for each event, that fills up again at a steady pace.
//!
//! All that is kept of a bucket is when it will be full: the tokens that are in it follow from the time.

use crate::model::ids::ApplicationName;
use crate::records::{Key, Record, Table};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The nanoseconds of a second.
const NANOSECONDS: u64 = 1_000_000_000;

/// How much may be sent.
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

/// Numbers that are no rate.
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
    /// The most of either.
    pub const MAX: u32 = 1_000_000;

    /// So many events a second in the long run, and so many at once.
    pub fn new(events_per_second: u32, burst: u32) -> Result<Self, InvalidRate> {
        let valid = |number| (1..=Self::MAX).contains(&number);
        if valid(events_per_second) && valid(burst) {
            Ok(Self { events_per_second, burst })
        } else {
            Err(InvalidRate)
        }
    }

    /// How many events a second in the long run.
    pub fn events_per_second(&self) -> u32 {
        self.events_per_second
    }

    /// How many at once.
    pub fn burst(&self) -> u32 {
        self.burst
    }

    /// How long the bucket takes to win `events` tokens, rounded up to a nanosecond.
    fn time_for(&self, events: u32) -> SignedDuration {
        let nanoseconds = (u64::from(events) * NANOSECONDS).div_ceil(u64::from(self.events_per_second));
        SignedDuration::from_nanos(i64::try_from(nanoseconds).unwrap_or(i64::MAX))
    }
}

/// The bucket of an application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Whose it is.
    pub application: ApplicationName,
    /// When it is full, if nothing is taken any more.
    pub full_at: Timestamp,
}

impl Bucket {
    /// Where the bucket of an application is.
    pub fn key_of(application: &ApplicationName) -> Key {
        Key::single(format!("BUCKET#{application}"))
    }
}

impl Record for Bucket {
    const KIND: &'static str = "BUCKET";
    const TABLE: Table = Table::Applications;

    fn key(&self) -> Key {
        Self::key_of(&self.application)
    }

    /// One that is full need not be kept; for a day it is, so that an application that sends all the time has always one.
    fn expires_at(&self) -> Option<i64> {
        Some(self.full_at.as_second() + 24 * 60 * 60)
    }
}

/// Whether there were tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// There were: the bucket as it is now.
    Yes(Bucket),
    /// There will be, after so many seconds, at least one.
    After(u64),
    /// There never will be: the bucket does not hold so many.
    Never,
}

/// Takes a token for each of `events` out of the bucket of `application`; without a bucket it is full.
pub fn take(
    rate: Rate,
    application: &ApplicationName,
    bucket: Option<&Bucket>,
    events: u32,
    now: Timestamp,
) -> Taken {
    if events > rate.burst {
        return Taken::Never;
    }
    let room = rate.time_for(rate.burst);
    // A bucket is never emptier than empty, whatever another clock or another rate made of it.
    let missing = bucket.map_or(SignedDuration::ZERO, |bucket| bucket.full_at.duration_since(now));
    let missing = missing.clamp(SignedDuration::ZERO, room) + rate.time_for(events);
    if missing > room {
        let nanoseconds = u64::try_from((missing - room).as_nanos()).unwrap_or(u64::MAX);
        return Taken::After(nanoseconds.div_ceil(NANOSECONDS));
    }
    let full_at = now.checked_add(missing).unwrap_or(Timestamp::MAX);
    Taken::Yes(Bucket { application: application.clone(), full_at })
}
