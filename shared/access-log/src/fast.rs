//! One line to one event, fast: what `line::parse` and `event::write` would write, for lines that need no thought.
//!
//! Most lines are plain ASCII without a backslash, and have numbers and IPv4 addresses where they should. For those,
//! nothing must be escaped but the quotes that surround values, and everything else is copied. Every other line is
//! declined, and goes the plain way. Tests and fuzzing hold that both ways write the same.
//!
//! Copies are of fixed size: [`STEP`] bytes are cheaper to move than to count. What is copied too much is overwritten
//! by what follows, so both sides have [`STEP`] bytes more than they need.

use crate::event::Template;
use crate::format::{Column, Format, Kind};
use crate::line::{DIGITS_MAX, Quoting};
use crate::time;

/// Bytes that are copied at once.
const STEP: usize = 32;
/// Bytes that are looked at at once: as many as an integer has bits.
const BLOCK: usize = 64;
/// Bytes that must stand behind the end of a line, whatever they are.
pub(crate) const BEHIND: usize = BLOCK;
/// A longer line is declined.
const LINE_BYTES_MAX: usize = 8 << 10;
/// More values than a line of any format has.
const VALUES_MAX: usize = 64;
/// `,"` + the longest name of a column + `":"`, rounded up.
const NAME_BYTES: usize = 48;

/// Writes events of one format and one object.
pub(crate) struct Writer {
    quoting: Quoting,
    columns_min: usize,
    columns: Vec<Named>,
    before_time: Padded,
    before_id_line: Padded,
    before_date: Padded,
    before_line: Padded,
    before_columns: Padded,
    /// Which column is the time of the event.
    time_column: usize,
    /// Where the values of the line end.
    ends: [usize; VALUES_MAX + BLOCK],
    /// The event that is being written.
    event: Vec<u8>,
}

/// A column with what stands before its values.
struct Named {
    kind: Kind,
    /// The name, ready for a text.
    text: Name,
    /// The name, ready for a number. For an address: of its port.
    number: Name,
}

/// `,"name":`, with a quote for a text.
struct Name {
    bytes: [u8; NAME_BYTES],
    length: usize,
}

impl Name {
    fn new(name: &str, quote: &str) -> Self {
        let json = format!(",\"{name}\":{quote}");
        let mut bytes = [0; NAME_BYTES];
        bytes[..json.len()].copy_from_slice(json.as_bytes());
        Self { bytes, length: json.len() }
    }
}

impl Named {
    fn new(column: &Column) -> Self {
        let (text, number) = match column.kind {
            Kind::Address { ip, port } => (ip, port),
            Kind::EventTime | Kind::Text | Kind::Number | Kind::Seconds | Kind::Ip => {
                (column.name, column.name)
            }
        };
        Self { kind: column.kind, text: Name::new(text, "\""), number: Name::new(number, "") }
    }
}

/// Bytes with [`STEP`] more behind them.
struct Padded {
    bytes: Vec<u8>,
    length: usize,
}

impl Padded {
    fn new(pieces: &[&[u8]]) -> Self {
        let mut bytes = pieces.concat();
        let length = bytes.len();
        bytes.resize(length + STEP, 0);
        Self { bytes, length }
    }
}

/// Where a value stands in the text, without quotes around it.
#[derive(Clone, Copy)]
struct Value {
    start: usize,
    end: usize,
    quoted: bool,
}

impl Value {
    /// What stands at `start..end`, between two spaces.
    #[inline(always)]
    fn between(text: &[u8], start: usize, end: usize) -> Self {
        let quoted = start < end && text[start] == b'"';
        let quote = usize::from(quoted);
        Self { start: start + quote, end: end - quote, quoted }
    }
}

