//! The ends of a line and of its values, found in one pass over its bytes.

use super::processor::{BLOCK, Masks};
use crate::line::Quoting;

/// Maximum number of blocks of an accepted line.
const BLOCKS_MAX: usize = 128;
/// Capacity for values: more than a line of any format has.
pub(crate) const VALUES_MAX: usize = 64;

/// Ends of the values of a line.
pub(crate) struct Ends {
    /// Offsets of the values' ends: the space behind each, or the end of the line, counted from its
    /// beginning. Entries beyond `count` are stale.
    pub at: [u32; VALUES_MAX + BLOCK],
    /// Number of values.
    pub count: usize,
    /// For each block, the bytes at which a value ends.
    ending: [u64; BLOCKS_MAX],
    /// For each block of the line, its quotes.
    quotes: [u64; BLOCKS_MAX],
    /// Number of blocks of the line.
    blocks: usize,
}

/// End of a line, counted from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Offset behind its last byte.
    pub end: u32,
    /// Offset behind its line feed.
    pub next: u32,
}

impl Ends {
    pub fn new() -> Self {
        Self {
            at: [0; VALUES_MAX + BLOCK],
            count: 0,
            ending: [0; BLOCKS_MAX],
            quotes: [0; BLOCKS_MAX],
            blocks: 0,
        }
    }

    /// Finds the end of the first line of `text`, and the ends of its values. `None` if no line feed follows,
    /// and if the line is blank or very long or has very many values. Also `None` for a byte that is not
    /// ASCII or needs an escape in JSON, and for quotes that are not around values. [`BLOCK`] bytes of any
    /// content must follow the line.
    ///
    /// A value ends at a space that is not within quotes. A line that ends in a space has no further value.
    #[inline(always)]
    pub fn find(
        &mut self,
        text: &[u8],
        quoting: Quoting,
        masks: impl Fn(&[u8; BLOCK]) -> Masks,
    ) -> Option<Line> {
        let no_quotes = if quoting == Quoting::Never { u64::MAX } else { 0 };
        // State of the byte before the block: it is within quotes, it ends a value, it closes a quote.
        let (mut within, mut ended, mut closed) = (0, 1, 0);
        // Quotes that are not around a value.
        let mut misplaced = 0;
        for number in 0..BLOCKS_MAX {
            let start = number * BLOCK;
            let Masks { space, quote, special, quoted } = masks(text.get(start..)?.first_chunk()?);
            // Bytes before the first special one: all, or the rest of the line.
            let line = (special & special.wrapping_neg()).wrapping_sub(1);
            let quote = quote & line;
            self.quotes[number] = quote;
            let quoted = quoted ^ within;
            let ending = space & line & !quoted;
            let (opening, closing) = (quote & quoted, quote & !quoted);
            misplaced |= opening & !(ending << 1 | ended)
                | (closing << 1 | closed) & !ending & line
                | quote & no_quotes;
            if special == 0 {
                self.ending[number] = ending;
                let last = |bits: u64| bits >> (BLOCK - 1);
                (within, ended, closed) = (last(quoted).wrapping_neg(), last(ending), last(closing));
                continue;
            }
            let is_open = u64::from(quote.count_ones() % 2) != within & 1;
            let length = special.trailing_zeros() as usize;
            if misplaced != 0 || is_open || start + length == 0 {
                return None;
            }
            // The last value ends with the line, unless a space ended it.
            self.ending[number] = ending | 1 << length & !(ending << 1 | ended);
            let end = (start + length) as u32;
            let next = match text[start + length..] {
                [b'\n', ..] => end + 1,
                [b'\r', b'\n', ..] => end + 2,
                _ => return None,
            };
            self.blocks = number + 1;
            return self.collect(number + 1).then_some(Line { end, next });
        }
        None
    }

    /// Returns the quotes of the line, block by block: each bit is a quote, the lowest one that of the first byte.
    #[inline(always)]
    pub fn quotes(&self) -> &[u64] {
        &self.quotes[..self.blocks]
    }

    /// Records the ends of values in so many blocks. Returns false if they exceed the capacity.
    #[inline(always)]
    fn collect(&mut self, blocks: usize) -> bool {
        // The loop writes a few ends at once, even if fewer exist: cheaper than a check for each.
        const AT_ONCE: usize = 4;
        let mut count = 0;
        for (number, &ending) in self.ending[..blocks].iter().enumerate() {
            let mut rest = ending;
            let next = count + rest.count_ones() as usize;
            let mut from = count;
            loop {
                for end in &mut self.at[from..][..AT_ONCE] {
                    *end = (number * BLOCK) as u32 + rest.trailing_zeros();
                    rest &= rest.wrapping_sub(1);
                }
                from += AT_ONCE;
                if from >= next {
                    break;
                }
            }
            count = next;
            if count >= VALUES_MAX {
                return false;
            }
        }
        self.count = count;
        true
    }
}
