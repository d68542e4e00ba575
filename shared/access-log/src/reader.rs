//! Reader from the bytes of an object to batches of events, with memory that does not grow with the object.

use crate::event::{Fields, Labels, Source};
use crate::format::Format;
use crate::gunzip::{Gunzip, Unreadable, Why};
use crate::line::Malformed;
use crate::lines::Lines;
use std::mem;
use std::ops::Range;

/// Settings of a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Configured format. `None` derives it from the key, or else from each line.
    pub format: Option<Format>,
    /// Labels of the load balancer from the operator.
    pub labels: Labels,
    /// Names of the fields.
    pub fields: Fields,
    /// Size in bytes at which a batch is returned.
    pub batch_bytes: usize,
    /// Maximum number of bytes of a line. A longer line is malformed.
    pub line_bytes_max: usize,
    /// True if every line takes the plain path, which is much slower and gives the same result. Tests compare
    /// both.
    pub plainly: bool,
}

impl Settings {
    /// Default size of a batch: large enough that the cost of a write to a socket is small beside its bytes.
    pub const BATCH_BYTES: usize = 256 << 10;
    /// Default maximum of a line: many times the limits of a load balancer, which are 16 KiB of request line
    /// and 64 KiB of headers.
    pub const LINE_BYTES_MAX: usize = 256 << 10;
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            format: None,
            labels: Labels::default(),
            fields: Fields::default(),
            batch_bytes: Self::BATCH_BYTES,
            line_bytes_max: Self::LINE_BYTES_MAX,
            plainly: false,
        }
    }
}

/// Result of consecutive lines. `event_count` and the distinct lines of `quarantined` that end in this batch
/// add up to the length of `lines`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Events, each one JSON object and a line feed, in the order of their lines.
    pub events: Vec<u8>,
    /// Number of events.
    pub event_count: u64,
    /// Lines that this batch accounts for, counted from 1.
    pub lines: Range<u64>,
    /// Number of `lines` that are not events.
    pub quarantined_count: u64,
    /// Lines that are no events, byte for byte.
    pub quarantined: Vec<Quarantined>,
    /// A piece of the bytes that could not be decompressed. It comes after every line.
    pub unreadable: Option<Unreadable>,
}

impl Batch {
    /// Returns true if the batch holds no data to deliver or to store.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.quarantined.is_empty() && self.unreadable.is_none()
    }
}

/// A line, or a part of a very long one, that cannot become an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// Number of the line, from 1.
    pub line: u64,
    /// Number of the part, from 0. Only lines that are too long have several.
    pub part: u32,
    /// Bytes of the part: the line without its line feed.
    pub bytes: Vec<u8>,
    /// Fault of the line.
    pub reason: Malformed,
}

/// Reads one object.
///
/// ```
/// # use lockstep_access_log::{Reader, Settings, Source};
/// let source = Source { bucket: "logs".into(), key: "app.log".into(), version: "1".into(), written: None };
/// let mut reader = Reader::new(&source, &Settings::default());
/// for mut bytes in [&b"2015-05-13T23:39:43.945958Z my-lb 192.168.131.39:2817 10.0.0.1:80 0.000073 0.001048 0.0000"[..],
///                   &b"57 200 200 0 29 \"GET http://www.example.com:80/ HTTP/1.1\" \"curl/7.38.0\" - -\n"[..]] {
///     while let Some(batch) = reader.read(&mut bytes) {
///         // deliver it
///     }
/// }
/// let mut events = 0;
/// while let Some(batch) = reader.finish() {
///     events += batch.event_count;
/// }
/// assert_eq!(events, 1);
/// ```
pub struct Reader {
    gunzip: Gunzip,
    lines: Lines,
    /// Reason why the rest of the object cannot be read.
    failed: Option<Why>,
    /// The same reason, until a batch reports it.
    untold: Option<Why>,
    finished: bool,
}

impl Reader {
    /// Returns a reader at the beginning of an object.
    pub fn new(source: &Source, settings: &Settings) -> Self {
        Self {
            gunzip: Gunzip::new(),
            lines: Lines::new(source, settings),
            failed: None,
            untold: None,
            finished: false,
        }
    }

    /// Returns the reader with the first `lines` lines accounted for: it counts and skips them. It still
    /// reads the object from its beginning.
    #[must_use]
    pub fn after(mut self, lines: u64) -> Self {
        self.lines.skip = lines;
        self
    }

    /// Returns the number of lines seen, skipped ones included.
    pub fn lines(&self) -> u64 {
        self.lines.seen
    }

    /// Takes stored bytes of the object from the front of `input`, until a batch is full or `input` is empty.
    /// The caller repeats the call until it returns `None`.
    pub fn read(&mut self, input: &mut &[u8]) -> Option<Batch> {
        loop {
            if let Some(batch) = self.lines.full_batch() {
                return Some(batch);
            }
            if let Some(why) = self.failed {
                return self.unreadable(why, input);
            }
            match self.gunzip.read(input, self.lines.space()) {
                Ok(0) => return None,
                Ok(put) => self.lines.add(put),
                Err(why) => self.fail(why),
            }
        }
    }

    /// Ends the object. The caller repeats the call until it returns `None`.
    pub fn finish(&mut self) -> Option<Batch> {
        let mut nothing: &[u8] = &[];
        if let Some(batch) = self.read(&mut nothing) {
            return Some(batch);
        }
        if mem::replace(&mut self.finished, true) {
            return None;
        }
        if let Err(why) = self.gunzip.finish() {
            self.fail(why);
        }
        self.lines.end();
        let mut batch = self.lines.take_batch();
        batch.unreadable = self.untold.take().map(|why| self.gunzip.give_up(why, &[]));
        Some(batch).filter(|batch| !batch.is_empty())
    }

    /// Records that the rest cannot be decompressed.
    fn fail(&mut self, why: Why) {
        if self.failed.is_none() {
            self.lines.cut_off();
            self.failed = Some(why);
            self.untold = Some(why);
        }
    }

    /// Returns unreadable bytes unchanged.
    fn unreadable(&mut self, why: Why, input: &mut &[u8]) -> Option<Batch> {
        let (bytes, rest) = input.split_at_checked(self.lines.batch_bytes).unwrap_or((input, &[]));
        if bytes.is_empty() {
            return None;
        }
        *input = rest;
        self.untold = None;
        let mut batch = self.lines.take_batch();
        batch.unreadable = Some(self.gunzip.give_up(why, bytes));
        Some(batch)
    }
}
