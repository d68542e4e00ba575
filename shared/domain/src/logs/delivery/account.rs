//! Accounting of every line.

use serde::Serialize;
use std::collections::VecDeque;

/// Number of accounted lines of one or more objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LineCounts {
    /// Number of lines that the broker acknowledged.
    pub acknowledged: u64,
    /// Number of lines in quarantine.
    pub quarantined: u64,
    /// Number of bytes that could not be decompressed and are in quarantine.
    pub unreadable_bytes: u64,
}

impl LineCounts {
    /// Returns the sum of both counts.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            acknowledged: self.acknowledged + other.acknowledged,
            quarantined: self.quarantined + other.quarantined,
            unreadable_bytes: self.unreadable_bytes + other.unreadable_bytes,
        }
    }
}

/// The lines that a batch accounts for, once it is acknowledged and its malformed lines are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingBatch {
    /// Number of its lines that are events. With zero there is no batch to send.
    pub events: u64,
    /// Number of its lines that are malformed.
    pub quarantined: u64,
}

/// Batches that were read and do not count yet, in the order of their lines.
#[derive(Debug, Default)]
pub struct AckTracker(VecDeque<PendingBatch>);

impl AckTracker {
    /// Adds a batch that was read, before it is sent.
    pub fn note(&mut self, mark: PendingBatch) {
        self.0.push_back(mark);
    }

    /// Returns the lines that count after the broker acknowledged the next `batches`. Lines count in order: a
    /// batch without events counts when all batches before it do.
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
