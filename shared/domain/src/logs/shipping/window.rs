//! What was taken and is not acknowledged yet.

use super::Batch;
use std::collections::VecDeque;

/// The batches that are on their way, oldest first. It is the only memory of them: whatever is dropped from here counts
/// as delivered.
#[derive(Debug)]
pub struct Window {
    capacity_bytes: usize,
    batches: VecDeque<Batch>,
    bytes: usize,
    /// How many of the batches were given to the connection that is open now.
    on_the_wire: usize,
    /// How many events of the oldest batch are acknowledged.
    partly: u32,
    /// How many batches were acknowledged since somebody asked.
    acknowledged: usize,
    /// How many events were ever acknowledged: whoever waits sees by it whether anything moves.
    progress: u64,
}

impl Window {
    /// An empty window that has room while it holds fewer than `capacity_bytes`: the most it ever holds is that and
    /// one batch.
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

    /// Takes a batch, whether or not there is room: whoever gives one waits for room afterwards.
    pub fn take(&mut self, batch: Batch) {
        self.bytes += batch.bytes();
        self.batches.push_back(batch);
    }

    /// Whether the next batch may come.
    pub fn has_room(&self) -> bool {
        self.bytes < self.capacity_bytes
    }

    /// Whether everything that was taken is acknowledged.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// How many batches were acknowledged since the last time, in the order they were taken in.
    pub fn take_acknowledged(&mut self) -> usize {
        std::mem::take(&mut self.acknowledged)
    }

    /// How many events were ever acknowledged.
    pub fn progress(&self) -> u64 {
        self.progress
    }

    /// The oldest batch that the connection was not given yet, and how many of its events are acknowledged already.
    pub fn unsent(&self) -> Option<(&Batch, u32)> {
        let skip = if self.on_the_wire == 0 { self.partly } else { 0 };
        self.batches.get(self.on_the_wire).map(|batch| (batch, skip))
    }

    /// Notes that the connection was given the oldest unsent batch.
    pub fn sent(&mut self) {
        debug_assert!(self.on_the_wire < self.batches.len(), "nothing was unsent");
        self.on_the_wire = (self.on_the_wire + 1).min(self.batches.len());
    }

    /// Notes that the peer acknowledged `events` more of the oldest batch. Answers how many it did not ask for: those
    /// beyond the batch, or all of them if the connection was given nothing.
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

    /// Notes that the peer acknowledged everything the connection was given.
    pub fn acknowledge_all(&mut self) {
        for _ in 0..self.on_the_wire {
            self.acknowledge(u32::MAX);
        }
    }

    /// Notes that the connection is lost: what it did not acknowledge is unsent again.
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
