//! A log broker on the loopback address, for tests: it accepts events as Logstash does, or fails as networks do.
//!
//! It accepts an event only when it says so: before it acknowledges, or before it closes after the sender did. It
//! discards everything else it has read, which is the worst that a broker can do. Its sockets block and its threads are
//! its own, so that the runtime under test neither helps nor hinders it.

use flate2::read::ZlibDecoder;
use lockstep_domain::logs::shipping::Protocol;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde::de::IgnoredAny;
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Behavior on one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerBehavior {
    /// Correct behavior.
    Honest,
    /// Correct behavior, after a delay before the first accept.
    AcceptsLate(Duration),
    /// Closes the connection after this number of bytes.
    ClosesAfter(usize),
    /// Resets the connection after this number of bytes.
    ResetsAfter(usize),
    /// Neither reads nor writes after this number of bytes.
    StallsAfter(usize),
    /// Closes its own side after this number of bytes, and reads on.
    HalfClosesAfter(usize),
    /// Acknowledges all but the last event of a window, and closes. Beats only.
    AcknowledgesPartly,
    /// Acknowledges each event of a window on its own, each number in pieces. Beats only.
    AcknowledgesEach,
    /// Sends this number of keep-alives before it acknowledges. Beats only.
    KeepsAlive(u32),
    /// Acknowledges an event that it did not receive. Beats only.
    AcknowledgesAhead,
    /// Answers each request with this status, and accepts no event. HTTP only.
    Answers(u16),
}

impl BrokerBehavior {
    fn limit(self) -> usize {
        match self {
            Self::ClosesAfter(bytes)
            | Self::ResetsAfter(bytes)
            | Self::StallsAfter(bytes)
            | Self::HalfClosesAfter(bytes) => bytes,
            _ => usize::MAX,
        }
    }
}

/// Receiver of each accepted event.
pub type Sink = Box<dyn FnMut(&[u8]) + Send>;

/// The broker. Dropping it ends its threads.
pub struct Broker {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
}

struct Shared {
    protocol: Protocol,
    tls: Option<Arc<ServerConfig>>,
    manners: Mutex<VecDeque<BrokerBehavior>>,
    sink: Mutex<Sink>,
    connections: AtomicU32,
    ended: AtomicBool,
    end: (Mutex<bool>, Condvar),
}

