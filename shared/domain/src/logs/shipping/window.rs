//! The window of batches that are not acknowledged yet.

use super::Batch;
use std::collections::VecDeque;

/// The batches that are on their way, oldest first. The window is the only memory of them: a batch that is
/// dropped from here counts as delivered.
#[derive(Debug)]
pub struct Window {
    capacity_bytes: usize,
    batches: VecDeque<Batch>,
    bytes: usize,
    /// Number of batches given to the current connection.
    on_the_wire: usize,
    /// Number of acknowledged events of the oldest batch.
    partly: u32,
    /// Number of batches acknowledged since the last query.
    acknowledged: usize,
    /// Number of events acknowledged in total. A waiting caller detects progress by it.
    progress: u64,
}

impl Window {
    /// Returns an empty window that has room while it holds fewer than `capacity_bytes`. It never holds more
    /// than that and one batch.
    pub fn new(capacity_bytes: usize) -> Self {
        Self {
            capacity_bytes,
            batches: VecDeque::new(),
            bytes: 0,
            on_the_wire: 0,
            partly: 0,
            acknowledged: 0,
            progress: 0,
        }
    }

    /// Takes a batch even without room. The caller waits for room afterwards.
    pub fn take(&mut self, batch: Batch) {
        self.bytes += batch.bytes();
        self.batches.push_back(batch);
    }

    /// Returns true if the window has room for the next batch.
    pub fn has_room(&self) -> bool {
        self.bytes < self.capacity_bytes
    }

    /// Returns true if every batch is acknowledged.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Returns the number of batches acknowledged since the last call, in the order in which they were taken.
    pub fn take_acknowledged(&mut self) -> usize {
        std::mem::take(&mut self.acknowledged)
    }

    /// Returns the number of events acknowledged in total.
    pub fn progress(&self) -> u64 {
        self.progress
    }

    /// Returns the oldest batch that the connection has not got yet, and the number of its events that are
    /// acknowledged already.
    pub fn unsent(&self) -> Option<(&Batch, u32)> {
        let skip = if self.on_the_wire == 0 { self.partly } else { 0 };
        self.batches.get(self.on_the_wire).map(|batch| (batch, skip))
    }

    /// Records that the connection got the oldest unsent batch.
    pub fn sent(&mut self) {
        debug_assert!(self.on_the_wire < self.batches.len(), "nothing was unsent");
        self.on_the_wire = (self.on_the_wire + 1).min(self.batches.len());
    }

    /// Records that the peer acknowledged `events` more of the oldest batch. Returns the number of excess
    /// events: those beyond the batch, or all of them if the connection got no batch.
    pub fn acknowledge(&mut self, events: u32) -> u32 {
        let Some(oldest) = self.batches.front().filter(|_| self.on_the_wire > 0) else { return events };
        let left = oldest.events() - self.partly;
        let counted = events.min(left);
        self.partly += counted;
        self.progress += u64::from(counted);
        if counted == left {
            self.drop_oldest();
        }
        events - counted
    }

    /// Records that the peer acknowledged every batch of the connection.
    pub fn acknowledge_all(&mut self) {
        for _ in 0..self.on_the_wire {
            self.acknowledge(u32::MAX);
        }
    }

    /// Records that the connection is lost. Its batches that are not acknowledged are unsent again.
    pub fn rewind(&mut self) {
        self.on_the_wire = 0;
    }

    fn drop_oldest(&mut self) {
        if let Some(batch) = self.batches.pop_front() {
            self.bytes -= batch.bytes();
            self.on_the_wire -= 1;
            self.partly = 0;
            self.acknowledged += 1;
        }
    }
}
