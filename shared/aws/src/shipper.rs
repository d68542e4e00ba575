//! Ships events to a log broker: sockets, time and retries around the decisions of [`lockstep_domain::logs::shipping`].
//!
//! A connection is established before it is written to, and each write is flushed. Only the peer's acknowledgement
//! counts as one. A caller keeps one [`Shipper`] for an invocation: it sends batches, settles, and relies on
//! [`Shipper::take_acknowledged`] alone.

mod connect;
mod output;
mod request;
mod stream;

pub use output::Output;

use backon::{BackoffBuilder, ExponentialBuilder};
use connect::Tls;
use lockstep_domain::logs::shipping::{Batch, Goal, Lost, Patience, Protocol, Target, Verdict, Window};
use lockstep_domain::model::error::{Failure, FailureKind};
use request::HttpLink;
use std::time::Duration;
use stream::StreamLink;
use tokio::time::{Instant, sleep, timeout_at};

/// Limits of unacknowledged bytes and of waiting times.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Maximum number of unacknowledged bytes of events before the shipper accepts no more. A connection that carries
    /// lines closes after about as many bytes, since only its end proves that they arrived.
    pub window_bytes: usize,
    /// Timeout of a connection attempt, TLS included.
    pub connect: Duration,
    /// Maximum time without progress on a connection that waits for the peer.
    pub stall: Duration,
    /// The pause after the first failed connection; each next pause is twice as long.
    pub pause_min: Duration,
    /// The longest pause.
    pub pause_max: Duration,
}

impl Pace {
    /// The limits of every function.
    pub const DEFAULT: Pace = Pace {
        window_bytes: 8 << 20,
        connect: Duration::from_secs(5),
        stall: Duration::from_secs(30),
        pause_min: Duration::from_millis(200),
        pause_max: Duration::from_secs(10),
    };
}

/// Reason why shipping stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// The deadline passed.
    #[error("there was no time left")]
    Time,
    /// The broker does not accept the events.
    #[error(transparent)]
    Broker(#[from] Failure),
}

impl From<Stopped> for Failure {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Broker(failure) => failure,
            Stopped::Time => Self::new(FailureKind::Transient, "the broker did not answer in time"),
        }
    }
}

/// Reason why a connection did not reach its goal.
enum Trouble {
    /// A new connection may succeed.
    Lost(Lost),
    /// No new connection will succeed.
    Refused(Failure),
}

impl From<Lost> for Trouble {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

/// Result of a step of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    /// The goal is reached.
    There,
    /// The connection ended; the next one continues.
    ToItsEnd,
}

/// Ships to one broker, over one connection at a time.
pub struct Shipper {
    target: Target,
    tls: Option<Tls>,
    pace: Pace,
    window: Window,
    link: Option<Link>,
    patience: Patience,
}

impl Shipper {
    /// Creates a shipper to `target`; it connects when there is something to send. `authority` is the certificate (PEM)
    /// that the target's certificate must chain to, instead of the public ones.
    ///
    /// # Errors
    /// `Rejected` if `authority` holds no certificate.
    pub fn new(target: &Target, authority: Option<&str>, pace: Pace) -> Result<Self, Failure> {
        Ok(Self {
            target: target.clone(),
            tls: target.tls.then(|| Tls::new(target, authority)).transpose()?,
            pace,
            window: Window::new(pace.window_bytes),
            link: None,
            patience: Patience::default(),
        })
    }

    /// Takes `batch`, sends it, and waits until the window has space for another one.
    ///
    /// # Errors
    /// [`Stopped`]; the batch may be in flight all the same, and does not count.
    pub async fn send(&mut self, batch: Batch, until: Instant) -> Result<(), Stopped> {
        self.window.take(batch);
        self.reach(Goal::Room, until).await
    }

    /// Waits until everything that was sent is acknowledged, and closes the connection.
    ///
    /// # Errors
    /// [`Stopped`]; [`Shipper::take_acknowledged`] still returns the number of acknowledged batches.
    pub async fn settle(&mut self, until: Instant) -> Result<(), Stopped> {
        let settled = self.reach(Goal::Settled, until).await;
        self.disconnect();
        settled
    }

    /// Connects, and sends nothing.
    ///
    /// # Errors
    /// The reason why the broker is not reachable; there is one attempt.
    pub async fn try_out(&self, until: Instant) -> Result<(), Stopped> {
        let connected = timeout_at(until, self.connect()).await.map_err(|_| Stopped::Time)?;
        connected.map(drop).map_err(|trouble| match trouble {
            Trouble::Lost(lost) => self.transient(&lost, "").into(),
            Trouble::Refused(failure) => failure.into(),
        })
    }

