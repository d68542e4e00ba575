//! Lumberjack version 2, the protocol of Beats and of Logstash's `beats` input.
//!
//! A window frame announces a number of events. They follow as JSON frames, numbered from one, here within
//! one compressed frame. The peer acknowledges the number of the last event that it took: the last one of the
//! window, or an earlier one in between. Zero only reports that it still works. Numbers are big-endian.
//! <https://github.com/elastic/logstash-input-beats/blob/main/PROTOCOL.md> describes version 1; version 2 has
//! JSON frames in place of key and value pairs.

use super::Batch;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use std::io::Write as _;

const VERSION: u8 = b'2';
const WINDOW: u8 = b'W';
const COMPRESSED: u8 = b'C';
const JSON: u8 = b'J';
const ACK: u8 = b'A';

/// Number of bytes in the header of a frame: version, kind, one number.
const HEADER_BYTES: usize = 6;

/// Writes `batch` without its first `skip` events as one window.
pub fn write_window(batch: &Batch, skip: u32, out: &mut Vec<u8>) {
    header(WINDOW, batch.events() - skip, out);
    let start = out.len();
    header(COMPRESSED, 0, out);
    let body = out.len();
    write_events(batch, skip, out);
    let length = u32::try_from(out.len() - body).unwrap_or(u32::MAX);
    out[start + 2..body].copy_from_slice(&length.to_be_bytes());
}

/// Writes the events with the fastest compression level. The network between a function and its broker is
/// fast, and a function's processor is not.
fn write_events(batch: &Batch, skip: u32, out: &mut Vec<u8>) {
    let mut encoder = ZlibEncoder::new(out, Compression::fast());
    let mut frame = Vec::new();
    for (number, event) in (1u32..).zip(batch.events_after(skip)) {
        frame.clear();
        header(JSON, number, &mut frame);
        frame.extend_from_slice(&u32::try_from(event.len()).unwrap_or(u32::MAX).to_be_bytes());
        // A write into memory does not fail.
        let _ = encoder.write_all(&frame).and_then(|()| encoder.write_all(event));
    }
    let _ = encoder.finish();
}

fn header(kind: u8, number: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&[VERSION, kind]);
    out.extend_from_slice(&number.to_be_bytes());
}

/// The peer sent a frame that is no acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an answer that is no acknowledgement of Lumberjack version 2")]
pub struct NoAck;

/// Parser of acknowledgements, which may arrive in pieces.
#[derive(Debug, Default)]
pub struct Acks {
    partial: Vec<u8>,
}

impl Acks {
    /// Parses `bytes` and passes each acknowledged number to `heard`.
    pub fn read(&mut self, bytes: &[u8], mut heard: impl FnMut(u32)) -> Result<(), NoAck> {
        for byte in bytes {
            self.partial.push(*byte);
            match self.partial.as_slice() {
                [VERSION] | [VERSION, ACK] => {}
                [VERSION, ACK, number @ ..] if self.partial.len() == HEADER_BYTES => {
                    heard(number.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)));
                    self.partial.clear();
                }
                [VERSION, ACK, ..] => {}
                _ => return Err(NoAck),
            }
        }
        Ok(())
    }
}
