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
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;
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
                Event::Read(0) => self.peer_closed(window, stall).await?,
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

    /// Handles the peer's close. If the close is to prove that events arrived, the TCP connection must agree.
    async fn peer_closed(&mut self, window: &mut Window, stall: Duration) -> Result<(), Lost> {
        self.peer_closed = true;
        if self.conversation.is_half_closed() {
            let socket = self.stream.socket();
            let complete = timeout(stall, ensure_complete(socket)).await;
            complete.map_err(|_| Lost::Stalled)?.map_err(broken)?;
        }
        self.conversation.peer_closed(window)
    }
}

/// Ensures that the peer's close followed ours, on a connection whose writing side is closed.
///
/// A peer that closes before it receives everything sends its end too early. The reset that answers our last bytes comes
/// later than that end, by one round trip. The connection is over in both directions (TIME-WAIT of
/// [RFC 9293](https://www.rfc-editor.org/rfc/rfc9293#section-3.6)) only if the peer's end acknowledges ours.
async fn ensure_complete(socket: &mut TcpStream) -> io::Result<()> {
    // TLS announces its end before TCP does.
    let mut rest = [0; READ_BYTES];
    while socket.read(&mut rest).await? > 0 {}
    match socket.peer_addr() {
        Ok(_) => {
            return Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the peer closed the connection before it had every byte",
            ));
        }
        Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
        Err(error) => return Err(error),
    }
    // After a reset, the connection is over too.
    socket.take_error()?.map_or(Ok(()), Err)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Shutdown;
    use tokio::io::AsyncWriteExt as _;

    /// Returns both sides of a connection. The peer's system accepts a few thousand bytes that the peer did not read.
    async fn connection() -> (TcpStream, std::net::TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket2::SockRef::from(&listener).set_recv_buffer_size(4 << 10).unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        socket2::SockRef::from(&ours).set_send_buffer_size(128 << 10).unwrap();
        (ours, listener.accept().unwrap().0)
    }

    #[tokio::test]
    async fn close_after_everything_was_read_is_complete() {
        let (mut ours, mut peer) = connection().await;
        ours.write_all(b"all of it\n").await.unwrap();
        ours.shutdown().await.unwrap();
        std::io::Read::read_to_end(&mut peer, &mut Vec::new()).unwrap();
        drop(peer);
        ensure_complete(&mut ours).await.unwrap();
    }

    #[tokio::test]
    async fn close_that_crossed_our_bytes_is_incomplete() {
        let (mut ours, peer) = connection().await;
        // More than the peer's system accepts: the rest, and our end, wait on this side.
        ours.write_all(&[b'x'; 32 << 10]).await.unwrap();
        ours.shutdown().await.unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        assert_eq!(ours.read(&mut [0]).await.unwrap(), 0, "no error: the reset has not come yet");
        assert_eq!(ours.take_error().unwrap().map(|error| error.kind()), None);
        let error = ensure_complete(&mut ours).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    }

    #[tokio::test]
    async fn reset_is_incomplete() {
        let (mut ours, peer) = connection().await;
        ours.write_all(b"unread\n").await.unwrap();
        ours.shutdown().await.unwrap();
        drop(peer);
        ensure_complete(&mut ours).await.unwrap_err();
    }
}
