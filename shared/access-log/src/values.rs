//! The values of a line, where quotes within values allow several readings.
//!
//! A client chooses the text of some columns, such as the user agent, and not each writer of logs escapes the
//! quotes in it. The columns that never hold a quote, and those that always have quotes, tell where such a text
//! ends. Of all readings that fit the format, the one with the most values counts. If there are several of
//! these, the line is malformed: no line is read with values in the columns of others. The line is malformed too
//! if the reading has quotes within a text that no client chose, or a text with `" "`, which reads like two values.

use crate::format::{Format, Shape};
use crate::line::Malformed;
use std::collections::HashMap;

/// Maximum number of quotes that may end a value, in a line whose readings are searched. It bounds the work: a
/// line of a load balancer has at most 18.
const CLOSINGS_MAX: usize = 64;

/// Returns the values of `line`, in order, without the quotes around them. A line that ends in a space has no
/// further value.
pub(crate) fn of(line: &[u8], format: Format) -> Result<Vec<&[u8]>, Malformed> {
    let (mut values, mut start) = (Vec::with_capacity(40), 0);
    let fault = loop {
        if start >= line.len() {
            match values.len() {
                found if found < format.columns_min() || format.has_columns(found) => return Ok(values),
                found => break Malformed::UnknownColumns { format: format.name(), found },
            }
        }
        match plain_end(line, start, format.shape(values.len())) {
            Some(end) => {
                values.push(unquoted(&line[start..end], format.shape(values.len())));
                start = end + 1;
            }
            None => break fault(line, start, values.len(), format),
        }
    };
    let mut search = Search::new(line, format);
    if search.closings.len() > CLOSINGS_MAX {
        return Err(fault);
    }
    match search.best(0, 0) {
        None => Err(fault),
        Some(Reading { is_unique: false, .. }) => Err(Malformed::AmbiguousQuotes),
        Some(_) => {
            let values = search.values();
            let explains = |(index, value): (usize, &&[u8])| {
                !value.contains(&b'"')
                    || format.is_of_client(index) && memchr::memmem::find(value, br#"" ""#).is_none()
            };
            if values.iter().enumerate().all(explains) { Ok(values) } else { Err(fault) }
        }
    }
}

/// Returns the reason why the value at `start` is not plain.
fn fault(line: &[u8], start: usize, index: usize, format: Format) -> Malformed {
    let column = index + 1;
    let opens = line[start] == b'"' && matches!(format.shape(index), Shape::Quoted | Shape::Either);
    if opens && !(start + 1..line.len()).any(|at| closes(line, at)) {
        return Malformed::UnclosedQuote { column };
    }
    Malformed::MisplacedQuote { format: format.name(), column }
}

/// Returns the end of the value at `start`, behind its quotes, if the only quotes are around it.
fn plain_end(line: &[u8], start: usize, shape: Shape) -> Option<usize> {
    if line[start] == b'"' && matches!(shape, Shape::Quoted | Shape::Either) {
        let quote = start + 1 + memchr::memchr(b'"', &line[start + 1..])?;
        return (line[quote - 1] != b'\\' && closes(line, quote)).then_some(quote + 1);
    }
    bare_end(line, start, shape)
}

/// Returns the end of the value at `start` that is not in quotes.
fn bare_end(line: &[u8], start: usize, shape: Shape) -> Option<usize> {
    let end = memchr::memchr(b' ', &line[start..]).map_or(line.len(), |length| start + length);
    let value = &line[start..end];
    let fits = match (shape, value) {
        (Shape::Quoted, _) => false,
        (Shape::List, [b'"', .., b'"']) => true,
        (Shape::Address, _) => is_like_address(value),
        _ => memchr::memchr(b'"', value).is_none(),
    };
    fits.then_some(end)
}

/// Returns true if a value has the punctuation of an IP address.
#[inline(always)]
pub(crate) fn is_like_address(value: &[u8]) -> bool {
    value.iter().all(|&byte| byte != b'"') && value.iter().any(|byte| matches!(byte, b'.' | b':'))
}

/// Returns true for a quote that a space or the end of the line follows.
fn closes(line: &[u8], at: usize) -> bool {
    line[at] == b'"' && matches!(line.get(at + 1), None | Some(b' '))
}

fn unquoted(value: &[u8], shape: Shape) -> &[u8] {
    match (shape, value) {
        (Shape::Quoted | Shape::Either, [b'"', inner @ .., b'"']) => inner,
        _ => value,
    }
}

/// The reading of a line from one column on that has the most values.
#[derive(Clone, Copy)]
struct Reading {
    /// Number of values of the line.
    columns: usize,
    /// False if another reading has as many.
    is_unique: bool,
    /// Offset of the next value.
    next: usize,
}

/// Search for the readings of a line.
struct Search<'l> {
    line: &'l [u8],
    format: Format,
    /// Offsets of the quotes that may end a value. A backslash before a quote may be part of the value.
    closings: Vec<usize>,
    /// Reading from a column and an offset on.
    readings: HashMap<(usize, usize), Option<Reading>>,
}

impl<'l> Search<'l> {
    fn new(line: &'l [u8], format: Format) -> Self {
        let closings = memchr::memchr_iter(b'"', line).filter(|&at| closes(line, at)).collect();
        Self { line, format, closings, readings: HashMap::new() }
    }

    /// Returns the best reading if the value of column `index` begins at `start`.
    fn best(&mut self, index: usize, start: usize) -> Option<Reading> {
        if start >= self.line.len() {
            return self.format.has_columns(index).then_some(Reading {
                columns: index,
                is_unique: true,
                next: start,
            });
        }
        if let Some(known) = self.readings.get(&(index, start)) {
            return *known;
        }
        let mut best: Option<Reading> = None;
        for end in self.ends(index, start) {
            let Some(rest) = self.best(index + 1, end + 1) else { continue };
            let reading = Reading { next: end + 1, ..rest };
            best = match best {
                Some(best) if best.columns > rest.columns => Some(best),
                Some(best) if best.columns == rest.columns => Some(Reading { is_unique: false, ..best }),
                _ => Some(reading),
            };
        }
        self.readings.insert((index, start), best);
        best
    }

    /// Returns every offset at which the value of column `index` may end, if it begins at `start`.
    fn ends(&self, index: usize, start: usize) -> Vec<usize> {
        let shape = self.format.shape(index);
        let in_quotes = self.line[start] == b'"' && matches!(shape, Shape::Quoted | Shape::Either);
        // Of an unknown column the shortest reading counts, since it gives the most values.
        let is_known = index < self.format.columns().len();
        if !in_quotes || !is_known {
            return plain_end(self.line, start, shape).into_iter().collect();
        }
        self.closings.iter().filter(|&&quote| quote > start).map(|quote| quote + 1).collect()
    }

    /// Returns the values of the best reading.
    fn values(&mut self) -> Vec<&'l [u8]> {
        let (mut values, mut start) = (Vec::new(), 0);
        while start < self.line.len() {
            let Some(Reading { next, .. }) = self.best(values.len(), start) else { break };
            values.push(unquoted(&self.line[start..next - 1], self.format.shape(values.len())));
            start = next;
        }
        values
    }
}

#[cfg(test)]
mod tests;
