//! The clock of a function.

use jiff::Timestamp;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Returns the time and waits. The default methods are those of the machine; a simulation has its own.
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait Clock {
    /// Returns the current time.
    fn now(&self) -> Timestamp {
        lockstep_aws::clock::now()
    }

    /// Returns the monotonic time since an arbitrary origin.
    fn elapsed(&self) -> Duration {
        static ORIGIN: OnceLock<Instant> = OnceLock::new();
        ORIGIN.get_or_init(Instant::now).elapsed()
    }

    /// Waits for `time`.
    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}
