//! One connection to a peer that reads a stream: its next step, and the meaning of the peer's behaviour.

use super::lumberjack::{self, Acks};
use super::{Protocol, Window};
use crate::model::error::{ErrorCause, chain};
use std::collections::VecDeque;

/// The state that the shipper waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// The window has room for the next batch.
    Room,
    /// Every batch is acknowledged.
    Settled,
}

impl Goal {
    /// Returns true if `window` has reached the goal.
    pub fn reached(self, window: &Window) -> bool {
        match self {
            Self::Room => window.has_room(),
            Self::Settled => window.is_empty(),
        }
    }
}

/// Next step of a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// Write these bytes, and read at the same time.
    Write(&'a [u8]),
    /// Close the writing side, and keep reading.
    HalfClose,
    /// Read.
    Listen,
    /// The goal is reached.
    Reached,
    /// This connection is finished; the goal needs another one.
    Reconnect,
}

/// Reason why a connection is lost. Its batches that were not acknowledged must be sent again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// The peer could not be reached.
    #[error("cannot be reached")]
    Unreachable(#[source] ErrorCause),
    /// The peer closed before it had read everything.
    #[error("closed the connection before it had read everything")]
    Closed,
    /// The connection broke.
    #[error("broke the connection")]
    Broken(#[source] ErrorCause),
    /// The connection made no progress for too long.
    #[error("neither reads nor answers")]
    Stalled,
    /// The peer violates the protocol; the violation, in words.
    #[error("sent {0}")]
    Violation(String),
    /// The peer asks for a later retry.
    #[error("answers {status}")]
    Busy {
        /// HTTP status of the response.
        status: u16,
        /// Seconds of its `Retry-After`, bounded.
        after_seconds: Option<u64>,
    },
}

/// One open connection.
#[derive(Debug)]
pub struct Conversation {
    out: Vec<u8>,
    written: usize,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    JsonLines(Ending),
    Beats {
        acks: Acks,
        /// Number of acknowledged events and number of events of each window on the wire; the oldest first.
        windows: VecDeque<(u32, u32)>,
    },
}

/// Shutdown state of a connection without acknowledgements. The peer's close after ours is the only proof
/// that it read everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Open,
    HalfClosed,
    Closed,
}

impl Conversation {
    /// Returns a connection that was just opened; `None` for HTTP, which is no stream.
    pub fn new(protocol: Protocol) -> Option<Self> {
        let kind = match protocol {
            Protocol::JsonLines => Kind::JsonLines(Ending::Open),
            Protocol::Beats => Kind::Beats { acks: Acks::default(), windows: VecDeque::new() },
            Protocol::Http(_) => return None,
        };
        Some(Self { out: Vec::new(), written: 0, kind })
    }

    /// Returns the next step for `goal`.
    pub fn next(&mut self, window: &mut Window, goal: Goal) -> Next<'_> {
        if let Kind::JsonLines(ending) = self.kind
            && ending != Ending::Open
        {
            return self.after_half_close(ending, window, goal);
        }
        if self.written == self.out.len() {
            self.fill(window);
        }
        if self.written < self.out.len() {
            return Next::Write(&self.out[self.written..]);
        }
        if goal.reached(window) {
            return Next::Reached;
        }
        match self.kind {
            Kind::JsonLines(_) => Next::HalfClose,
            Kind::Beats { .. } => Next::Listen,
        }
    }

    fn after_half_close(&self, ending: Ending, window: &Window, goal: Goal) -> Next<'static> {
        match ending {
            Ending::HalfClosed | Ending::Open => Next::Listen,
            Ending::Closed if goal.reached(window) && window.unsent().is_none() => Next::Reached,
            Ending::Closed => Next::Reconnect,
        }
    }

    /// Encodes the oldest unsent batch, if there is one.
    fn fill(&mut self, window: &mut Window) {
        self.out.clear();
        self.written = 0;
        let Some((batch, skip)) = window.unsent() else { return };
        match &mut self.kind {
            Kind::JsonLines(_) => self.out.extend_from_slice(batch.rest(skip)),
            Kind::Beats { windows, .. } => {
                lumberjack::write_window(batch, skip, &mut self.out);
                windows.push_back((0, batch.events() - skip));
            }
        }
        window.sent();
    }

    /// Records that the connection wrote `bytes` of its output.
    pub fn written(&mut self, bytes: usize) {
        self.written = (self.written + bytes).min(self.out.len());
    }

    /// Records that the writing side is closed.
    pub fn half_closed(&mut self) {
        if let Kind::JsonLines(ending @ Ending::Open) = &mut self.kind {
            *ending = Ending::HalfClosed;
        }
    }

    /// Returns true if the writing side is closed, and the peer's close is to prove that everything arrived.
    pub fn is_half_closed(&self) -> bool {
        matches!(self.kind, Kind::JsonLines(Ending::HalfClosed))
    }

    /// Reads bytes from the peer.
    pub fn received(&mut self, bytes: &[u8], window: &mut Window) -> Result<(), Lost> {
        let Kind::Beats { acks, windows } = &mut self.kind else {
            // Logstash's tcp input sends nothing. Bytes from another peer are no acknowledgement.
            return Ok(());
        };
        let mut numbers = Vec::new();
        acks.read(bytes, |number| numbers.push(number)).map_err(|error| Lost::Violation(chain(&error)))?;
        numbers.into_iter().try_for_each(|number| acknowledge(number, windows, window))
    }

    /// Records that the peer closed its side.
    pub fn peer_closed(&mut self, window: &mut Window) -> Result<(), Lost> {
        match &mut self.kind {
            Kind::JsonLines(ending @ Ending::HalfClosed) => {
                *ending = Ending::Closed;
                window.acknowledge_all();
                Ok(())
            }
            Kind::JsonLines(Ending::Closed) => Ok(()),
            Kind::JsonLines(Ending::Open) | Kind::Beats { .. } => Err(Lost::Closed),
        }
    }
}

/// Counts an acknowledgement of the oldest window. A repeated number and zero only prove that the peer is
/// alive. A number beyond the window is a violation of the protocol.
fn acknowledge(number: u32, windows: &mut VecDeque<(u32, u32)>, window: &mut Window) -> Result<(), Lost> {
    if number == 0 {
        return Ok(());
    }
    let Some((heard, events)) = windows.front_mut().filter(|(_, events)| number <= *events) else {
        return Err(Lost::Violation(format!("an acknowledgement of event {number}, which was not sent")));
    };
    window.acknowledge(number.saturating_sub(*heard));
    *heard = number.max(*heard);
    if *heard == *events {
        windows.pop_front();
    }
    Ok(())
}
