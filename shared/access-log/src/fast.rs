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
use crate::time::{self, Time};

/// Bytes that are copied at once. Whatever is copied from must have as many behind its end.
pub(crate) const STEP: usize = 32;
/// A longer line is declined.
const LINE_BYTES_MAX: usize = 8 << 10;
/// More values than a line of any format has by far.
const TOKENS_MAX: usize = 64;
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
            Kind::EventTime | Kind::Text | Kind::Number | Kind::Seconds => (column.name, column.name),
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

/// Where a value stands in the text.
#[derive(Clone, Copy, Default)]
struct Token {
    start: usize,
    end: usize,
    quoted: bool,
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
            columns,
            before_time,
            before_id_line,
            before_date,
            before_line,
            before_columns,
            event: vec![0; event_bytes_max],
        }
    }

    /// The event of line `number`, which stands at `start..end` of `text`; `None` if the line must go the plain way.
    /// Behind `end` there must be [`STEP`] more bytes, whatever they are.
    pub fn event(&mut self, number: u64, text: &[u8], start: usize, end: usize) -> Option<&[u8]> {
        if end - start > LINE_BYTES_MAX || !is_clean(&text[start..end]) {
            return None;
        }
        let mut tokens = [Token::default(); TOKENS_MAX];
        let found = tokenize(text, start, end, self.quoting, &mut tokens)?;
        if found < self.columns_min || found > self.columns.len() {
            return None;
        }
        let tokens = &tokens[..found];
        let time = self.time(text, tokens)?;
        let mut out = Out { bytes: &mut self.event, at: 0 };
        let digits = Digits::of(number);
        out.put_padded(&self.before_time);
        out.put_slice(time.text);
        out.put_padded(&self.before_id_line);
        out.put_slice(digits.as_slice());
        out.put_padded(&self.before_date);
        out.put_slice(&time.index_date());
        out.put_padded(&self.before_line);
        out.put_slice(digits.as_slice());
        out.put_padded(&self.before_columns);
        for (column, token) in self.columns.iter().zip(tokens) {
            put_column(&mut out, column, text, *token)?;
        }
        out.put_slice(br#"},"message":""#);
        put_message(&mut out, text, start, end, tokens);
        out.put_slice(b"\"}\n");
        let length = out.at;
        Some(&self.event[..length])
    }

    fn time<'t>(&self, text: &'t [u8], tokens: &[Token]) -> Option<Time<'t>> {
        let at = self.columns.iter().position(|column| column.kind == Kind::EventTime)?;
        let token = tokens.get(at)?;
        time::parse(&text[token.start..token.end])
    }
}

/// Whether a line is of ASCII characters that JSON takes as they are, quotes aside.
fn is_clean(line: &[u8]) -> bool {
    // As signed numbers, control characters and what is no ASCII are all below a space.
    let dirty = |byte: &u8| (byte.cast_signed() < 0x20) | (*byte == b'\\');
    let (chunks, rest) = line.as_chunks::<STEP>();
    let mut any = false;
    for chunk in chunks {
        any |= chunk.iter().fold(false, |any, byte| any | dirty(byte));
    }
    !any && !rest.iter().any(dirty)
}

/// Finds the values of a line; `None` if there is a quote where only a thorough look tells what it means.
fn tokenize(
    text: &[u8],
    start: usize,
    end: usize,
    quoting: Quoting,
    tokens: &mut [Token; TOKENS_MAX],
) -> Option<usize> {
    let mut found = 0;
    let mut at = start;
    while at < end {
        let token = if text[at] == b'"' && quoting == Quoting::Values {
            let closing = at + 1 + memchr::memchr(b'"', &text[at + 1..end])?;
            if closing + 1 < end && text[closing + 1] != b' ' {
                return None;
            }
            Token { start: at + 1, end: closing, quoted: true }
        } else {
            let after = memchr::memchr2(b' ', b'"', &text[at..end]).map_or(end, |length| at + length);
            if after < end && text[after] == b'"' {
                return None;
            }
            Token { start: at, end: after, quoted: false }
        };
        *tokens.get_mut(found)? = token;
        found += 1;
        at = token.end + usize::from(token.quoted) + 1;
    }
    Some(found)
}

/// Writes the field of a column, or none if it has no value; `None` if the value is not of the plainest kind.
#[inline(always)]
fn put_column(out: &mut Out<'_>, column: &Named, text: &[u8], token: Token) -> Option<()> {
    let Token { start, end, .. } = token;
    let value = &text[start..end];
    if matches!(value, b"" | b"-") {
        return Some(());
    }
    match column.kind {
        Kind::EventTime | Kind::Text => {
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

/// Writes the line, with a backslash before each quote. Quotes stand around quoted values only.
fn put_message(out: &mut Out<'_>, text: &[u8], start: usize, end: usize, tokens: &[Token]) {
    let mut from = start;
    for token in tokens.iter().filter(|token| token.quoted) {
        out.put(text, from, token.start - 1 - from);
        out.put_byte(b'\\');
        // The quote and the value.
        out.put(text, token.start - 1, token.end - token.start + 1);
        out.put_byte(b'\\');
        from = token.end;
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
    bytes: [u8; 20],
    start: usize,
}

impl Digits {
    fn of(mut number: u64) -> Self {
        let mut digits = Self { bytes: [b'0'; 20], start: 20 };
        loop {
            digits.start -= 1;
            digits.bytes[digits.start] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return digits;
            }
        }
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
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