impl Broker {
    /// Listens on a free port. `manners` sets the behavior on the first connections, later ones are correct; accepted
    /// events are sent to `sink`.
    ///
    /// # Panics
    /// If there is no port on the loopback address: then no test can run.
    #[expect(clippy::expect_used, reason = "a test's ground either stands or does not")]
    pub fn start(
        protocol: Protocol,
        tls: Option<Arc<ServerConfig>>,
        manners: impl IntoIterator<Item = BrokerBehavior>,
        sink: Sink,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on the loopback address");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared {
            protocol,
            tls,
            manners: Mutex::new(manners.into_iter().collect()),
            sink: Mutex::new(sink),
            connections: AtomicU32::new(0),
            ended: AtomicBool::new(false),
            end: (Mutex::new(false), Condvar::new()),
        });
        let listening = thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.listen(&listener)
        });
        Self { address, shared, listening: Some(listening) }
    }

    /// Returns the listening address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns its URL, in the form of a target.
    pub fn url(&self) -> String {
        let scheme = match (self.shared.protocol, self.shared.tls.is_some()) {
            (Protocol::JsonLines, false) => "tcp",
            (Protocol::JsonLines, true) => "tcp+tls",
            (Protocol::Beats, false) => "beats",
            (Protocol::Beats, true) => "beats+tls",
            (Protocol::Http(_), false) => "http",
            (Protocol::Http(_), true) => "https",
        };
        // A certificate needs a name.
        format!("{scheme}://localhost:{}", self.address.port())
    }

    /// Returns the number of accepted connections.
    pub fn connections(&self) -> u32 {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        *lock(&self.shared.end.0) = true;
        self.shared.end.1.notify_all();
        // Wakes the accepting thread.
        drop(TcpStream::connect(self.address));
        if let Some(listening) = self.listening.take() {
            drop(listening.join());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

trait Stream: Read + Write {
    /// Closes the sending side. TLS has an alert of its own for it, which dropping the stream would not send.
    fn close(&mut self) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn close(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl Stream for StreamOwned<ServerConnection, TcpStream> {
    fn close(&mut self) -> io::Result<()> {
        self.conn.send_close_notify();
        self.flush()?;
        self.sock.shutdown(Shutdown::Write)
    }
}

impl Shared {
    fn listen(self: &Arc<Self>, listener: &TcpListener) {
        while let Ok((socket, _)) = listener.accept() {
            if self.ended.load(Ordering::SeqCst) {
                return;
            }
            self.connections.fetch_add(1, Ordering::SeqCst);
            let manner = lock(&self.manners).pop_front().unwrap_or(BrokerBehavior::Honest);
            if let BrokerBehavior::AcceptsLate(late) = manner {
                self.wait(Some(late));
            }
            let shared = Arc::clone(self);
            thread::spawn(move || shared.treat(socket, manner));
        }
    }

    /// Waits for the end, at most for `most`.
    fn wait(&self, most: Option<Duration>) {
        let (ended, changed) = &self.end;
        let guard = lock(ended);
        match most {
            Some(most) => drop(changed.wait_timeout_while(guard, most, |ended| !*ended)),
            None => drop(changed.wait_while(guard, |ended| !*ended)),
        }
    }

    fn treat(&self, socket: TcpStream, manner: BrokerBehavior) {
        let Ok(raw) = socket.try_clone() else { return };
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(socket),
            Some(config) => match ServerConnection::new(Arc::clone(config)) {
                Ok(session) => Box::new(StreamOwned::new(session, socket)),
                Err(_) => return,
            },
        };
        let mut stream = Upto { stream, left: manner.limit() };
        let served = match self.protocol {
            Protocol::JsonLines => self.lines(&mut stream),
            Protocol::Beats => self.beats(&mut stream, manner),
            Protocol::Http(_) => self.http(&mut stream, manner),
        };
        if served.is_err() && stream.left == 0 {
            self.misbehave(&raw, manner);
        }
    }

    fn misbehave(&self, socket: &TcpStream, manner: BrokerBehavior) {
        match manner {
            BrokerBehavior::ResetsAfter(_) => {
                drop(socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO)));
            }
            BrokerBehavior::StallsAfter(_) => self.wait(None),
            BrokerBehavior::HalfClosesAfter(_) => {
                drop(socket.shutdown(Shutdown::Write));
                let mut rest = socket;
                drop(io::copy(&mut rest, &mut io::sink()));
            }
            _ => {}
        }
    }

    fn take(&self, events: &[Vec<u8>]) {
        let mut sink = lock(&self.sink);
        events.iter().for_each(|event| sink(event));
    }

    /// Reads like Logstash's `tcp` input: everything until the sender closes.
    fn lines(&self, stream: &mut Upto) -> io::Result<()> {
        let mut text = Vec::new();
        stream.read_to_end(&mut text)?;
        let lines: Vec<Vec<u8>> = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        // The bytes after the last newline are no line.
        self.take(&lines[..lines.len() - 1]);
        stream.stream.close()
    }

    /// Reads like Logstash's `beats` input: window after window.
    fn beats(&self, stream: &mut Upto, manner: BrokerBehavior) -> io::Result<()> {
        while let Some(events) = read_window(stream)? {
            let count = u32::try_from(events.len()).unwrap_or(u32::MAX);
            match manner {
                BrokerBehavior::AcknowledgesPartly if count > 1 => {
                    self.take(&events[..events.len() - 1]);
                    acknowledge(stream, count - 1)?;
                    stream.stream.close()?;
                    // A close with unread bytes would be a reset, which overtakes the acknowledgement.
                    return io::copy(stream, &mut io::sink()).map(drop);
                }
                BrokerBehavior::AcknowledgesEach => {
                    for (number, event) in (1..).zip(&events) {
                        self.take(std::slice::from_ref(event));
                        acknowledge(stream, number)?;
                    }
                    continue;
                }
                BrokerBehavior::AcknowledgesAhead => return acknowledge(stream, count + 1),
                BrokerBehavior::KeepsAlive(times) => {
                    for _ in 0..times {
                        acknowledge(stream, 0)?;
                    }
                }
                _ => {}
            }
            self.take(&events);
            acknowledge(stream, count)?;
        }
        Ok(())
    }

    /// Reads like Logstash's `http` input: a request, an answer.
    fn http(&self, stream: &mut Upto, manner: BrokerBehavior) -> io::Result<()> {
        while let Some(body) = read_request(stream)? {
            if let BrokerBehavior::Answers(status) = manner {
                write!(stream, "HTTP/1.1 {status} No\r\nContent-Length: 0\r\nRetry-After: 0\r\n\r\n")?;
                stream.flush()?;
                continue;
            }
            self.take(&events_of(&body));
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
            stream.flush()?;
        }
        Ok(())
    }
}

/// A stream that fails after a number of bytes was read.
struct Upto {
    stream: Box<dyn Stream>,
    left: usize,
}

impl Read for Upto {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::other("enough"));
        }
        let most = buffer.len().min(self.left);
        let read = self.stream.read(&mut buffer[..most])?;
        self.left -= read;
        Ok(read)
    }
}

