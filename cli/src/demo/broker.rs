//! A broker on this machine that receives logs. It implements the Lumberjack protocol as Logstash's Beats input does,
//! acknowledges each complete window, and counts events. It replaces the broker's instances, which do not run here.

use crate::failure::{Failure, at};
use flate2::read::ZlibDecoder;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Maximum size of an inflated frame in bytes.
const INFLATED_MAX: u64 = 64 << 20;

/// The number of receptions of each event of one object or application, by the event's id.
type Events = BTreeMap<String, u64>;

/// A broker that listens until it is dropped.
pub struct Broker {
    address: SocketAddr,
    received: Arc<Mutex<BTreeMap<String, Events>>>,
    listening: JoinHandle<()>,
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Broker {
    /// Listens on a free port of the loopback address.
    pub async fn listen() -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(at("a broker"))?;
        let address = listener.local_addr().map_err(at("a broker"))?;
        let received = Arc::default();
        let listening = tokio::spawn(accept(listener, Arc::clone(&received)));
        Ok(Self { address, received, listening })
    }

    /// Returns its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns the number of received events of an object or application, and the number of distinct ones.
    pub fn count(&self, of: &str) -> (u64, u64) {
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        let events = received.get(of);
        events.map_or((0, 0), |events| (events.values().sum(), events.len() as u64))
    }
}

async fn accept(listener: TcpListener, received: Arc<Mutex<BTreeMap<String, Events>>>) {
    let mut conversations = tokio::task::JoinSet::new();
    while let Ok((peer, _)) = listener.accept().await {
        conversations.spawn(converse(peer, Arc::clone(&received)));
    }
}

/// Handles one connection to its end. A sender sends unacknowledged events again on another connection.
async fn converse(mut peer: TcpStream, received: Arc<Mutex<BTreeMap<String, Events>>>) -> Option<()> {
    let mut waiting = Vec::new();
    let mut window = Window::default();
    loop {
        if peer.read_buf(&mut waiting).await.ok()? == 0 {
            return Some(());
        }
        let mut used = 0;
        while let Some((frame, rest)) = frame(&waiting[used..])? {
            used = waiting.len() - rest.len();
            window.take(frame)?;
            // A sender may send a window before the acknowledgement of the one before.
            if let Some(last) = window.complete() {
                keep(&received, std::mem::take(&mut window).events)?;
                let mut answer = b"2A".to_vec();
                answer.extend_from_slice(&last.to_be_bytes());
                peer.write_all(&answer).await.ok()?;
            }
        }
        waiting.drain(..used);
    }
}

fn keep(received: &Mutex<BTreeMap<String, Events>>, events: Vec<Value>) -> Option<()> {
    let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
    for event in events {
        // An event belongs to an object, or else to an application.
        let object = event["log"]["file"]["path"].as_str().and_then(|path| path.strip_prefix("s3://"));
        let key = object.and_then(|object| object.split_once('/')).map(|(_bucket, key)| key);
        let of = key.or_else(|| event["service"]["name"].as_str())?;
        let id = event["event"]["id"].as_str()?;
        *received.entry(of.to_owned()).or_default().entry(id.to_owned()).or_default() += 1;
    }
    Some(())
}

/// The received part of a window.
#[derive(Default)]
struct Window {
    size: usize,
    last: u32,
    events: Vec<Value>,
}

impl Window {
    /// Adds a frame. Returns `None` if the frame is malformed.
    fn take(&mut self, frame: Frame) -> Option<()> {
        match frame {
            Frame::Window(size) => self.size = size,
            Frame::Event(sequence, event) => {
                self.last = sequence;
                self.events.push(event);
            }
            Frame::Compressed(inner) => {
                let mut rest = inner.as_slice();
                while !rest.is_empty() {
                    let (frame, after) = self::frame(rest)??;
                    self.take(frame)?;
                    rest = after;
                }
            }
        }
        Some(())
    }

    /// Returns the number that acknowledges the window, or `None` before it is complete.
    fn complete(&self) -> Option<u32> {
        (self.size > 0 && self.events.len() >= self.size).then_some(self.last)
    }
}

/// A frame of Lumberjack's version 2.
enum Frame {
    Window(usize),
    Event(u32, Value),
    Compressed(Vec<u8>),
}