impl Writer {
    pub fn new(template: &Template, format: Format) -> Self {
        let format_name = format.name().as_bytes();
        let padded = |piece: &[u8]| Padded::new(&[piece]);
        let before_time = padded(&template.before_time);
        let before_id_line = padded(&template.before_id_line);
        let before_date = padded(&template.before_date);
        let before_line = padded(&template.before_line);
        let before_columns = Padded::new(&[&template.before_columns, format_name, b"\""]);
        let columns: Vec<Named> = format.columns().iter().map(Named::new).collect();
        let fixed = [&before_time, &before_id_line, &before_date, &before_line, &before_columns];
        // Every byte of the line once as a value and once, at worst behind a backslash, in the message.
        let event_bytes_max = fixed.iter().map(|piece| piece.length).sum::<usize>()
            + 2 * NAME_BYTES * columns.len()
            + 3 * LINE_BYTES_MAX
            + 8 * STEP
            + NAME_BYTES;
        Self {
            quoting: format.quoting(),
            columns_min: format.columns_min(),
            before_time,
            before_id_line,
            before_date,
            before_line,
            before_columns,
            time_column: columns
                .iter()
                .position(|column| column.kind == Kind::EventTime)
                .expect("every format has one"),
            columns,
            ends: [0; VALUES_MAX + BLOCK],
            event: vec![0; event_bytes_max],
        }
    }

    /// The event of line `number`, which stands at `start..end` of `text`; `None` if the line must go the plain way.
    /// Behind `end` there must be [`BEHIND`] more bytes, whatever they are.
    pub fn event(&mut self, number: u64, text: &[u8], start: usize, end: usize) -> Option<&[u8]> {
        let count = find_ends(text, start, end, self.quoting, &mut self.ends)?;
        if count < self.columns_min || count > self.columns.len() {
            return None;
        }
        let ends = &self.ends[..count];
        let time_start = self.time_column.checked_sub(1).map_or(start, |before| ends[before] + 1);
        let time = time::parse(&text[time_start..ends[self.time_column]])?;
        let digits = Digits::of(number);
        let mut out = Out { bytes: &mut self.event, at: 0 };
        out.put_padded(&self.before_time);
        out.put(text, time_start, time.text.len());
        out.put_padded(&self.before_id_line);
        out.put_digits(&digits);
        out.put_padded(&self.before_date);
        out.put_slice(&time.index_date());
        out.put_padded(&self.before_line);
        out.put_digits(&digits);
        out.put_padded(&self.before_columns);
        let mut value_start = start;
        for (column, &value_end) in self.columns.iter().zip(ends) {
            let value = Value::between(text, value_start, value_end);
            put_column(&mut out, column, text, value)?;
            value_start = value_end + 1;
        }
        out.put_slice(br#"},"message":""#);
        put_message(&mut out, text, start, end, ends);
        out.put_slice(b"\"}\n");
        let length = out.at;
        Some(&self.event[..length])
    }
}

/// Finds where the values of a line end, and tells how many there are, if the line is of ASCII characters that JSON
/// takes as they are, and has quotes around values only. A value ends at a space that is not within quotes.
fn find_ends(
    text: &[u8],
    start: usize,
    end: usize,
    quoting: Quoting,
    ends: &mut [usize; VALUES_MAX + BLOCK],
) -> Option<usize> {
    if end - start > LINE_BYTES_MAX {
        return None;
    }
    let mut count = 0;
    // Of the byte before the block: whether it is within quotes, ends a value, closes a quote.
    let (mut within, mut ended, mut closed) = (0, 1, 0);
    for at in (start..end).step_by(BLOCK) {
        let block: &[u8; BLOCK] = text[at..].first_chunk()?;
        let line = u64::MAX >> BLOCK.saturating_sub(end - at);
        if block.iter().fold(false, |any, byte| any | is_dirty(*byte)) && bits(block, is_dirty) & line != 0 {
            return None;
        }
        let quote = bits(block, |byte| byte == b'"') & line;
        let space = bits(block, |byte| byte == b' ') & line;
        // From a quote that opens to the byte before the one that closes.
        let quoted = odd_so_far(quote) ^ within;
        let ending = space & !quoted;
        let (opening, closing) = (quote & quoted, quote & !quoted);
        let misplaced = opening & !(ending << 1 | ended) | (closing << 1 | closed) & !ending & line;
        if misplaced != 0 || (quoting == Quoting::Never && quote != 0) {
            return None;
        }
        within = if quoted >> (BLOCK - 1) == 1 { u64::MAX } else { 0 };
        (ended, closed) = (ending >> (BLOCK - 1), closing >> (BLOCK - 1));
        let mut rest = ending;
        while rest != 0 {
            ends[count] = at + rest.trailing_zeros() as usize;
            count += 1;
            rest &= rest - 1;
        }
        if count >= VALUES_MAX {
            return None;
        }
    }
    // Behind the end no quote was counted: what is within quotes there was not closed.
    if within != 0 {
        return None;
    }
    // A line that ends in a space has no further value.
    if count == 0 || ends[count - 1] + 1 < end {
        ends[count] = end;
        count += 1;
    }
    Some(count)
}

#[inline(always)]
fn is_dirty(byte: u8) -> bool {
    // As signed numbers, control characters and what is no ASCII are all below a space.
    (byte.cast_signed() < 0x20) | (byte == b'\\')
}

/// Which bytes of a block are of a kind, one bit each.
#[inline(always)]
fn bits(block: &[u8; BLOCK], is: impl Fn(u8) -> bool) -> u64 {
    let flags = block.map(|byte| u8::from(is(byte)));
    let (words, _) = flags.as_chunks::<8>();
    let mut bits = 0;
    for (index, word) in words.iter().enumerate() {
        // The product has the lowest bits of the eight bytes, in order, as its highest byte.
        let byte = u64::from_le_bytes(*word).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        bits |= byte << (8 * index);
    }
    bits
}

/// Sets each bit if an odd number of bits are set up to it.
#[inline(always)]
fn odd_so_far(mut bits: u64) -> u64 {
    for distance in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << distance;
    }
    bits
}

