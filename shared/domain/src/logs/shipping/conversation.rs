//! One connection to a peer that reads a stream: what it has to do next, and what the peer's behaviour means.

use super::lumberjack::{self, Acks};
use super::{Protocol, Window};
use std::collections::VecDeque;
use std::fmt;

/// What whoever ships waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// The window has room for the next batch.
    Room,
    /// Everything is acknowledged.
    Settled,
}

impl Goal {
    /// Whether `window` is there already.
    pub fn reached(self, window: &Window) -> bool {
        match self {
            Self::Room => window.has_room(),
            Self::Settled => window.is_empty(),
        }
    }
}

/// What a connection has to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// Write these bytes, listening meanwhile.
    Write(&'a [u8]),
    /// Say that nothing more will come, and keep listening.
    HalfClose,
    /// Listen.
    Listen,
    /// The goal is reached.
    Reached,
    /// This connection has done its part; the goal needs another one.
    Reconnect,
}

/// Why a connection is of no more use. What it carried and was not acknowledged must be sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The peer could not be reached; why, in words.
    Unreachable(String),
    /// The peer closed before it had everything.
    Closed,
    /// The connection broke; how, in words.
    Broken(String),
    /// Nothing moved for too long.
    Stalled,
    /// The peer does not speak the protocol; how, in words.
    Violation(String),
    /// The peer wants to be asked again later: its HTTP status, and after how many seconds if it said so.
    Busy {
        /// The status.
        status: u16,
        /// The seconds of its `Retry-After`, bounded.
        after_seconds: Option<u64>,
    },
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "cannot be reached: {why}"),
            Self::Closed => f.write_str("closed the connection before it had everything"),
            Self::Broken(how) => write!(f, "broke the connection: {how}"),
            Self::Stalled => f.write_str("neither reads nor answers"),
            Self::Violation(how) => write!(f, "sent {how}"),
            Self::Busy { status, .. } => write!(f, "answers {status}"),
        }
    }
}

/// One connection that is open.
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
        /// How far each window that is on the wire is acknowledged, and how many events it has; the oldest first.
        windows: VecDeque<(u32, u32)>,
    },
}

/// How far the end of a connection has come that carries lines and hears nothing: the peer's own close, after it read
/// ours, is the only thing that says that it read everything before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Open,
    HalfClosed,
    Closed,
}

impl Conversation {
    /// A connection that was opened just now; nothing if the protocol is no stream but HTTP.
    pub fn new(protocol: Protocol) -> Option<Self> {
        let kind = match protocol {
            Protocol::JsonLines => Kind::JsonLines(Ending::Open),
            Protocol::Beats => Kind::Beats { acks: Acks::default(), windows: VecDeque::new() },
            Protocol::Http(_) => return None,
        };
        Some(Self { out: Vec::new(), written: 0, kind })
    }

    /// What to do next for `goal`.
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

    /// Writes the oldest unsent batch down, if there is one.
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

    /// Notes that the connection took `bytes` of what it was to write.
    pub fn written(&mut self, bytes: usize) {
        self.written = (self.written + bytes).min(self.out.len());
    }

    /// Notes that the peer was told that nothing more comes.
    pub fn half_closed(&mut self) {
        if let Kind::JsonLines(ending @ Ending::Open) = &mut self.kind {
            *ending = Ending::HalfClosed;
        }
    }

    /// Reads what the peer sent.
    pub fn received(&mut self, bytes: &[u8], window: &mut Window) -> Result<(), Lost> {
        let Kind::Beats { acks, windows } = &mut self.kind else {
            // Logstash's tcp input sends nothing; what another peer says is no acknowledgement.
            return Ok(());
        };
        let mut numbers = Vec::new();
        acks.read(bytes, |number| numbers.push(number))
            .map_err(|error| Lost::Violation(error.to_string()))?;
        numbers.into_iter().try_for_each(|number| acknowledge(number, windows, window))
    }

    /// Notes that the peer closed its side.
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

/// Counts an acknowledgement of the oldest window. A number that was acknowledged before, and zero, only say that the
/// peer lives; one that the window does not have says that it is no such peer.
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
