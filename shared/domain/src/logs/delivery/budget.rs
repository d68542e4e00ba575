//! How an invocation divides its time.

use std::time::Duration;

/// How long what comes after shipping may take: storing what is in quarantine, and the message to the queue.
const HAND_ON_MAX: Duration = Duration::from_secs(10);

/// How long the broker may take for what is on its way when reading stops.
const SETTLE_MAX: Duration = Duration::from_secs(20);

/// Until when what may be done, counted from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Until when more is read.
    pub read: Duration,
    /// Until when acknowledgements count. What comes later is shipped again.
    pub settle: Duration,
}

impl Budget {
    /// Divides the time that is `left` until Lambda ends the invocation: at most a tenth of it for handing on, and a
    /// fifth for the last acknowledgements.
    pub fn of(left: Duration) -> Self {
        let settle = left - HAND_ON_MAX.min(left / 10);
        Self { read: settle - SETTLE_MAX.min(left / 5), settle }
    }
}
