//! Parsing of a request: its address, its form, its size, and the documents in its body.

use super::Refused;
use crate::logs::http_body::Body;
use flate2::read::MultiGzDecoder;
use serde_json::Value;
use std::fmt;
use std::io::Read as _;

/// Path for events below the function's URL.
pub const PATH: &str = "/events";

/// Maximum number of bytes of a sent body. Lambda itself allows six times as much.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// Maximum number of bytes of a decompressed body.
pub const INFLATED_BYTES_MAX: usize = 4 << 20;

/// Maximum number of events of one request.
pub const EVENTS_MAX: usize = 1000;

/// A request from the function's URL, without its key.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The HTTP method.
    pub method: &'a str,
    /// Path, without the query.
    pub path: &'a str,
    /// The header `Content-Type`.
    pub content_type: Option<&'a str>,
    /// The header `Content-Encoding`.
    pub content_encoding: Option<&'a str>,
    /// The body.
    pub body: Body<'a>,
}

/// Form of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `application/json`: one object, or an array of objects.
    Json,
    /// `application/x-ndjson`: one object a line.
    Ndjson,
    /// The same, compressed with gzip. `application/json` has no compressed form: a function URL takes it for
    /// text, and bytes that are not UTF-8 do not survive that.
    NdjsonGzip,
}

/// The exceeded limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    /// The body as sent.
    #[error("the body is larger than {} KiB; send fewer events at a time", BODY_BYTES_MAX >> 10)]
    Body,
    /// The decompressed body.
    #[error("the decompressed body is larger than {} KiB; send fewer events at a time", INFLATED_BYTES_MAX >> 10)]
    Inflated,
    /// The events of one request.
    #[error("the request holds more than {EVENTS_MAX} events; send fewer at a time")]
    Events,
    /// The events of one request, beyond the burst of this application.
    #[error(
        "the request holds more than the {burst} events that this application may send at once; send fewer at a time"
    )]
    Burst {
        /// Burst of the application.
        burst: u32,
    },
}

/// Fault of a body without documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The front end marks it as base64, but it is not.
    Base64,
    /// The header names gzip, but the body is not gzip.
    Gzip,
    /// The body is no JSON.
    Json {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// The body is JSON, but neither an object nor an array.
    NoEvents,
    /// The body is empty.
    Empty,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base64 => f.write_str("the body cannot be read"),
            Self::Gzip => f.write_str("the body is not gzip, although its Content-Encoding is gzip"),
            Self::Json { line, column } => {
                write!(f, "the body is not JSON, or is incomplete, at line {line}, column {column}")
            }
            Self::NoEvents => f.write_str("the body is neither an event nor an array of events"),
            Self::Empty => f.write_str("the body holds no event"),
        }
    }
}

/// Returns the declared form of a request's body if the address is right and the size is within the limit. It
/// does not read the body.
pub fn form(request: &Request<'_>) -> Result<Form, Refused> {
    if request.path.trim_end_matches('/') != PATH {
        return Err(Refused::NoSuchPath);
    }
    if request.method != "POST" {
        return Err(Refused::Method);
    }
    let plain = plain(request.content_type.unwrap_or_default()).ok_or(Refused::MediaType)?;
    let gzip = is_gzip(request.content_encoding.unwrap_or_default()).ok_or(Refused::Encoding)?;
    let form = match (plain, gzip) {
        (plain, false) => plain,
        (Form::Ndjson | Form::NdjsonGzip, true) => Form::NdjsonGzip,
        (Form::Json, true) => return Err(Refused::Encoding),
    };
    if request.body.sent_bytes() > BODY_BYTES_MAX {
        return Err(Refused::TooLarge(TooLarge::Body));
    }
    Ok(form)
}

/// Returns the form that a `Content-Type` names, or `None` if it is unknown. JSON is UTF-8, and no other
/// charset is accepted. <https://www.rfc-editor.org/rfc/rfc9110#name-content-type>
fn plain(content_type: &str) -> Option<Form> {
    let mut parts = content_type.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let form = [("application/json", Form::Json), ("application/x-ndjson", Form::Ndjson)]
        .into_iter()
        .find_map(|(known, form)| name.eq_ignore_ascii_case(known).then_some(form))?;
    let utf8 = parts.all(|parameter| match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    });
    utf8.then_some(form)
}

fn is_gzip(content_encoding: &str) -> Option<bool> {
    match content_encoding.trim() {
        "" => Some(false),
        name if name.eq_ignore_ascii_case("identity") => Some(false),
        name if name.eq_ignore_ascii_case("gzip") => Some(true),
        _ => None,
    }
}

/// Returns the documents of a body, at least one and at most [`EVENTS_MAX`]. It does not validate their
/// content.
pub fn documents(form: Form, body: Body<'_>) -> Result<Vec<Value>, Refused> {
    let sent = body.bytes().ok_or(Refused::Malformed(Malformed::Base64))?;
    let documents = match form {
        Form::Json => whole(&sent)?,
        Form::Ndjson => by_line(&sent)?,
        Form::NdjsonGzip => by_line(&inflated(&sent)?)?,
    };
    match documents.len() {
        0 => Err(Refused::Malformed(Malformed::Empty)),
        1..=EVENTS_MAX => Ok(documents),
        _ => Err(Refused::TooLarge(TooLarge::Events)),
    }
}

/// Decompresses `gzip`. Bytes beyond the cap are never decompressed.
fn inflated(gzip: &[u8]) -> Result<Vec<u8>, Refused> {
    let mut text = Vec::new();
    let mut reader = MultiGzDecoder::new(gzip).take(INFLATED_BYTES_MAX as u64 + 1);
    reader.read_to_end(&mut text).map_err(|_| Refused::Malformed(Malformed::Gzip))?;
    match text.len() {
        0..=INFLATED_BYTES_MAX => Ok(text),
        _ => Err(Refused::TooLarge(TooLarge::Inflated)),
    }
}

fn whole(text: &[u8]) -> Result<Vec<Value>, Refused> {
    if text.iter().all(u8::is_ascii_whitespace) {
        return Ok(Vec::new());
    }
    match parse(text, 1)? {
        Value::Array(documents) => Ok(documents),
        document @ Value::Object(_) => Ok(vec![document]),
        _ => Err(Refused::Malformed(Malformed::NoEvents)),
    }
}

/// Parses one document a line. Blank lines are skipped, and the last line may lack its end.
fn by_line(text: &[u8]) -> Result<Vec<Value>, Refused> {
    let lines = text.split(|byte| *byte == b'\n').zip(1..);
    let filled = lines.filter(|(line, _)| !line.iter().all(u8::is_ascii_whitespace));
    // One document beyond the limit is enough to refuse them all.
    filled.take(EVENTS_MAX + 1).map(|(line, number)| parse(line, number)).collect()
}

/// Parses the text that begins at `line`.
fn parse(text: &[u8], line: usize) -> Result<Value, Refused> {
    serde_json::from_slice(text).map_err(|error| {
        let line = line + error.line().saturating_sub(1);
        Refused::Malformed(Malformed::Json { line, column: error.column() })
    })
}