impl Write for Upto {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Returns the events of the next window of Lumberjack; `None` at the end of the stream.
fn read_window(stream: &mut Upto) -> io::Result<Option<Vec<Vec<u8>>>> {
    let Some((b'W', count)) = read_header(stream)? else { return Ok(None) };
    let Some((b'C', length)) = read_header(stream)? else { return Err(io::ErrorKind::InvalidData.into()) };
    let mut compressed = vec![0; length as usize];
    stream.read_exact(&mut compressed)?;
    let mut frames = ZlibDecoder::new(compressed.as_slice());
    let mut events = Vec::new();
    for _ in 0..count {
        let (mut header, mut length) = ([0; 6], [0; 4]);
        frames.read_exact(&mut header)?;
        frames.read_exact(&mut length)?;
        let mut event = vec![0; u32::from_be_bytes(length) as usize];
        frames.read_exact(&mut event)?;
        events.push(event);
    }
    Ok(Some(events))
}

fn read_header(stream: &mut Upto) -> io::Result<Option<(u8, u32)>> {
    let mut version = [0];
    if stream.read(&mut version)? == 0 {
        return Ok(None);
    }
    let mut rest = [0; 5];
    stream.read_exact(&mut rest)?;
    Ok(Some((rest[0], u32::from_be_bytes([rest[1], rest[2], rest[3], rest[4]]))))
}

/// Writes each byte on its own: no protocol promises that they arrive together.
fn acknowledge(stream: &mut Upto, number: u32) -> io::Result<()> {
    for byte in [&b"2A"[..], &number.to_be_bytes()].concat() {
        stream.write_all(&[byte])?;
        stream.flush()?;
    }
    Ok(())
}

/// Returns the body of the next request; `None` at the end of the stream.
fn read_request(stream: &mut Upto) -> io::Result<Option<Vec<u8>>> {
    let mut length = 0;
    let mut reader = BufReader::with_capacity(1, stream);
    for number in 0.. {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if number > 0 && line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or_default();
        }
    }
    let mut body = vec![0; length];
    reader.into_inner().read_exact(&mut body)?;
    Ok(Some(body))
}

/// Returns the events of a body in either of its two shapes.
fn events_of(body: &[u8]) -> Vec<Vec<u8>> {
    if body.first() != Some(&b'[') {
        return body
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(<[u8]>::to_vec)
            .collect();
    }
    let (mut events, mut rest) = (Vec::new(), &body[1..]);
    loop {
        let mut documents = serde_json::Deserializer::from_slice(rest).into_iter::<IgnoredAny>();
        let Some(Ok(_)) = documents.next() else { return events };
        let (event, after) = rest.split_at(documents.byte_offset());
        events.push(event.to_vec());
        // A comma, or the end.
        rest = after.get(1..).unwrap_or_default();
    }
}