/// Writes the field of a column, or none if it has no value; `None` if the value is not of the plainest kind.
#[inline(always)]
fn put_column(out: &mut Out<'_>, column: &Named, text: &[u8], value: Value) -> Option<()> {
    let Value { start, end, .. } = value;
    let value = &text[start..end];
    if matches!(value, b"" | b"-") {
        return Some(());
    }
    match column.kind {
        Kind::Ip if !is_ipv4(value) => return None,
        Kind::EventTime | Kind::Text | Kind::Ip => {
            out.put_name(&column.text);
            out.put(text, start, end - start);
            out.put_byte(b'"');
        }
        Kind::Number | Kind::Seconds => {
            if !is_plain_number(value) {
                return (value == b"-1" && column.kind == Kind::Seconds).then_some(());
            }
            out.put_name(&column.number);
            out.put(text, start, end - start);
        }
        Kind::Address { .. } => {
            let port = value.iter().rev().take(6).position(|&byte| byte == b':')?;
            let colon = end - 1 - port;
            if !is_ipv4(&text[start..colon]) || !is_port(&text[colon + 1..end]) {
                return None;
            }
            out.put_name(&column.text);
            out.put(text, start, colon - start);
            out.put_byte(b'"');
            out.put_name(&column.number);
            out.put(text, colon + 1, port);
        }
    }
    Some(())
}

/// Writes the line, with a backslash before each quote. Quotes stand around values only.
#[inline(always)]
fn put_message(out: &mut Out<'_>, text: &[u8], start: usize, end: usize, ends: &[usize]) {
    let (mut from, mut value_start) = (start, start);
    for &value_end in ends {
        if Value::between(text, value_start, value_end).quoted {
            out.put(text, from, value_start - from);
            out.put_byte(b'\\');
            // The quote and the value.
            out.put(text, value_start, value_end - 1 - value_start);
            out.put_byte(b'\\');
            from = value_end - 1;
        }
        value_start = value_end + 1;
    }
    out.put(text, from, end - from);
}

