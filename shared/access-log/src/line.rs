//! The plain path: parses one line. The fast path (`fast.rs`) must give the same result.

use crate::format::{Column, Format, Kind, is_ip};
use crate::time::{self, Time};
use crate::values;

/// Reason why a line cannot become an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The line is empty.
    #[error("the line is blank")]
    Blank,
    /// The line exceeds the limit.
    #[error("the line has more than {limit} bytes")]
    TooLong {
        /// Maximum number of bytes of a line.
        limit: usize,
    },
    /// The object ends within the line, because the rest cannot be decompressed.
    #[error("the object cannot be read beyond this point, which is within a line")]
    CutOff,
    /// No format was configured, the object's key implies none, and the line has the shape of none.
    #[error("the line has the shape of no known format; configure the format if the object was renamed")]
    UnknownFormat,
    /// The line lacks columns that lines of this format always had.
    #[error("the line has {found} columns, and a line of format {format} has at least {wanted}")]
    TooFewColumns {
        /// Expected format.
        format: &'static str,
        /// Number of columns of the line.
        found: usize,
        /// Minimum number of columns.
        wanted: usize,
    },
    /// The quote that opens a value is not closed.
    #[error("column {column} begins with a quote that is not closed")]
    UnclosedQuote {
        /// Number of the column, from 1.
        column: usize,
    },
    /// A value holds a quote that is not around it, and no reading of the line explains the quote.
    #[error("column {column} has a quote where no line of format {format} has one, or lacks its quotes")]
    MisplacedQuote {
        /// Expected format.
        format: &'static str,
        /// Number of the column, from 1.
        column: usize,
    },
    /// The quotes within values allow several readings.
    #[error("the quotes of the line allow more than one reading")]
    AmbiguousQuotes,
    /// The quotes are in order, but no line has so many columns.
    #[error("the line has {found} columns, and no line of format {format} has as many")]
    UnknownColumns {
        /// Expected format.
        format: &'static str,
        /// Number of columns of the line.
        found: usize,
    },
    /// A value of a number column is no number.
    #[error("{column} is not a number")]
    NotANumber {
        /// Name of the column.
        column: &'static str,
    },
    /// A value of an address column is no address.
    #[error("{column} is not an IP address, or has no port where one belongs")]
    NotAnAddress {
        /// Name of the column.
        column: &'static str,
    },
    /// The time of the event is not valid.
    #[error("{column} is not a time in ISO 8601")]
    NotATime {
        /// Name of the column.
        column: &'static str,
    },
}

/// Quoting of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quoting {
    /// A quote is an ordinary character.
    Never,
    /// Some values are in quotes.
    Values,
}

/// Value of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'l> {
    /// No value.
    Absent,
    /// Any bytes.
    Text(&'l [u8]),
    /// Digits of a JSON number.
    Number(&'l [u8]),
    /// An address, and the digits of its port.
    Address(&'l [u8], &'l [u8]),
}

/// A value of a plain event, in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlainValue<'l> {
    /// Any bytes.
    Text(&'l [u8]),
    /// Digits of a JSON number.
    Number(&'l [u8]),
}

/// Content of a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parsed<'l> {
    pub time: Time<'l>,
    /// Values of the known columns, in their order. An old line has fewer.
    pub values: Vec<Value<'l>>,
    /// Values of columns that are not known yet.
    pub extra: Vec<&'l [u8]>,
}

impl<'l> Parsed<'l> {
    /// Returns the fields of a plain event, in the order of the columns.
    pub fn fields(&self, format: Format) -> Vec<(&'static str, PlainValue<'l>)> {
        let mut fields = Vec::with_capacity(self.values.len() + 2);
        for (column, &value) in format.columns().iter().zip(&self.values) {
            match (value, column.kind) {
                (Value::Absent, _) => {}
                (Value::Text(text), _) => fields.push((column.name, PlainValue::Text(text))),
                (Value::Number(digits), _) => fields.push((column.name, PlainValue::Number(digits))),
                (Value::Address(address, digits), Kind::Address { ip, port }) => {
                    fields.push((ip, PlainValue::Text(address)));
                    fields.push((port, PlainValue::Number(digits)));
                }
                (Value::Address(..), _) => unreachable!("only a column of addresses has one"),
            }
        }
        fields
    }
}

/// Parses a line of `format`. `line` has no line feed.
pub(crate) fn parse(line: &[u8], format: Format) -> Result<Parsed<'_>, Malformed> {
    let columns = format.columns();
    let all = values::of(line, format)?;
    let mut tokens = all.iter().copied();
    let mut values = Vec::with_capacity(columns.len());
    let mut event_time = None;
    for (column, token) in columns.iter().zip(tokens.by_ref()) {
        if column.kind == Kind::EventTime {
            event_time = time::parse(token);
        }
        values.push(value(column, token)?);
    }
    let found = values.len();
    let (Some(time), true) = (event_time, found >= format.columns_min()) else {
        return Err(Malformed::TooFewColumns { format: format.name(), found, wanted: format.columns_min() });
    };
    Ok(Parsed { time, values, extra: tokens.collect() })
}

