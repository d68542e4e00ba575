//! From the bytes of an object to batches of events, with a memory that does not grow with the object.

use crate::event::{self, Labels, Source, Template};
use crate::fast;
use crate::format::Format;
use crate::gunzip::{Gunzip, Unreadable, Why};
use crate::line::{self, Malformed};
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

/// Text that is decompressed at once: a multiple of gzip's window, and small enough for a processor's cache.
const TEXT_BYTES: usize = 256 << 10;

/// Most events are smaller.
const EVENT_BYTES: usize = 4 << 10;

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

/// Cuts text into lines, and lines into events.
struct Lines {
    template: Template,
    format: Option<Format>,
    /// The fast way for lines of the last format, unless every line goes the plain way.
    fast: Option<(Format, fast::Writer)>,
    plainly: bool,
    batch_bytes: usize,
    line_bytes_max: usize,
    /// Text: what is not cut into lines yet stands at `start..end`.
    text: Vec<u8>,
    start: usize,
    end: usize,
    /// Lines that were seen.
    seen: u64,
    /// Lines at the beginning that are accounted for already.
    skip: u64,
    /// The part of the line that is too long, while within one.
    long_part: Option<u32>,
    batch: Batch,
    quarantined_bytes: usize,
}

impl Lines {
    fn new(source: &Source, settings: &Settings) -> Self {
        let line_bytes_max = settings.line_bytes_max.max(1);
        Self {
            template: Template::new(source, &settings.labels),
            format: settings.format.or_else(|| Format::of_key(&source.key)),
            fast: None,
            plainly: settings.plainly,
            batch_bytes: settings.batch_bytes.max(1),
            line_bytes_max,
            text: vec![0; line_bytes_max + TEXT_BYTES + fast::BEHIND],
            start: 0,
            end: 0,
            seen: 0,
            skip: 0,
            long_part: None,
            batch: Batch { lines: 1..1, ..Batch::default() },
            quarantined_bytes: 0,
        }
    }

    /// Where more text may be put. Only called when no whole line is left.
    fn space(&mut self) -> &mut [u8] {
        self.text.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let end = self.end;
        &mut self.text[end..end + TEXT_BYTES]
    }

    fn add(&mut self, put: usize) {
        self.end += put;
    }

    /// Cuts lines until a batch is full or text is used up.
    fn full_batch(&mut self) -> Option<Batch> {
        while !self.is_full() {
            let text = &self.text[self.start..self.end];
            match memchr::memchr(b'\n', text) {
                Some(length) => {
                    let end = self.start + length;
                    self.line(length);
                    self.start = end + 1;
                }
                None if text.len() > self.line_bytes_max => {
                    let length = self.line_bytes_max;
                    self.long_part(length, false);
                    self.start += length;
                }
                None => return None,
            }
        }
        Some(self.take_batch())
    }

    fn is_full(&self) -> bool {
        self.batch.events.len() + self.quarantined_bytes >= self.batch_bytes
    }

    /// The batch so far; the next one begins.
    fn take_batch(&mut self) -> Batch {
        self.quarantined_bytes = 0;
        let next = self.batch.lines.end;
        mem::replace(&mut self.batch, Batch { lines: next..next, ..Batch::default() })
    }

    /// A line of `length` bytes, at `start`.
    fn line(&mut self, length: usize) {
        if self.long_part.is_some() || length > self.line_bytes_max {
            self.long_line(length);
            return;
        }
        self.seen += 1;
        if self.seen <= self.skip {
            self.account();
            return;
        }
        match self.convert(length) {
            Ok(()) => {
                self.batch.event_count += 1;
                self.account();
            }
            Err(reason) => {
                let bytes = self.text[self.start..self.start + length].to_vec();
                self.quarantine(bytes, 0, reason);
                self.end_quarantined();
            }
        }
    }

    /// Adds the event of the line of `length` bytes at `start`.
    fn convert(&mut self, length: usize) -> Result<(), Malformed> {
        let whole = &self.text[self.start..self.start + length];
        let line = whole.strip_suffix(b"\r").unwrap_or(whole);
        if line.is_empty() {
            return Err(Malformed::Blank);
        }
        let format = self.format.or_else(|| Format::of_line(line)).ok_or(Malformed::UnknownFormat)?;
        if !self.plainly {
            let (_, writer) = match &mut self.fast {
                Some(fast) if fast.0 == format => fast,
                fast => fast.insert((format, fast::Writer::new(&self.template, format))),
            };
            if self.batch.events.capacity() == 0 {
                self.batch.events.reserve_exact(self.batch_bytes + EVENT_BYTES);
            }
            if let Some(event) = writer.event(self.seen, &self.text, self.start, self.start + line.len()) {
                self.batch.events.extend_from_slice(event);
                return Ok(());
            }
        }
        let parsed = line::parse(line, format)?;
        event::write(&mut self.batch.events, &self.template, format, self.seen, line, &parsed);
        Ok(())
    }

    /// The rest, of `length` bytes at `start`, of a line that is too long.
    fn long_line(&mut self, mut length: usize) {
        while length > self.line_bytes_max {
            self.long_part(self.line_bytes_max, false);
            self.start += self.line_bytes_max;
            length -= self.line_bytes_max;
        }
        self.long_part(length, true);
    }

    /// Part of a line that is too long; `last` if the line ends with it.
    fn long_part(&mut self, length: usize, last: bool) {
        let part = self.long_part.unwrap_or(0);
        if part == 0 {
            self.seen += 1;
        }
        self.long_part = if last { None } else { Some(part + 1) };
        if self.seen > self.skip && length > 0 {
            let bytes = self.text[self.start..self.start + length].to_vec();
            self.quarantine(bytes, part, Malformed::TooLong { limit: self.line_bytes_max });
        }
        match (last, self.seen > self.skip) {
            (true, true) => self.end_quarantined(),
            (true, false) => self.account(),
            (false, _) => {}
        }
    }

    fn quarantine(&mut self, bytes: Vec<u8>, part: u32, reason: Malformed) {
        self.quarantined_bytes += bytes.len();
        self.batch.quarantined.push(Quarantined { line: self.seen, part, bytes, reason });
    }

    fn end_quarantined(&mut self) {
        self.batch.quarantined_count += 1;
        self.account();
    }

    /// The line that was seen last is accounted for by this batch, or was before.
    fn account(&mut self) {
        let next = self.seen + 1;
        if self.seen <= self.skip {
            self.batch.lines.start = next;
        }
        self.batch.lines.end = next;
    }

    /// The text ends: what is left is a line without a line feed.
    fn end(&mut self) {
        let length = self.end - self.start;
        if length > 0 || self.long_part.is_some() {
            self.line(length);
            self.start = self.end;
        }
    }

    /// The text breaks off: what is left is a part of a line.
    fn cut_off(&mut self) {
        let length = self.end - self.start;
        if self.long_part.is_some() {
            self.long_line(length);
        } else if length > 0 {
            self.seen += 1;
            if self.seen > self.skip {
                let bytes = self.text[self.start..self.end].to_vec();
                self.quarantine(bytes, 0, Malformed::CutOff);
                self.end_quarantined();
            } else {
                self.account();
            }
        }
        self.start = self.end;
    }
}
