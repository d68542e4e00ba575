//! The head of an event before its columns: constant for an object, except time and number.

use super::out::{Out, SLACK};
use super::value;
use crate::event::Pieces;
use crate::time;

/// Maximum number of decimal digits, rounded up.
const DIGITS_MAX: usize = 20;

/// Writer of the head.
pub(super) struct Head {
    before_time: Padded,
    before_id_line: Padded,
    before_date: Option<Vec<u8>>,
    before_line: Vec<u8>,
    before_columns: Padded,
    /// Day of the last time, in the form of the line.
    day: [u8; 10],
    /// Text between the two numbers of the line, for that day.
    between_numbers: Padded,
    number: Number,
}

/// Bytes, padded with [`SLACK`] more.
pub(super) struct Padded {
    bytes: Vec<u8>,
    length: u32,
}

impl Padded {
    pub fn new(pieces: &[&[u8]]) -> Self {
        let mut bytes = pieces.concat();
        let length = u32::try_from(bytes.len()).expect("names are far shorter");
        bytes.resize(bytes.len() + SLACK, 0);
        Self { bytes, length }
    }

    pub fn length(&self) -> usize {
        self.length as usize
    }

    #[inline(always)]
    pub fn put(&self, out: &mut Out<'_>) {
        out.put(&self.bytes, 0, self.length);
    }
}

/// A number in decimal.
struct Number {
    number: u64,
    digits: [u8; DIGITS_MAX + SLACK],
    length: u32,
}

impl Number {
    fn new(number: u64) -> Self {
        let mut digits = [0; DIGITS_MAX + SLACK];
        let text = number.to_string();
        digits[..text.len()].copy_from_slice(text.as_bytes());
        Self { number, digits, length: text.len() as u32 }
    }

    /// Sets the number. Most numbers are one more than the last and differ in the last digit only.
    #[inline(always)]
    fn set(&mut self, number: u64) {
        let last = &mut self.digits[self.length as usize - 1];
        if number == self.number.wrapping_add(1) && *last < b'9' {
            *last += 1;
            self.number = number;
        } else {
            *self = Self::new(number);
        }
    }

    #[inline(always)]
    fn put(&self, out: &mut Out<'_>) {
        out.put(&self.digits, 0, self.length);
    }
}

impl Head {
    pub fn new(pieces: &Pieces) -> Self {
        Self {
            before_time: Padded::new(&[&pieces.before_time]),
            before_id_line: Padded::new(&[&pieces.before_id_line]),
            before_date: pieces.before_date.clone(),
            before_line: pieces.before_line.clone(),
            before_columns: Padded::new(&[&pieces.before_columns]),
            // No time has this day.
            day: [0; 10],
            between_numbers: Padded::new(&[]),
            number: Number::new(0),
        }
    }

    /// Returns the maximum size of the head without the time.
    pub fn bytes_max(&self) -> usize {
        let pieces = [&self.before_time, &self.before_id_line, &self.before_columns];
        let before_date = self.before_date.as_ref().map_or(0, Vec::len);
        let date = before_date + self.day.len() + self.before_line.len();
        pieces.iter().map(|piece| piece.length as usize).sum::<usize>() + date + 2 * DIGITS_MAX
    }

    /// Returns the length of the time at the beginning of `text`, without `Z`. `None` if the first `length`
    /// bytes are no time.
    #[inline(always)]
    pub fn read_time(&mut self, text: &[u8], length: usize) -> Option<u32> {
        let plain = length - usize::from(text[length - 1] == b'Z');
        let is_same_day = plain >= 19 && text[..10] == self.day;
        if is_same_day && value::is_clock(&text[10..]) && value::is_fraction(&text[19..], plain - 19) {
            return Some(plain as u32);
        }
        self.read_any_time(&text[..length])
    }

    /// Reads a time of any day and stores its day.
    #[cold]
    fn read_any_time(&mut self, text: &[u8]) -> Option<u32> {
        let time = time::parse(text)?;
        self.day = *time.text.first_chunk().expect("a time begins with a date");
        self.between_numbers = match &self.before_date {
            Some(before_date) => Padded::new(&[before_date, &time.index_date(), &self.before_line]),
            None => Padded::new(&[&self.before_line]),
        };
        Some(time.text.len() as u32)
    }

    /// Adds the head. The `length` bytes of the time at `start` of the line must be those that were read
    /// last.
    #[inline(always)]
    pub fn put(&mut self, out: &mut Out<'_>, line: &[u8], start: u32, length: u32, number: u64) {
        self.number.set(number);
        self.before_time.put(out);
        out.put(line, start, length);
        self.before_id_line.put(out);
        self.number.put(out);
        self.between_numbers.put(out);
        self.number.put(out);
        self.before_columns.put(out);
    }
}
