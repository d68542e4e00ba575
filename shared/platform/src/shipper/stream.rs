//! A connection that is a stream: carries out what a [`Conversation`] says is next.

use super::Came;
use super::connect::Duplex;
use lockstep_domain::logs::shipping::{Conversation, Goal, Lost, Next, Protocol, Window};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::time::timeout;

/// How much is read at once: acknowledgements are six bytes long.
const READ_BYTES: usize = 4 << 10;

/// A stream and the conversation on it.
pub(super) struct StreamLink {
    conversation: Conversation,
    stream: Box<dyn Duplex>,
    /// Whether something was written since the last flush: TLS keeps bytes back that the socket did not take.
    unflushed: bool,
    /// Whether the peer said that nothing more will come.
    peer_closed: bool,
}

/// What happened while a connection did what was next.
enum Event {
    Read(usize),
    Wrote(usize),
    Flushed,
    HalfClosed,
}

/// What to do while the peer is listened to.
enum Work<'a> {
    Write(&'a [u8]),
    Flush,
    HalfClose,
    Nothing,
}

impl StreamLink {
    /// Begins a conversation; nothing if `protocol` is none that is held on a stream.
    pub(super) fn open(stream: Box<dyn Duplex>, protocol: Protocol) -> Option<Self> {
        let conversation = Conversation::new(protocol)?;
        Some(Self { conversation, stream, unflushed: false, peer_closed: false })
    }

    /// Goes on until `goal` is reached, or this connection is at its end; it is lost if nothing moves for `stall`.
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
                // First what the peer says: an end that came before ours is known before ours is told.
                if listens && let Poll::Ready(read) = poll_read(stream, context, &mut buffer) {
                    return Poll::Ready(read.map(Event::Read));
                }
                poll_work(stream, context, &work)
            });
            let event = timeout(stall, happens).await.map_err(|_| Lost::Stalled)?.map_err(broken)?;
            match event {
                Event::Read(0) => self.peer_closed(window)?,
                Event::Read(length) => self.conversation.received(&buffer[..length], window)?,
                // A peer that takes nothing of what there is to write is gone.
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

    /// The peer closed. If it had not read everything by then, its system answered what came later with a reset, which
    /// hides behind the end of the stream.
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

/// Whatever this does may be left when the peer says something first: what was not written is still there to be written.
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
    Lost::Broken(error.to_string())
}
