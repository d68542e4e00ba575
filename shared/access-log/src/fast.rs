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
mod ecs;
mod head;
mod out;
mod processor;
mod request;
mod scan;
#[cfg(test)]
mod tests;
mod value;

use crate::event::{Fields, Template};
use crate::format::{Column, Format, Kind};
use crate::line::Quoting;
use head::{Head, Padded};
use out::{Out, SLACK};
use processor::{BLOCK, Masks};
use scan::{Ends, Line};

/// Readable bytes of any content that must follow the text.
pub(crate) const BEHIND: usize = BLOCK + SLACK;

const _: () = assert!(value::BEHIND <= SLACK, "values stand before what is behind the text");

/// Text between the columns and the message, padded.
const PLAIN_MESSAGE: &[u8; 13 + SLACK] = &padded(br#"},"message":""#);
/// The same behind a comma.
const MESSAGE: &[u8; 11 + SLACK] = &padded(br#""message":""#);
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
    fields: Fields,
    /// Beginning of `aws.elb`.
    before_elb: Padded,
    /// Maximum size of an event without the bytes of its line.
    event_bytes: usize,
    #[cfg(target_arch = "x86_64")]
    has_avx2: bool,
}

impl Writer {
    pub fn new(template: &Template, format: Format) -> Self {
        let pieces = template.of(format);
        let head = Head::new(pieces);
        let before_elb = Padded::new(&[&pieces.before_elb]);
        let columns_bytes = match template.fields {
            Fields::Ecs => before_elb.length() + ecs::bytes_max(format),
            Fields::Plain => columns::bytes_max(format),
        };
        let is_time = |column: &Column| column.kind == Kind::EventTime;
        Self {
            format,
            time_column: format.columns().iter().position(is_time).expect("every format has one"),
            event_bytes: head.bytes_max() + columns_bytes + PLAIN_MESSAGE.len() + END.len(),
            head,
            ends: Ends::new(),
            fields: template.fields,
            before_elb,
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
        put_fields: impl for<'v> Fn(&Self, Out<'v>, &[u8]) -> Option<Out<'v>>,
        put_message: impl for<'v> Fn(Out<'v>, &[u8], Line, &Ends) -> Out<'v>,
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
        // Every byte of the line occurs at most twice as a value or a part of one, and once in the message, at worst
        // behind a backslash. The time follows.
        let mut out = Out::behind(events, self.event_bytes + 4 * line.end as usize);
        self.head.put(&mut out, text, time_start, time_length, number);
        let mut out = put_fields(self, out, text)?;
        match self.fields {
            Fields::Ecs => out.put(MESSAGE, 0, 11),
            Fields::Plain => out.put(PLAIN_MESSAGE, 0, 13),
        }
        let mut out = put_message(out, text, line, &self.ends);
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

/// Calls a function with the format as its constant parameter.
macro_rules! of_format {
    ($format:expr, $module:ident::$function:ident $arguments:tt) => {
        match $format {
            Format::Classic => $module::$function::<{ Format::Classic as usize }> $arguments,
            Format::Alb => $module::$function::<{ Format::Alb as usize }> $arguments,
            Format::Nlb => $module::$function::<{ Format::Nlb as usize }> $arguments,
            Format::AlbConnection => $module::$function::<{ Format::AlbConnection as usize }> $arguments,
            Format::AlbHealthCheck => $module::$function::<{ Format::AlbHealthCheck as usize }> $arguments,
        }
    };
}

/// Adds the fields of a line under AWS's column names.
#[inline(always)]
fn put_columns<'v>(format: Format, out: Out<'v>, line: &[u8], ends: &Ends) -> Option<Out<'v>> {
    of_format!(format, columns::put(out, line, ends))
}

/// Adds the fields of a line in the Elastic Common Schema.
#[inline(always)]
fn put_ecs<'v>(
    format: Format,
    out: Out<'v>,
    line: &[u8],
    ends: &Ends,
    before_elb: &Padded,
) -> Option<Out<'v>> {
    of_format!(format, ecs::put(out, line, ends, before_elb))
}

/// Adds the line, with a backslash before each quote.
#[inline(always)]
fn put_message<'v>(mut out: Out<'v>, text: &[u8], line: Line, ends: &Ends) -> Out<'v> {
    out.put_escaped(text, line.end, ends.quotes());
    out
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
                    |writer, out, line| match writer.fields {
                        Fields::Ecs => put_ecs(writer.format, out, line, &writer.ends, &writer.before_elb),
                        Fields::Plain => put_columns(writer.format, out, line, &writer.ends),
                    },
                    |out, text, line, ends| put_message(out, text, line, ends),
                )
            }

            $(#[target_feature(enable = $features)])?
            pub fn find(ends: &mut Ends, text: &[u8], quoting: Quoting) -> Option<Line> {
                ends.find(text, quoting, |block| $masks(block))
            }

            #[inline(never)]
            $(#[target_feature(enable = $features)])?
            fn put_columns<'v>(format: Format, out: Out<'v>, line: &[u8], ends: &Ends) -> Option<Out<'v>> {
                super::put_columns(format, out, line, ends)
            }

            #[inline(never)]
            $(#[target_feature(enable = $features)])?
            fn put_ecs<'v>(
                format: Format,
                out: Out<'v>,
                line: &[u8],
                ends: &Ends,
                before_elb: &Padded,
            ) -> Option<Out<'v>> {
                super::put_ecs(format, out, line, ends, before_elb)
            }

            #[inline(never)]
            $(#[target_feature(enable = $features)])?
            fn put_message<'v>(out: Out<'v>, text: &[u8], line: Line, ends: &Ends) -> Out<'v> {
                super::put_message(out, text, line, ends)
            }
        }
    };
}

compiled!(plain, processor::masks);

#[cfg(target_arch = "x86_64")]
compiled!(avx2, processor::masks_avx2, "avx2,bmi1,bmi2,lzcnt,popcnt,pclmulqdq");
