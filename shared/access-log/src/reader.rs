//! From the bytes of an object to batches of events, with a memory that does not grow with the object.

use crate::event::{Labels, Source};
use crate::format::Format;
use crate::gunzip::{Gunzip, Unreadable, Why};
use crate::line::Malformed;
use crate::lines::Lines;
use std::mem;
use std::ops::Range;

/// How an object is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The format, if it is configured. Otherwise the key tells it, and if that does not, each line does.
    pub format: Option<Format>,
    /// What the operator says about the load balancer.
    pub labels: Labels,
    /// A batch is handed out once it holds this many bytes.
    pub batch_bytes: usize,
    /// A line with more bytes is malformed.
    pub line_bytes_max: usize,
    /// Take every line the plain way, which is slower by far and comes to the same. Tests compare.
    pub plainly: bool,
}

impl Settings {
    /// Large enough that a write to a socket costs nothing beside its bytes.
    pub const BATCH_BYTES: usize = 256 << 10;
    /// Many times what a load balancer lets through: 16 KiB of request line, 64 KiB of headers.
    pub const LINE_BYTES_MAX: usize = 256 << 10;
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            format: None,
            labels: Labels::default(),
            batch_bytes: Self::BATCH_BYTES,
            line_bytes_max: Self::LINE_BYTES_MAX,
            plainly: false,
        }
    }
}

/// What came of consecutive lines. `event_count` and the distinct lines of `quarantined` that end in this batch add up
/// to the length of `lines`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Events, each one JSON object and a line feed, in the order of their lines.
    pub events: Vec<u8>,
    /// How many events there are.
    pub event_count: u64,
    /// The lines that are accounted for once this batch is, counted from 1.
    pub lines: Range<u64>,
    /// How many of `lines` are not events.
    pub quarantined_count: u64,
    /// Lines that are no events, byte for byte.
    pub quarantined: Vec<Quarantined>,
    /// A piece of what could not be decompressed. It comes after every line.
    pub unreadable: Option<Unreadable>,
}

impl Batch {
    /// Whether there is nothing in it to deliver or to store.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.quarantined.is_empty() && self.unreadable.is_none()
    }
}

/// A line, or a part of a very long one, that cannot become an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// The line's number, from 1.
    pub line: u64,
    /// Which part of the line, from 0. Only lines that are too long have several.
    pub part: u32,
    /// The bytes of the part: the line without its line feed.
    pub bytes: Vec<u8>,
    /// What is wrong with it.
    pub reason: Malformed,
}

/// Reads one object.
///
/// ```
/// # use lockstep_access_log::{Reader, Settings, Source};
/// let source = Source { bucket: "logs".into(), key: "app.log".into(), version: "1".into() };
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
    /// Why the rest of the object cannot be read.
    failed: Option<Why>,
    /// The same, until a batch tells it.
    untold: Option<Why>,
    finished: bool,
}

impl Reader {
    /// A reader at the beginning of an object.
    pub fn new(source: &Source, settings: &Settings) -> Self {
        Self {
            gunzip: Gunzip::new(),
            lines: Lines::new(source, settings),
            failed: None,
            untold: None,
            finished: false,
        }
    }

    /// The same reader, for which the first `lines` lines are accounted for already: they are counted and skipped. The
    /// object is still read from its beginning.
    #[must_use]
    pub fn after(mut self, lines: u64) -> Self {
        self.lines.skip = lines;
        self
    }

    /// How many lines were seen, those that are skipped included.
    pub fn lines(&self) -> u64 {
        self.lines.seen
    }

    /// Takes the next bytes of the object from the front of `input`, as they are stored, until a batch is full or
    /// `input` is empty. To be called until it returns `None`.
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

    /// Says that the object ends here. To be called until it returns `None`.
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

    /// The rest cannot be decompressed.
    fn fail(&mut self, why: Why) {
        if self.failed.is_none() {
            self.lines.cut_off();
            self.failed = Some(why);
            self.untold = Some(why);
        }
    }

    /// Hands out what cannot be read as it is.
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
