//! Limit on the attempts to reach a broker.

/// Maximum number of fruitless connections in a row. Then the shipper gives up, and its queue retries later.
pub const FRUITLESS_MAX: u32 = 8;

/// Decision about a lost connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Connect again after a pause. Holds the number of fruitless connections in a row; zero if this one made
    /// progress.
    Again(u32),
    /// Too many connections in a row were fruitless.
    GiveUp,
}

/// Counter of fruitless connections. A peer that takes a little each time is worth another connection,
/// however often it closes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Patience {
    fruitless: u32,
    progress: u64,
}

impl Patience {
    /// Judges the loss of a connection, given the number of events acknowledged over all connections.
    pub fn lost(&mut self, progress: u64) -> Verdict {
        if progress > self.progress {
            *self = Self { fruitless: 0, progress };
            return Verdict::Again(0);
        }
        self.fruitless += 1;
        if self.fruitless >= FRUITLESS_MAX { Verdict::GiveUp } else { Verdict::Again(self.fruitless) }
    }
}
