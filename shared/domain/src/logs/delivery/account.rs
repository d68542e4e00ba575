//! Where every line went.

use serde::Serialize;
use std::collections::VecDeque;

/// What became of the lines of one or more objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LineCounts {
    /// Lines that the broker acknowledged.
    pub acknowledged: u64,
    /// Lines that are in quarantine.
    pub quarantined: u64,
    /// Bytes that could not be decompressed, and are in quarantine.
    pub unreadable_bytes: u64,
}

impl LineCounts {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            acknowledged: self.acknowledged + other.acknowledged,
            quarantined: self.quarantined + other.quarantined,
            unreadable_bytes: self.unreadable_bytes + other.unreadable_bytes,
        }
    }
}

/// What a batch accounts for once it is acknowledged and its malformed lines are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingBatch {
    /// How many of its lines are events. None: there was nothing to send.
    pub events: u64,
    /// How many are not.
    pub quarantined: u64,
}

/// The batches that were read and do not count yet, in the order of their lines.
#[derive(Debug, Default)]
pub struct AckTracker(VecDeque<PendingBatch>);

impl AckTracker {
    /// Notes a batch that was read, before it is sent.
    pub fn note(&mut self, mark: PendingBatch) {
        self.0.push_back(mark);
    }

    /// What counts now that the broker acknowledged the next `batches` that were sent. Lines count in order: a batch
    /// without events counts when all before it do.
    pub fn count(&mut self, mut batches: usize) -> LineCounts {
        let mut account = LineCounts::default();
        while let Some(next) = self.0.front() {
            match (next.events, batches) {
                (0, _) => {}
                (_, 0) => break,
                _ => batches -= 1,
            }
            account.acknowledged += next.events;
            account.quarantined += next.quarantined;
            self.0.pop_front();
        }
        account
    }
}
