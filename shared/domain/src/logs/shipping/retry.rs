//! How often a broker is tried.

/// How many connections in a row may come to nothing before whoever ships gives up, and its queue tries later.
pub const FRUITLESS_MAX: u32 = 8;

/// What to do about a connection that was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Connect again after a pause; it was the nth in a row that came to nothing, none if this one got something
    /// through.
    Again(u32),
    /// Enough came to nothing.
    GiveUp,
}

/// Counts connections that came to nothing. A peer that takes a little each time is worth another connection, however
/// often it closes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Patience {
    fruitless: u32,
    progress: u64,
}

impl Patience {
    /// Judges the loss of a connection, given how many events were acknowledged over all of them.
    pub fn lost(&mut self, progress: u64) -> Verdict {
        if progress > self.progress {
            *self = Self { fruitless: 0, progress };
            return Verdict::Again(0);
        }
        self.fruitless += 1;
        if self.fruitless >= FRUITLESS_MAX { Verdict::GiveUp } else { Verdict::Again(self.fruitless) }
    }
}
