//! A connection that is a stream: performs the next step of a [`Conversation`].

use super::Came;
use super::connect::Duplex;
use lockstep_domain::logs::shipping::{Conversation, Goal, Lost, Next, Protocol, Window};
use lockstep_domain::model::error::ErrorCause;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::time::timeout;

/// Number of bytes of one read: acknowledgements are six bytes long.
const READ_BYTES: usize = 4 << 10;

/// A stream and the conversation on it.
pub(super) struct StreamLink {
    conversation: Conversation,
    stream: Box<dyn Duplex>,
    /// True if bytes were written since the last flush: TLS buffers bytes that the socket did not take.
    unflushed: bool,
    /// True if the peer closed its side.
    peer_closed: bool,
}

/// Event of a step of a connection.
enum Event {
    Read(usize),
    Wrote(usize),
    Flushed,
    HalfClosed,
}

/// Work of a connection while it listens to the peer.
enum Work<'a> {
    Write(&'a [u8]),
    Flush,
    HalfClose,
    Nothing,
}

impl StreamLink {
    /// Begins a conversation; `None` if `protocol` is not a stream protocol.
    pub(super) fn open(stream: Box<dyn Duplex>, protocol: Protocol) -> Option<Self> {
        let conversation = Conversation::new(protocol)?;
        Some(Self { conversation, stream, unflushed: false, peer_closed: false })
    }

    /// Continues until `goal` is reached or this connection ends. The connection is lost without progress for `stall`.
    pub(super) async fn run(
        &mut self,
        window: &mut Window,
        goal: Goal,
        stall: Duration,
    ) -> Result<Came, Lost> {
        let mut buffer = [0; READ_BYTES];
        loop {
            let work = match self.conversation.next(window, goal) {
                Next::Write(bytes) => Work::Write(bytes),
                _ if self.unflushed => Work::Flush,
                Next::HalfClose => Work::HalfClose,
                Next::Listen => Work::Nothing,
                Next::Reached => return Ok(Came::There),
                Next::Reconnect => return Ok(Came::ToItsEnd),
            };
            let (stream, listens) = (&mut self.stream, !self.peer_closed);
            let happens = poll_fn(|context| {
                // The peer first: its end is known before ours is announced if it came earlier.
                if listens && let Poll::Ready(read) = poll_read(stream, context, &mut buffer) {
                    return Poll::Ready(read.map(Event::Read));
                }
                poll_work(stream, context, &work)
            });
            let event = timeout(stall, happens).await.map_err(|_| Lost::Stalled)?.map_err(broken)?;
            match event {
                Event::Read(0) => self.peer_closed(window)?,
                Event::Read(length) => self.conversation.received(&buffer[..length], window)?,
                // A peer that accepts no bytes is gone.
                Event::Wrote(0) => return Err(Lost::Closed),
                Event::Wrote(length) => {
                    self.conversation.written(length);
                    self.unflushed = true;
                }
                Event::Flushed => self.unflushed = false,
                Event::HalfClosed => self.conversation.half_closed(),
            }
        }
    }

    /// Handles the peer's close. If the peer had unread bytes, its system answered later ones with a reset, which hides
    /// behind the end of the stream.
    fn peer_closed(&mut self, window: &mut Window) -> Result<(), Lost> {
        self.peer_closed = true;
        match self.stream.take_error() {
            Ok(None) => self.conversation.peer_closed(window),
            Ok(Some(error)) | Err(error) => Err(broken(error)),
        }
    }
}

fn poll_read(
    stream: &mut Box<dyn Duplex>,
    context: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    let mut buffer = ReadBuf::new(buffer);
    Pin::new(stream).poll_read(context, &mut buffer).map_ok(|()| buffer.filled().len())
}

/// Polls one piece of work. The caller may drop it when the peer sends first: unwritten bytes remain to be written.
fn poll_work(
    stream: &mut Box<dyn Duplex>,
    context: &mut Context<'_>,
    work: &Work<'_>,
) -> Poll<io::Result<Event>> {
    let stream = Pin::new(stream);
    match work {
        Work::Write(bytes) => stream.poll_write(context, bytes).map_ok(Event::Wrote),
        Work::Flush => stream.poll_flush(context).map_ok(|()| Event::Flushed),
        Work::HalfClose => stream.poll_shutdown(context).map_ok(|()| Event::HalfClosed),
        Work::Nothing => Poll::Pending,
    }
}

fn broken(error: io::Error) -> Lost {
    Lost::Broken(ErrorCause::of(&error))
}
