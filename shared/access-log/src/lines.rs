//! Conversion of text to batches: splits it into lines, and lines into events.

use crate::event::{self, Source, Template};
use crate::fast;
use crate::format::Format;
use crate::line::{self, Malformed};
use crate::reader::{Batch, Quarantined, Settings};
use std::mem;

/// Size of the text that is decompressed at once: a multiple of gzip's window, and small enough for a
/// processor's cache.
const TEXT_BYTES: usize = 256 << 10;

/// Initial size for an event. Most events are smaller.
const EVENT_BYTES: usize = 16 << 10;

/// Converter of text to lines, and of lines to events.
pub(crate) struct Lines {
    template: Template,
    format: Option<Format>,
    /// Fast path for lines of the last format. `None` if every line takes the plain path.
    fast: Option<(Format, fast::Writer)>,
    plainly: bool,
    pub batch_bytes: usize,
    line_bytes_max: usize,
    /// Text buffer. The text that is not split into lines yet is at `start..end`.
    text: Vec<u8>,
    start: usize,
    end: usize,
    /// Number of lines seen.
    pub seen: u64,
    /// Number of lines at the beginning that are accounted for already.
    pub skip: u64,
    /// Number of the current part, within a line that is too long.
    long_part: Option<u32>,
    batch: Batch,
    /// Memory that the quarantined lines of the batch take.
    quarantined_bytes: usize,
}

impl Lines {
    /// Returns a converter at the beginning of an object.
    pub fn new(source: &Source, settings: &Settings) -> Self {
        let line_bytes_max = settings.line_bytes_max.max(1);
        Self {
            template: Template::new(settings.fields, source, &settings.labels),
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

    /// Returns the space for more text. The caller has consumed all complete lines.
    pub fn space(&mut self) -> &mut [u8] {
        self.text.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let end = self.end;
        &mut self.text[end..end + TEXT_BYTES]
    }

    /// Takes text that was written to the space.
    pub fn add(&mut self, put: usize) {
        self.end += put;
    }

    /// Splits lines until a batch is full or the text is used up.
    pub fn full_batch(&mut self) -> Option<Batch> {
        while !self.is_full() {
            if self.fast_line() {
                continue;
            }
            let text = &self.text[self.start..self.end];
            match memchr::memchr(b'\n', text) {
                Some(length) => {
                    let end = self.start + length;
                    self.line(length);
                    self.start = end + 1;
                }
                None if text.len() > self.line_bytes_max => self.long_part(self.line_bytes_max),
                None => return None,
            }
        }
        Some(self.take_batch())
    }

    fn is_full(&self) -> bool {
        self.batch.events.len() + self.quarantined_bytes >= self.batch_bytes
    }

    /// Returns the current batch and begins the next one.
    pub fn take_batch(&mut self) -> Batch {
        self.quarantined_bytes = 0;
        let next = self.batch.lines.end;
        mem::replace(&mut self.batch, Batch { lines: next..next, ..Batch::default() })
    }

    /// Handles a line of `length` bytes at `start`.
    fn line(&mut self, length: usize) {
        if self.long_part.is_some() || length > self.line_bytes_max {
            self.long_line(length);
            return;
        }
        self.seen += 1;
        let converted = if self.skips() { Ok(()) } else { self.convert(length) };
        let is_event = converted.is_ok();
        if let Err(reason) = converted {
            self.quarantine(length, 0, reason);
        }
        self.over(is_event);
    }

    /// Takes the line at `start` on the fast path, if possible.
    fn fast_line(&mut self) -> bool {
        if self.plainly || self.long_part.is_some() || self.seen < self.skip {
            return false;
        }
        let Some(format) = self.format.or_else(|| self.format_of_line()) else { return false };
        let (_, writer) = match &mut self.fast {
            Some(fast) if fast.0 == format => fast,
            fast => fast.insert((format, fast::Writer::new(&self.template, format))),
        };
        if self.batch.events.capacity() == 0 {
            self.batch.events.reserve_exact(self.batch_bytes + EVENT_BYTES);
        }
        let text = &self.text[self.start..self.end.min(self.start + self.line_bytes_max + 1) + fast::BEHIND];
        match writer.event(self.seen + 1, text, &mut self.batch.events) {
            Some(length) => {
                self.start += length;
                self.seen += 1;
                self.over(true);
                true
            }
            None => false,
        }
    }

    /// Returns the format of the line at `start`, if neither configuration nor key gives it.
    fn format_of_line(&self) -> Option<Format> {
        let text = &self.text[self.start..self.end];
        let line = &text[..memchr::memchr(b'\n', text)?];
        Format::of_line(line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// Adds the event of the line of `length` bytes at `start`.
    fn convert(&mut self, length: usize) -> Result<(), Malformed> {
        let whole = &self.text[self.start..self.start + length];
        let line = whole.strip_suffix(b"\r").unwrap_or(whole);
        if line.is_empty() {
            return Err(Malformed::Blank);
        }
        let format = self.format.or_else(|| Format::of_line(line)).ok_or(Malformed::UnknownFormat)?;
        let parsed = line::parse(line, format)?;
        event::write(&mut self.batch.events, &self.template, format, self.seen, line, &parsed);
        Ok(())
    }

    /// Takes the last `length` bytes, at `start`, of a line that is too long.
    fn long_line(&mut self, mut length: usize) {
        while length > self.line_bytes_max {
            self.long_part(self.line_bytes_max);
            length -= self.line_bytes_max;
        }
        self.long_part(length);
        self.long_part = None;
        self.over(false);
    }

    /// Takes the next `length` bytes of a line that is too long.
    fn long_part(&mut self, length: usize) {
        let part = self.long_part.unwrap_or(0);
        if part == 0 {
            self.seen += 1;
        }
        if length > 0 {
            self.quarantine(length, part, Malformed::TooLong { limit: self.line_bytes_max });
        }
        self.long_part = Some(part + 1);
        self.start += length;
    }

    /// Quarantines `length` bytes at `start` unchanged.
    fn quarantine(&mut self, length: usize, part: u32, reason: Malformed) {
        if self.skips() {
            return;
        }
        let bytes = self.text[self.start..self.start + length].to_vec();
        // Blank lines take memory too.
        self.quarantined_bytes += bytes.len() + size_of::<Quarantined>();
        self.batch.quarantined.push(Quarantined { line: self.seen, part, bytes, reason });
    }

    /// Returns true if the last line seen was accounted for before.
    fn skips(&self) -> bool {
        self.seen <= self.skip
    }

    /// Ends the last line seen, which this batch accounts for.
    fn over(&mut self, is_event: bool) {
        let next = self.seen + 1;
        match (self.skips(), is_event) {
            (true, _) => self.batch.lines.start = next,
            (false, true) => self.batch.event_count += 1,
            (false, false) => self.batch.quarantined_count += 1,
        }
        self.batch.lines.end = next;
    }

    /// Ends the text. The remaining text is a line without a line feed.
    pub fn end(&mut self) {
        let length = self.end - self.start;
        if length > 0 || self.long_part.is_some() {
            self.line(length);
            self.start = self.end;
        }
    }

    /// Ends the text early. The remaining text is a part of a line.
    pub fn cut_off(&mut self) {
        let length = self.end - self.start;
        if self.long_part.is_some() {
            self.long_line(length);
        } else if length > 0 {
            self.seen += 1;
            self.quarantine(length, 0, Malformed::CutOff);
            self.over(false);
        }
        self.start = self.end;
    }
}
