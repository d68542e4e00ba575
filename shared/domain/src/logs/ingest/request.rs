//! Reading a request: its address, its form, its size, and the documents in its body.

use super::Refused;
use crate::logs::http_body::Body;
use flate2::read::MultiGzDecoder;
use serde_json::Value;
use std::fmt;
use std::io::Read as _;

/// Where events are posted to, below the function's URL.
pub const PATH: &str = "/events";

/// The most bytes of a body as it is sent. Lambda itself takes six times as much.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// The most bytes that a compressed body may become.
pub const INFLATED_BYTES_MAX: usize = 4 << 20;

/// The most events of one request.
pub const EVENTS_MAX: usize = 1000;

/// A request as the function's URL hands it over, but for its key.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The HTTP method.
    pub method: &'a str,
    /// The path, without the query.
    pub path: &'a str,
    /// The header `Content-Type`.
    pub content_type: Option<&'a str>,
    /// The header `Content-Encoding`.
    pub content_encoding: Option<&'a str>,
    /// The body.
    pub body: Body<'a>,
}

/// The form of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `application/json`: one object, or an array of objects.
    Json,
    /// `application/x-ndjson`: one object a line.
    Ndjson,
    /// The same, compressed with gzip. There is no such form of `application/json`: a function URL takes that for text, and what
    /// is no UTF-8 does not survive it.
    NdjsonGzip,
}

/// What there is too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    /// The body as it was sent.
    #[error("the body is larger than {} KiB; send fewer events at a time", BODY_BYTES_MAX >> 10)]
    Body,
    /// What the body decompresses to.
    #[error("the body becomes larger than {} KiB when it is decompressed; send fewer events at a time", INFLATED_BYTES_MAX >> 10)]
    Inflated,
    /// The events of one request.
    #[error("the request holds more than {EVENTS_MAX} events; send fewer at a time")]
    Events,
    /// The events of one request, beyond what this application may ever send at once.
    #[error(
        "the request holds more than the {burst} events that this application may send at once; send fewer at a time"
    )]
    Burst {
        /// How many it may.
        burst: u32,
    },
}

/// Why a body holds no documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The front end says base64, and it is none.
    Base64,
    /// It is not the gzip that its header says.
    Gzip,
    /// It is no JSON.
    Json {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// It is JSON, but neither an object nor an array.
    NoEvents,
    /// There is nothing in it.
    Empty,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base64 => f.write_str("the body cannot be read"),
            Self::Gzip => f.write_str("the body is not the gzip that its Content-Encoding says it is"),
            Self::Json { line, column } => {
                write!(f, "the body is no JSON, or breaks off, at line {line}, column {column}")
            }
            Self::NoEvents => f.write_str("the body is neither an event nor an array of events"),
            Self::Empty => f.write_str("the body holds no event"),
        }
    }
}

/// The form that a request's body is said to have, if it came to the right address and is not too large. Nothing of the body
/// is looked at.
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

/// The form that a `Content-Type` names, if it is one that is understood; JSON is UTF-8, and no other charset is.
/// <https://www.rfc-editor.org/rfc/rfc9110#name-content-type>
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

/// The documents of a body, at least one and at most [`EVENTS_MAX`]; what is in them is not judged yet.
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

/// What `gzip` decompresses to. What comes after the cap is never decompressed.
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

/// Lines that are blank hold nothing, and the last one need not end.
fn by_line(text: &[u8]) -> Result<Vec<Value>, Refused> {
    let lines = text.split(|byte| *byte == b'\n').zip(1..);
    let filled = lines.filter(|(line, _)| !line.iter().all(u8::is_ascii_whitespace));
    // One more than are allowed is enough to refuse them all.
    filled.take(EVENTS_MAX + 1).map(|(line, number)| parse(line, number)).collect()
}

/// Parses what begins at `line`.
fn parse(text: &[u8], line: usize) -> Result<Value, Refused> {
    serde_json::from_slice(text).map_err(|error| {
        let line = line + error.line().saturating_sub(1);
        Refused::Malformed(Malformed::Json { line, column: error.column() })
    })
}