/// Whether this is a number as JSON writes it, without sign and exponent, that a double holds.
#[inline(always)]
fn is_plain_number(value: &[u8]) -> bool {
    let mut points = 0;
    for &byte in value {
        match byte {
            b'0'..=b'9' => {}
            b'.' => points += 1,
            _ => return false,
        }
    }
    let ends_in_digits = value[0] != b'.' && value[value.len() - 1] != b'.';
    let leading_zero = value[0] == b'0' && value.len() > 1 && value[1] != b'.';
    points <= 1 && ends_in_digits && !leading_zero && value.len() <= DIGITS_MAX
}

/// Whether this is an address as `Ipv4Addr` reads it.
#[inline(always)]
fn is_ipv4(value: &[u8]) -> bool {
    let (mut groups, mut group, mut digits) = (0, 0_u32, 0);
    for &byte in value {
        match byte {
            b'0'..=b'9' if digits == 0 || (group != 0 && digits < 3) => {
                group = group * 10 + u32::from(byte - b'0');
                digits += 1;
            }
            b'.' if digits > 0 && group < 256 => {
                groups += 1;
                (group, digits) = (0, 0);
            }
            _ => return false,
        }
    }
    groups == 3 && digits > 0 && group < 256
}

#[inline(always)]
fn is_port(value: &[u8]) -> bool {
    let digits = matches!(value.len(), 1..=5) && value.iter().all(u8::is_ascii_digit);
    let number = value.iter().fold(0_u32, |number, byte| number * 10 + u32::from(byte.wrapping_sub(b'0')));
    digits && number <= u32::from(u16::MAX) && (value[0] != b'0' || value.len() == 1)
}

/// A number in decimal.
struct Digits {
    bytes: [u8; Self::MAX + STEP],
    start: usize,
}

impl Digits {
    const MAX: usize = 20;

    fn of(mut number: u64) -> Self {
        let mut digits = Self { bytes: [b'0'; Self::MAX + STEP], start: Self::MAX };
        loop {
            digits.start -= 1;
            digits.bytes[digits.start] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return digits;
            }
        }
    }
}

/// Where an event is written to.
struct Out<'o> {
    bytes: &'o mut [u8],
    at: usize,
}

