//! Ships events to a log broker: sockets, time and tries around what [`lockstep_domain::logs::shipping`] decides.
//!
//! A connection is awaited before anything is written to it, what is written is flushed, and nothing counts as
//! acknowledged but what the peer acknowledged. Whoever ships keeps one [`Shipper`] for an invocation: sends batches,
//! settles, and believes [`Shipper::take_acknowledged`] alone.

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

/// How much may be on its way, and how long a peer is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How many bytes of events may be unacknowledged before no more is taken. A connection that carries lines carries
    /// about as much before it is closed, since only its end says that they arrived.
    pub window_bytes: usize,
    /// How long a connection may take to come about, TLS included.
    pub connect: Duration,
    /// How long nothing may move on a connection that waits for something.
    pub stall: Duration,
    /// The pause after the first connection that came to nothing; each next one is twice as long.
    pub pause_min: Duration,
    /// The longest pause.
    pub pause_max: Duration,
}

impl Pace {
    /// What a function keeps to.
    pub const DEFAULT: Pace = Pace {
        window_bytes: 8 << 20,
        connect: Duration::from_secs(5),
        stall: Duration::from_secs(30),
        pause_min: Duration::from_millis(200),
        pause_max: Duration::from_secs(10),
    };
}

/// Why nothing more is shipped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// The time that was given is over.
    #[error("there was no time left")]
    Time,
    /// The broker does not take it.
    #[error("{0}")]
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

/// Why a connection did not reach its goal.
enum Trouble {
    /// Another one may.
    Lost(Lost),
    /// No other one will; why, in words.
    Refused(String),
}

impl From<Lost> for Trouble {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

/// How far a connection came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    /// To the goal.
    There,
    /// To its own end; the next one goes on.
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
    /// Ships to `target`; connects when there is something to send. `authority` is the certificate (PEM) that its
    /// certificate must chain to, instead of the public ones.
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

    /// Takes `batch`, hands it on, and waits until there is room for another one.
    ///
    /// # Errors
    /// [`Stopped`]; the batch may be on its way nevertheless, and does not count.
    pub async fn send(&mut self, batch: Batch, until: Instant) -> Result<(), Stopped> {
        self.window.take(batch);
        self.reach(Goal::Room, until).await
    }

    /// Waits until everything that was sent is acknowledged, and closes the connection.
    ///
    /// # Errors
    /// [`Stopped`]; [`Shipper::take_acknowledged`] tells how much was acknowledged nevertheless.
    pub async fn settle(&mut self, until: Instant) -> Result<(), Stopped> {
        let settled = self.reach(Goal::Settled, until).await;
        self.disconnect();
        settled
    }

    /// Connects, and sends nothing.
    ///
    /// # Errors
    /// What keeps the broker from being reached; it is tried once.
    pub async fn try_out(&self, until: Instant) -> Result<(), Stopped> {
        let connected = timeout_at(until, self.connect()).await.map_err(|_| Stopped::Time)?;
        let broker = &self.target;
        connected.map(drop).map_err(|trouble| match trouble {
            Trouble::Lost(lost) => {
                Failure::new(FailureKind::Transient, format!("the broker {broker} {lost}")).into()
            }
            Trouble::Refused(why) => Failure::rejected(format!("the broker {broker} {why}")).into(),
        })
    }

    /// How many batches were acknowledged since the last time, in the order they were sent in.
    pub fn take_acknowledged(&mut self) -> usize {
        self.window.take_acknowledged()
    }

    async fn reach(&mut self, goal: Goal, until: Instant) -> Result<(), Stopped> {
        match timeout_at(until, self.advance(goal)).await {
            Ok(reached) => reached,
            Err(_) => {
                // What is on its way may still be acknowledged, unless it is a request that nobody waits for any more.
                if !self.link.as_ref().is_some_and(Link::can_be_left_alone) {
                    self.disconnect();
                }
                Err(Stopped::Time)
            }
        }
    }

    /// Ends the connection: what it did not acknowledge is unsent again.
    fn disconnect(&mut self) {
        self.link = None;
        self.window.rewind();
    }

    async fn advance(&mut self, goal: Goal) -> Result<(), Stopped> {
        // What has room is handed on all the same: the peer works while the next batch is read.
        while !goal.reached(&self.window) || self.window.unsent().is_some() {
            match self.step(goal).await {
                Ok(Came::There) => return Ok(()),
                Ok(Came::ToItsEnd) => self.disconnect(),
                Err(Trouble::Lost(lost)) => self.pause_after(&lost).await?,
                Err(Trouble::Refused(why)) => {
                    self.disconnect();
                    return Err(Failure::rejected(format!("the broker {} {why}", self.target)).into());
                }
            }
        }
        Ok(())
    }

    /// One connection, as far as it goes.
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

    /// Judges the loss of a connection; if another one is worth it, waits before it.
    async fn pause_after(&mut self, lost: &Lost) -> Result<(), Stopped> {
        self.disconnect();
        let broker = &self.target;
        match self.patience.lost(self.window.progress()) {
            Verdict::GiveUp => {
                let message =
                    format!("the broker {broker} {lost}, and did so before; it is left alone for now");
                Err(Failure::new(FailureKind::Transient, message).into())
            }
            Verdict::Again(nth) => {
                tracing::warn!("the broker {broker} {lost}; what is not acknowledged is sent again");
                sleep(self.pause(nth, lost)).await;
                Ok(())
            }
        }
    }

    /// The pause before another connection, with jitter: many functions may have lost theirs at the same moment.
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

/// A connection that is open.
enum Link {
    Stream(StreamLink),
    Http(HttpLink),
}

impl Link {
    /// Whether waiting for it may stop and go on later, with nothing lost in between.
    fn can_be_left_alone(&self) -> bool {
        matches!(self, Self::Stream(_))
    }

    async fn run(&mut self, window: &mut Window, goal: Goal, stall: Duration) -> Result<Came, Trouble> {
        match self {
            Self::Stream(link) => Ok(link.run(window, goal, stall).await?),
            Self::Http(link) => link.run(window, stall).await,
        }
    }
}
