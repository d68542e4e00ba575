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

    /// Moves the clock forward to `then`; never backward.
    pub fn advance_to(&self, then: Timestamp) {
        self.0.fetch_max(then.as_millisecond(), Ordering::SeqCst);
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