    /// Returns the number of batches acknowledged since the last call, in the order they were sent in.
    pub fn take_acknowledged(&mut self) -> usize {
        self.window.take_acknowledged()
    }

    async fn reach(&mut self, goal: Goal, until: Instant) -> Result<(), Stopped> {
        match timeout_at(until, self.advance(goal)).await {
            Ok(reached) => reached,
            Err(_) => {
                // An acknowledgement may still arrive for data in flight, unless it is a request that is no longer
                // awaited.
                if !self.link.as_ref().is_some_and(Link::may_be_left_open) {
                    self.disconnect();
                }
                Err(Stopped::Time)
            }
        }
    }

    /// Ends the connection: unacknowledged batches are unsent again.
    fn disconnect(&mut self) {
        self.link = None;
        self.window.rewind();
    }

    async fn advance(&mut self, goal: Goal) -> Result<(), Stopped> {
        // Batches that fit are sent all the same: the peer works while the next batch is read.
        while !goal.reached(&self.window) || self.window.unsent().is_some() {
            match self.step(goal).await {
                Ok(Came::There) => return Ok(()),
                Ok(Came::ToItsEnd) => self.disconnect(),
                Err(Trouble::Lost(lost)) => self.pause_after(&lost).await?,
                Err(Trouble::Refused(failure)) => {
                    self.disconnect();
                    return Err(failure.into());
                }
            }
        }
        Ok(())
    }

    /// Runs one connection until its goal or its end.
    async fn step(&mut self, goal: Goal) -> Result<Came, Trouble> {
        let link = match &mut self.link {
            Some(link) => link,
            None => {
                let link = self.connect().await?;
                self.link.insert(link)
            }
        };
        link.run(&mut self.window, goal, self.pace.stall).await
    }

    async fn connect(&self) -> Result<Link, Trouble> {
        let stream = connect::connect(&self.target, self.tls.as_ref(), self.pace.connect).await?;
        match self.target.protocol {
            Protocol::Http(shape) => Ok(Link::Http(HttpLink::open(stream, &self.target, shape).await?)),
            Protocol::JsonLines | Protocol::Beats => {
                let link = StreamLink::open(stream, self.target.protocol);
                Ok(Link::Stream(link.ok_or_else(|| Lost::Violation("no stream".to_owned()))?))
            }
        }
    }

    /// Judges the loss of a connection; waits if another connection is useful.
    async fn pause_after(&mut self, lost: &Lost) -> Result<(), Stopped> {
        self.disconnect();
        match self.patience.lost(self.window.progress()) {
            Verdict::GiveUp => {
                Err(self.transient(lost, ", and did so before; it is left alone for now").into())
            }
            Verdict::Again(nth) => {
                let failure = self.transient(lost, "; what is not acknowledged is sent again");
                tracing::warn!("{}", failure.chain());
                sleep(self.pause(nth, lost)).await;
                Ok(())
            }
        }
    }

    /// Returns the failure after a lost connection; `end` ends its sentence.
    fn transient(&self, lost: &Lost, end: &str) -> Failure {
        let message = format!("the broker {} {lost}{end}", self.target);
        Failure::new(FailureKind::Transient, message).with_causes_of(lost)
    }

    /// Returns the pause before another connection, with jitter: many functions may have lost theirs at the same
    /// moment.
    fn pause(&self, nth: u32, lost: &Lost) -> Duration {
        let pauses =
            ExponentialBuilder::new().with_min_delay(self.pace.pause_min).with_max_delay(self.pace.pause_max);
        let mut pauses = pauses.with_factor(2.0).with_jitter().without_max_times().build();
        let own = pauses.nth(nth as usize).unwrap_or(self.pace.pause_max);
        match lost {
            Lost::Busy { after_seconds: Some(seconds), .. } => own.max(Duration::from_secs(*seconds)),
            _ => own,
        }
    }
}

/// An open connection.
enum Link {
    Stream(StreamLink),
    Http(HttpLink),
}

impl Link {
    /// Returns true if waiting for it may stop and continue later without loss.
    fn may_be_left_open(&self) -> bool {
        matches!(self, Self::Stream(_))
    }

    async fn run(&mut self, window: &mut Window, goal: Goal, stall: Duration) -> Result<Came, Trouble> {
        match self {
            Self::Stream(link) => Ok(link.run(window, goal, stall).await?),
            Self::Http(link) => link.run(window, stall).await,
        }
    }
}
