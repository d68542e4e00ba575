//! Virtual time.

use jiff::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// A clock that only moves when a test moves it. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct VirtualClock(Arc<AtomicI64>);

impl VirtualClock {
    /// Creates a clock that shows `start`, to the millisecond.
    pub fn at(start: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(start.as_millisecond())))
    }

    /// Returns the time that it shows.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::SeqCst)).unwrap_or_default()
    }

    /// Returns the time since 1970.
    pub fn elapsed(&self) -> Duration {
        Duration::from_millis(self.now().as_millisecond().unsigned_abs())
    }

    /// Moves the clock forward by `duration`.
    pub fn advance(&self, duration: Duration) {
        let milliseconds = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        self.0.fetch_add(milliseconds, Ordering::SeqCst);
    }

    /// Moves the clock forward to the first millisecond that is not before `then`; never backward. Who waits until `then`
    /// would wait for ever if the clock stopped before it.
    pub fn advance_to(&self, then: Timestamp) {
        let rest = i64::from(then.subsec_nanosecond().rem_euclid(1_000_000) != 0);
        self.0.fetch_max(then.as_millisecond() + rest, Ordering::SeqCst);
    }
}

#[cfg(feature = "operator")]
impl lockstep_aws::operator::stacks::Time for VirtualClock {
    fn now(&self) -> Duration {
        self.elapsed()
    }

    async fn pass(&self, duration: Duration) {
        self.advance(duration);
    }
}

#[cfg(test)]
mod tests {
    use super::VirtualClock;
    use jiff::Timestamp;

    #[test]
    fn the_clock_reaches_the_time_that_it_advances_to() {
        for nanoseconds in [0, 1, 999_999, 1_000_000, 1_500_000, 2_000_001] {
            let clock = VirtualClock::at(Timestamp::UNIX_EPOCH);
            let then = Timestamp::from_nanosecond(nanoseconds).unwrap();
            clock.advance_to(then);
            assert!(clock.now() >= then, "{} is before {then}", clock.now());
            assert!(clock.now().as_nanosecond() - nanoseconds < 1_000_000);
            clock.advance_to(Timestamp::UNIX_EPOCH);
            assert!(clock.now() >= then, "it moves back");
        }
    }
}
