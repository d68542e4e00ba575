//! One line to one event, fast: what `line::parse` and `event::write` would write, for lines that need no thought.
//!
//! Most lines are plain ASCII without a backslash, and have numbers and IPv4 addresses where they should. For those,
//! nothing must be escaped but the quotes that surround values, and everything else is copied. Every other line is
//! declined, and goes the plain way. Tests and fuzzing hold that both ways write the same.
//!
//! A line is looked at 64 bytes at once to find where its values end (`scan.rs`, `processor.rs`); numbers and addresses
//! are checked as wholes (`value.rs`); all else is copying (`out.rs`).

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

/// Bytes that must stand behind the text, whatever they are.
pub(crate) const BEHIND: usize = BLOCK + SLACK;

const _: () = assert!(value::BEHIND <= SLACK, "values stand before what is behind the text");

/// What stands before the message, and behind it.
const MESSAGE: &[u8; 13 + SLACK] = &padded(br#"},"message":""#);
const END: &[u8; 3 + SLACK] = &padded(b"\"}\n");

/// Bytes with [`SLACK`] more behind them.
const fn padded<const N: usize, const P: usize>(bytes: &[u8; N]) -> [u8; P] {
    let mut padded = [0; P];
    let mut at = 0;
    while at < N {
        padded[at] = bytes[at];
        at += 1;
    }
    padded
}

/// Writes events of one format and one object.
pub(crate) struct Writer {
    format: Format,
    /// Which column is the time of the event.
    time_column: usize,
    head: Head,
    ends: Ends,
    quotes: Quotes,
    /// What an event has beside the bytes of its line, at most.
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

    /// Adds the event of line `number`, which `text` begins with, to `events`; tells where the next line begins. `None`
    /// if the line must go the plain way, or no line feed follows. What follows the line is of no importance, but the
    /// last [`BEHIND`] bytes of `text` belong to no line.
    pub fn event(&mut self, number: u64, text: &[u8], events: &mut Vec<u8>) -> Option<usize> {
        #[cfg(target_arch = "x86_64")]
        if self.has_avx2 {
            // SAFETY: this processor has all that it is compiled for.
            #[expect(unsafe_code)]
            return unsafe { avx2::event(self, number, text, events) };
        }
        plain::event(self, number, text, events)
    }

    /// The same, by functions that are compiled for a processor.
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
        // What is looked at behind the line.
        if text.len() < line.next as usize + BEHIND {
            return None;
        }
        let columns = self.format.columns_min()..=self.format.columns().len();
        if !columns.contains(&self.ends.count) {
            return None;
        }
        let time_start = self.time_column.checked_sub(1).map_or(0, |before| self.ends.at[before] + 1);
        let time_bytes = self.ends.at[self.time_column] - time_start;
        if time_bytes == 0 {
            return None;
        }
        let time_length = self.head.read_time(&text[time_start as usize..], time_bytes as usize)?;
        // Every byte of the line once as a value and once, at worst behind a backslash, in the message; and the time.
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

/// Whether this processor has all that `avx2` is compiled for.
#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("popcnt")
        && is_x86_feature_detected!("pclmulqdq")
}

/// How many values the lines of `text` have that go the fast way, found as they are found there, with nothing done
/// about them: to measure. Ends before the first line that goes the plain way, or that has fewer than 64 bytes behind
/// it.
pub fn count_values(text: &[u8], format: Format) -> u64 {
    let mut ends = Ends::new();
    let mut find = |text: &[u8]| {
        #[cfg(target_arch = "x86_64")]
        if has_avx2() {
            // SAFETY: this processor has all that it is compiled for.
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

/// [`Writer::event`], compiled for one kind of processor. Columns and message are functions of their own: each then has
/// all registers for itself.
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