impl Out<'_> {
    /// Adds `length` bytes that stand at `start` of `from`, which has [`STEP`] more behind them.
    #[inline(always)]
    fn put(&mut self, from: &[u8], start: usize, length: usize) {
        let mut done = 0;
        while done < length {
            let step: [u8; STEP] = from[start + done..][..STEP].try_into().expect("a slice of this length");
            self.bytes[self.at + done..][..STEP].copy_from_slice(&step);
            done += STEP;
        }
        self.at += length;
    }

    #[inline(always)]
    fn put_padded(&mut self, padded: &Padded) {
        self.put(&padded.bytes, 0, padded.length);
    }

    #[inline(always)]
    fn put_digits(&mut self, digits: &Digits) {
        self.put(&digits.bytes, digits.start, Digits::MAX - digits.start);
    }

    #[inline(always)]
    fn put_name(&mut self, name: &Name) {
        self.bytes[self.at..][..NAME_BYTES].copy_from_slice(&name.bytes);
        self.at += name.length;
    }

    #[inline(always)]
    fn put_byte(&mut self, byte: u8) {
        self.bytes[self.at] = byte;
        self.at += 1;
    }

    /// Adds bytes with nothing behind them.
    #[inline(always)]
    fn put_slice(&mut self, slice: &[u8]) {
        self.bytes[self.at..][..slice.len()].copy_from_slice(slice);
        self.at += slice.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{self, Labels, Source};
    use crate::line;
    use crate::synthetic::Synthetic;
    use proptest::prelude::*;

    fn template() -> Template {
        let source = Source { bucket: "b".into(), key: "k\"".into(), version: "v".into() };
        Template::new(&source, &Labels { application: Some("Größe".into()), ..Labels::default() })
    }

    /// The event of a line that way, and the event or the reason against it the plain way.
    fn both_ways(
        format: Format,
        number: u64,
        line: &[u8],
    ) -> (Option<Vec<u8>>, Result<Vec<u8>, line::Malformed>) {
        let template = template();
        // What stands around a line is not part of it.
        let text = [b"\" \\", line, &[b'"'; BEHIND]].concat();
        let fast = Writer::new(&template, format).event(number, &text, 3, 3 + line.len()).map(<[u8]>::to_vec);
        let plain = line::parse(line, format).map(|parsed| {
            let mut out = Vec::new();
            event::write(&mut out, &template, format, number, line, &parsed);
            out
        });
        (fast, plain)
    }

    #[test]
    fn what_load_balancers_write_goes_this_way() {
        for format in Format::ALL {
            let (text, _) = Synthetic::new(format, 3).lines(300);
            let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
            let taken = lines.filter(|line| both_ways(format, 1, line).0.is_some()).count();
            // Half of the connections of NLB tell their preferences, in quotes.
            assert!(taken >= if format == Format::Nlb { 100 } else { 300 }, "{format:?}: {taken}");
        }
    }

    #[test]
    fn bits_are_those_of_the_bytes_and_odd_so_far_counts_them() {
        let mut block = [0; BLOCK];
        for at in [0, 7, 8, 62, 63] {
            block[at] = 1;
        }
        let set = 1 | 1 << 7 | 1 << 8 | 1 << 62 | 1 << 63;
        assert_eq!(bits(&block, |byte| byte == 1), set);
        assert_eq!(odd_so_far(set), 0b0111_1111 | (u64::MAX << 8 & !(u64::MAX << 62)) | 1 << 63);
    }

    /// Lines around the places where this way and the plain one could part: quotes, spaces, numbers, addresses.
    fn tricky(format: Format) -> impl Strategy<Value = Vec<u8>> {
        let value = prop_oneof![
            3 => prop::sample::select(vec![
                "-", "", "-1", "0", "00", "007", "1.5", "1.", ".5", "1.5.2", "-0.5", "1e3", "123456789012345",
                "1234567890123456", "0.00000000000001", "10.0.0.1:80", "10.0.0.1:080", "010.0.0.1:80", "256.0.0.1:1", "10.0.0.256:80", "10.0.0.1.2:80", "1.2.3.4567:80",
                "10.0.0.1:65536", "1.2.3:4", "::1:443", "[::1]:443", "10.0.0.1", ":", "2026-11-26T10:11:12.5Z",
                "2026-11-26T10:11:12", "2026-02-30T10:11:12Z", "\"\"", "\"-\"", "\"-1\"", "\"a b\"", "\"a\"b\"", "a\"b",
                "\"", "\"12\"", "\"10.0.0.1:80\"", "\"a\\\" b\"", "\"2026-11-26T10:11:12Z\"",
            ]).prop_map(str::to_owned),
            1 => "[ -~]{0,70}",
        ];
        let (text, _) = Synthetic::new(format, 5).lines(1);
        let original = String::from_utf8(text).expect("no odd ones").trim_end().to_owned();
        prop::collection::vec((any::<prop::sample::Index>(), value), 0..4).prop_map(move |edits| {
            let mut values: Vec<&str> = original.split(' ').collect();
            for (at, value) in &edits {
                let at = at.index(values.len());
                values[at] = value;
            }
            values.join(" ").into_bytes()
        })
    }

    fn any_tricky() -> impl Strategy<Value = (Format, Vec<u8>)> {
        prop::sample::select(&Format::ALL[..]).prop_flat_map(|format| (Just(format), tricky(format)))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

        #[test]
        fn what_goes_this_way_comes_to_the_same((format, line) in any_tricky(), number in any::<u64>()) {
            if let (Some(fast), plain) = both_ways(format, number, &line) {
                prop_assert_eq!(Ok(String::from_utf8(fast).unwrap()), plain.map(|plain| String::from_utf8(plain).unwrap()));
            }
        }
    }
}
