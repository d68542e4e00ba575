//! The clock by which an installer waits.

use std::time::{Duration, Instant};

/// A clock that can be awaited.
#[expect(async_fn_in_trait, reason = "an installer serves one request at a time on one thread")]
pub trait Time {
    /// Returns the time since a fixed moment.
    fn now(&self) -> Duration;

    /// Waits for `duration`.
    async fn pass(&self, duration: Duration);
}

/// The clock of this machine.
#[derive(Clone, Copy, Debug)]
pub struct RealTime(Instant);

impl Default for RealTime {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Time for RealTime {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    async fn pass(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