/// Returns the value of a column.
fn value<'l>(column: &Column, token: &'l [u8]) -> Result<Value<'l>, Malformed> {
    let name = column.name;
    let is_time = || time::parse(token).is_some();
    match (column.kind, token) {
        (Kind::EventTime, _) if !is_time() => Err(Malformed::NotATime { column: name }),
        (_, b"" | b"-") | (Kind::Seconds, b"-1") => Ok(Value::Absent),
        (Kind::Time, _) if !is_time() => Err(Malformed::NotATime { column: name }),
        (Kind::EventTime | Kind::Time | Kind::Text, _) => Ok(Value::Text(token)),
        (Kind::Number, _) => {
            let digits = number(token).filter(|digits| !digits.contains(&b'.'));
            digits.map(Value::Number).ok_or(Malformed::NotANumber { column: name })
        }
        (Kind::Seconds, _) => number(token).map(Value::Number).ok_or(Malformed::NotANumber { column: name }),
        (Kind::Ip, _) if is_ip(token) => Ok(Value::Text(token)),
        (Kind::Ip, _) => Err(Malformed::NotAnAddress { column: name }),
        (Kind::Address { .. }, _) => {
            let (address, number) = address(token).ok_or(Malformed::NotAnAddress { column: name })?;
            Ok(Value::Address(address, number))
        }
    }
}

/// Maximum number of digits that every JSON parser keeps: those of a double.
pub(crate) const DIGITS_MAX: usize = 15;

/// Returns the digits of a number in JSON's form, without leading zeros. `None` if it is no number, or would
/// lose digits.
fn number(token: &[u8]) -> Option<&[u8]> {
    let unsigned = token.strip_prefix(b"-").unwrap_or(token);
    let (whole, fraction) = match memchr::memchr(b'.', unsigned) {
        Some(point) => (&unsigned[..point], Some(&unsigned[point + 1..])),
        None => (unsigned, None),
    };
    let is_digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    if !is_digits(whole)
        || !fraction.is_none_or(is_digits)
        || whole.len() + fraction.map_or(0, <[u8]>::len) > DIGITS_MAX
    {
        return None;
    }
    let zeros = whole[..whole.len() - 1].iter().take_while(|&&digit| digit == b'0').count();
    match (zeros, unsigned.len() == token.len()) {
        (0, _) => Some(token),
        (_, true) => Some(&token[zeros..]),
        // A negative number with leading zeros would need new digits. AWS writes no such numbers.
        (_, false) => None,
    }
}

/// Returns the two parts of `192.0.2.1:443`, `2001:db8::1:443` and `[2001:db8::1]:443`.
fn address(token: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memrchr(b':', token)?;
    let (ip, port) = (&token[..colon], &token[colon + 1..]);
    let ip = ip.strip_prefix(b"[").and_then(|ip| ip.strip_suffix(b"]")).unwrap_or(ip);
    if !is_ip(ip) {
        return None;
    }
    str::from_utf8(port).ok()?.parse::<u16>().ok()?;
    Some((ip, number(port)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_one_that_json_and_a_double_hold_exactly() {
        for (text, expected) in [
            ("0", Some("0")),
            ("000", Some("0")),
            ("0.086", Some("0.086")),
            ("007.50", Some("7.50")),
            ("-1", Some("-1")),
            ("123456789012345", Some("123456789012345")),
            ("1234567890123456", None),
            ("-007", None),
            ("1e3", None),
            ("+1", None),
            (".5", None),
            ("5.", None),
            ("1.2.3", None),
            ("0x10", None),
            ("-", None),
            ("NaN", None),
        ] {
            assert_eq!(number(text.as_bytes()), expected.map(str::as_bytes), "{text}");
            if let Some(expected) = expected {
                assert!(serde_json::from_str::<f64>(expected).is_ok());
            }
        }
    }

    #[test]
    fn an_address_is_of_either_ip_version_with_a_port() {
        for (text, expected) in [
            ("192.0.2.1:443", Some(("192.0.2.1", "443"))),
            ("2001:db8::1:443", Some(("2001:db8::1", "443"))),
            ("[2001:db8::1]:443", Some(("2001:db8::1", "443"))),
            ("192.0.2.1:0443", Some(("192.0.2.1", "443"))),
            ("192.0.2.1", None),
            ("192.0.2.1:", None),
            ("192.0.2.1:65536", None),
            ("192.0.2.1:+80", None),
            ("192.0.2.256:80", None),
            ("example.com:80", None),
            (":80", None),
        ] {
            let expected = expected.map(|(ip, port)| (ip.as_bytes(), port.as_bytes()));
            assert_eq!(address(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn an_absent_value_is_no_field_and_a_new_column_is_kept() {
        let line = "2015-05-13T23:39:43.945958Z lb 192.0.2.1:2817 - -1 -1 -1 504 - 0 0 \"- - - \" \"-\" - - new newer_one -";
        let parsed = parse(line.as_bytes(), Format::Classic).unwrap();
        let names: Vec<&str> = parsed.fields(Format::Classic).iter().map(|(name, _)| *name).collect();
        assert_eq!(
            names,
            [
                "timestamp",
                "elb",
                "client_ip",
                "client_port",
                "elb_status_code",
                "received_bytes",
                "sent_bytes",
                "request"
            ]
        );
        assert_eq!(parsed.extra, [&b"new"[..], b"newer_one", b"-"]);
    }

    #[test]
    fn a_rule_that_could_not_be_evaluated_differs_from_none() {
        let line = include_str!("../tests/fixtures/alb.log").lines().next().unwrap();
        let line = line.replace("\"-\" 0 2018", "\"-\" -1 2018");
        let parsed = parse(line.as_bytes(), Format::Alb).unwrap();
        assert!(parsed.fields(Format::Alb).contains(&("matched_rule_priority", PlainValue::Number(b"-1"))));
    }
}
