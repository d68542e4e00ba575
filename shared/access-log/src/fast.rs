//! The fast path from one line to one event. It writes the same as `line::parse` and `event::write`, for
//! simple lines.
//!
//! Most lines are plain ASCII without a backslash, with valid numbers and IPv4 addresses in their columns. In
//! such lines only the quotes around values need an escape, and all other bytes are copied. The fast path
//! declines every other line, and the plain path handles it. Tests and fuzzing verify that both paths write
//! the same.
//!
//! The fast path searches 64 bytes at once for the ends of values (`scan.rs`, `processor.rs`). It checks
//! numbers and addresses as a whole (`value.rs`), and copies the rest (`out.rs`).

mod columns;
mod head;
mod out;
mod processor;
mod scan;
#[cfg(test)]
mod tests;
mod value;

use crate::event::Template;
use crate::format::{Column, Format, Kind};
use crate::line::Quoting;
use columns::Quotes;
use head::Head;
use out::{Out, SLACK};
use processor::{BLOCK, Masks};
use scan::{Ends, Line};

/// Readable bytes of any content that must follow the text.
pub(crate) const BEHIND: usize = BLOCK + SLACK;

const _: () = assert!(value::BEHIND <= SLACK, "values stand before what is behind the text");

/// Text between the columns and the message, padded.
const MESSAGE: &[u8; 13 + SLACK] = &padded(br#"},"message":""#);
const END: &[u8; 3 + SLACK] = &padded(b"\"}\n");

/// Returns the bytes, padded with [`SLACK`] more.
const fn padded<const N: usize, const P: usize>(bytes: &[u8; N]) -> [u8; P] {
    let mut padded = [0; P];
    let mut at = 0;
    while at < N {
        padded[at] = bytes[at];
        at += 1;
    }
    padded
}

/// Writer of events of one format and one object.
pub(crate) struct Writer {
    format: Format,
    /// Index of the column with the time of the event.
    time_column: usize,
    head: Head,
    ends: Ends,
    quotes: Quotes,
    /// Maximum size of an event without the bytes of its line.
    event_bytes: usize,
    #[cfg(target_arch = "x86_64")]
    has_avx2: bool,
}

impl Writer {
    pub fn new(template: &Template, format: Format) -> Self {
        let head = Head::new(template, format);
        let is_time = |column: &Column| column.kind == Kind::EventTime;
        Self {
            format,
            time_column: format.columns().iter().position(is_time).expect("every format has one"),
            event_bytes: head.bytes_max() + columns::bytes_max(format) + MESSAGE.len() + END.len(),
            head,
            ends: Ends::new(),
            quotes: Quotes::new(),
            #[cfg(target_arch = "x86_64")]
            has_avx2: has_avx2(),
        }
    }

    /// Adds the event of line `number`, the first line of `text`, to `events`. Returns the offset of the next
    /// line. `None` if the line needs the plain path, or no line feed follows. The content behind the line
    /// does not matter, but the last [`BEHIND`] bytes of `text` must not belong to a line.
    pub fn event(&mut self, number: u64, text: &[u8], events: &mut Vec<u8>) -> Option<usize> {
        #[cfg(target_arch = "x86_64")]
        if self.has_avx2 {
            // SAFETY: this processor has all features that the function is compiled for.
            #[expect(unsafe_code)]
            return unsafe { avx2::event(self, number, text, events) };
        }
        plain::event(self, number, text, events)
    }

    /// Adds the event with functions that are compiled for one kind of processor.
    #[inline(always)]
    fn event_by(
        &mut self,
        number: u64,
        text: &[u8],
        events: &mut Vec<u8>,
        masks: impl Fn(&[u8; BLOCK]) -> Masks,
        put_columns: impl Fn(Format, &mut Out<'_>, &[u8], &Ends, &mut Quotes) -> Option<()>,
        put_message: impl Fn(&mut Out<'_>, &[u8], Line, &Quotes),
    ) -> Option<usize> {
        let line = self.ends.find(text, self.format.quoting(), masks)?;
        // The scan reads these bytes behind the line.
        if text.len() < line.next as usize + BEHIND {
            return None;
        }
        if self.ends.count > self.format.columns().len() || !self.format.has_columns(self.ends.count) {
            return None;
        }
        let time_start = self.time_column.checked_sub(1).map_or(0, |before| self.ends.at[before] + 1);
        let time_bytes = self.ends.at[self.time_column] - time_start;
        if time_bytes == 0 {
            return None;
        }
        let time_length = self.head.read_time(&text[time_start as usize..], time_bytes as usize)?;
        // Every byte of the line occurs once as a value and once in the message, at worst behind a backslash.
        // The time follows.
        let mut out = Out::behind(events, self.event_bytes + 4 * line.end as usize);
        self.head.put(&mut out, text, time_start, time_length, number);
        put_columns(self.format, &mut out, text, &self.ends, &mut self.quotes)?;
        out.put(MESSAGE, 0, 13);
        put_message(&mut out, text, line, &self.quotes);
        out.put(END, 0, 3);
        out.keep();
        Some(line.next as usize)
    }
}

/// Returns true if this processor has all features that `avx2` is compiled for.
#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("popcnt")
        && is_x86_feature_detected!("pclmulqdq")
}

/// Returns the number of values in the lines of `text` that take the fast path, for measurements. It finds
/// them as the fast path does and ignores them. It ends before the first line that needs the plain path, or
/// that has fewer than 64 bytes behind it.
pub fn count_values(text: &[u8], format: Format) -> u64 {
    let mut ends = Ends::new();
    let mut find = |text: &[u8]| {
        #[cfg(target_arch = "x86_64")]
        if has_avx2() {
            // SAFETY: this processor has all features that the function is compiled for.
            #[expect(unsafe_code)]
            let found = unsafe { avx2::find(&mut ends, text, format.quoting()) };
            return found.map(|line| (line, std::hint::black_box(&ends).count));
        }
        plain::find(&mut ends, text, format.quoting()).map(|line| (line, std::hint::black_box(&ends).count))
    };
    let (mut start, mut count) = (0, 0);
    while let Some((line, values)) = find(&text[start..]) {
        start += line.next as usize;
        count += values as u64;
    }
    count
}

/// Adds the fields of a line.
#[inline(always)]
fn put_columns(
    format: Format,
    out: &mut Out<'_>,
    line: &[u8],
    ends: &Ends,
    quotes: &mut Quotes,
) -> Option<()> {
    match format {
        Format::Classic => columns::put::<{ Format::Classic as usize }>(out, line, ends, quotes),
        Format::Alb => columns::put::<{ Format::Alb as usize }>(out, line, ends, quotes),
        Format::Nlb => columns::put::<{ Format::Nlb as usize }>(out, line, ends, quotes),
        Format::AlbConnection => columns::put::<{ Format::AlbConnection as usize }>(out, line, ends, quotes),
        Format::AlbHealthCheck => {
            columns::put::<{ Format::AlbHealthCheck as usize }>(out, line, ends, quotes)
        }
    }
}

/// Adds the line, with a backslash before each quote.
#[inline(always)]
fn put_message(out: &mut Out<'_>, text: &[u8], line: Line, quotes: &Quotes) {
    let mut start = 0;
    for &[opening, closing] in &quotes.at[..quotes.count] {
        out.put_and(text, start, opening - start, b'\\');
        out.put_and(text, opening, closing - opening, b'\\');
        start = closing;
    }
    out.put(text, start, line.end - start);
}

/// Compiles [`Writer::event`] for one kind of processor. Columns and message are separate functions, so each
/// has all registers.
macro_rules! compiled {
    ($way:ident, $masks:path $(, $features:literal)?) => {
        mod $way {
            use super::*;

            $(#[target_feature(enable = $features)])?
            pub fn event(
                writer: &mut Writer,
                number: u64,
                text: &[u8],
                events: &mut Vec<u8>,
            ) -> Option<usize> {
                writer.event_by(
                    number,
                    text,
                    events,
                    |block| $masks(block),
                    |format, out, line, ends, quotes| put_columns(format, out, line, ends, quotes),
                    |out, text, line, quotes| put_message(out, text, line, quotes),
                )
            }

            $(#[target_feature(enable = $features)])?
            pub fn find(ends: &mut Ends, text: &[u8], quoting: Quoting) -> Option<Line> {
                ends.find(text, quoting, |block| $masks(block))
            }

            #[inline(never)]
            $(#[target_feature(enable = $features)])?
            fn put_columns(
                format: Format,
                out: &mut Out<'_>,
                line: &[u8],
                ends: &Ends,
                quotes: &mut Quotes,
            ) -> Option<()> {
                super::put_columns(format, out, line, ends, quotes)
            }

            #[inline(never)]
            $(#[target_feature(enable = $features)])?
            fn put_message(out: &mut Out<'_>, text: &[u8], line: Line, quotes: &Quotes) {
                super::put_message(out, text, line, quotes);
            }
        }
    };
}

compiled!(plain, processor::masks);

#[cfg(target_arch = "x86_64")]
compiled!(avx2, processor::masks_avx2, "avx2,bmi1,bmi2,lzcnt,popcnt,pclmulqdq");
