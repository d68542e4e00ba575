//! Division of an invocation's time.

use std::time::Duration;

/// Maximum time for the work after shipping: the storage of quarantined data, and the message to the queue.
const HAND_ON_MAX: Duration = Duration::from_secs(10);

/// Maximum time for the broker to acknowledge the batches on their way when reading stops.
const SETTLE_MAX: Duration = Duration::from_secs(20);

/// Deadlines of an invocation, as durations from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// End of reading.
    pub read: Duration,
    /// End of the acknowledgements that count. Later ones are ignored, and their lines are shipped again.
    pub settle: Duration,
}

impl Budget {
    /// Divides the time that is `left` until Lambda ends the invocation: at most a tenth for the
    /// continuation, and a fifth for the last acknowledgements.
    pub fn of(left: Duration) -> Self {
        let settle = left - HAND_ON_MAX.min(left / 10);
        Self { read: settle - SETTLE_MAX.min(left / 5), settle }
    }
}