/// Returns the first frame of `bytes` and the bytes after it; `Some(None)` if the frame is incomplete; `None` if it is
/// malformed.
#[expect(clippy::option_option, reason = "an incomplete frame differs from a malformed one")]
fn frame(bytes: &[u8]) -> Option<Option<(Frame, &[u8])>> {
    let number =
        |from: usize| bytes.get(from..from + 4).and_then(|four| four.try_into().ok()).map(u32::from_be_bytes);
    let body = |from: usize, length: u32| {
        let end = from + usize::try_from(length).ok()?;
        bytes.get(from..end).map(|body| (body, &bytes[end..]))
    };
    match bytes {
        [] | [b'2'] => Some(None),
        [b'2', b'W', ..] => {
            let Some(size) = number(2) else { return Some(None) };
            Some(Some((Frame::Window(usize::try_from(size).ok()?), &bytes[6..])))
        }
        [b'2', b'J', ..] => {
            let (Some(sequence), Some(length)) = (number(2), number(6)) else { return Some(None) };
            let Some((json, rest)) = body(10, length) else { return Some(None) };
            Some(Some((Frame::Event(sequence, serde_json::from_slice(json).ok()?), rest)))
        }
        [b'2', b'C', ..] => {
            let Some(length) = number(2) else { return Some(None) };
            let Some((deflated, rest)) = body(6, length) else { return Some(None) };
            let mut inflated = Vec::new();
            ZlibDecoder::new(deflated).take(INFLATED_MAX).read_to_end(&mut inflated).ok()?;
            Some(Some((Frame::Compressed(inflated), rest)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use std::io::Write;

    fn event(sequence: u32, id: &str) -> Vec<u8> {
        let json = format!(r#"{{"event":{{"id":"{id}"}},"log":{{"file":{{"path":"s3://b/k"}}}}}}"#);
        let length = u32::try_from(json.len()).unwrap();
        [b"2J".as_slice(), &sequence.to_be_bytes(), &length.to_be_bytes(), json.as_bytes()].concat()
    }

    fn window(events: &[Vec<u8>], compressed: bool) -> Vec<u8> {
        let size = u32::try_from(events.len()).unwrap();
        let mut frames = events.concat();
        if compressed {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&frames).unwrap();
            let deflated = encoder.finish().unwrap();
            let length = u32::try_from(deflated.len()).unwrap();
            frames = [b"2C".as_slice(), &length.to_be_bytes(), &deflated].concat();
        }
        [b"2W".as_slice(), &size.to_be_bytes(), &frames].concat()
    }

    #[tokio::test]
    async fn a_complete_window_is_acknowledged_and_counted() {
        for compressed in [false, true] {
            let broker = Broker::listen().await.unwrap();
            let mut sender = TcpStream::connect(broker.address).await.unwrap();
            let sent = window(&[event(1, "a"), event(2, "b")], compressed);
            for byte in &sent {
                assert_eq!(broker.count("k"), (0, 0));
                sender.write_all(&[*byte]).await.unwrap();
            }
            let mut answer = [0; 6];
            sender.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"2A\0\0\0\x02");
            assert_eq!(broker.count("k"), (2, 2));
            sender.write_all(&window(&[event(1, "a")], compressed)).await.unwrap();
            sender.read_exact(&mut answer).await.unwrap();
            assert_eq!(broker.count("k"), (3, 2));
        }
    }

    #[tokio::test]
    async fn windows_sent_together_are_acknowledged_one_by_one() {
        let broker = Broker::listen().await.unwrap();
        let mut sender = TcpStream::connect(broker.address).await.unwrap();
        let sent = [window(&[event(1, "a"), event(2, "b")], true), window(&[event(1, "c")], true)].concat();
        sender.write_all(&sent).await.unwrap();
        let mut answers = [0; 12];
        sender.read_exact(&mut answers).await.unwrap();
        assert_eq!(&answers, b"2A\0\0\0\x022A\0\0\0\x01");
        assert_eq!(broker.count("k"), (3, 3));
    }

    #[tokio::test]
    async fn a_connection_with_another_protocol_is_closed() {
        let broker = Broker::listen().await.unwrap();
        let mut sender = TcpStream::connect(broker.address).await.unwrap();
        sender.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        // The connection may also end with a reset.
        let _ = sender.read_to_end(&mut answer).await;
        assert!(answer.is_empty());
    }
}
