//! The valid content of an application's event. A field that is not named here is refused. An application can
//! then neither forge a field that the log intake sets, nor break the index of its events.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use strum::{EnumString, IntoStaticStr, VariantArray};

/// Maximum number of bytes of `message`.
pub const MESSAGE_BYTES_MAX: usize = 32 << 10;

/// Maximum number of bytes of `id`.
pub const ID_BYTES_MAX: usize = 128;

/// Maximum number of bytes of `logger` and of `version`.
pub const TEXT_BYTES_MAX: usize = 256;

/// Maximum number of values below `fields`, at any depth.
pub const FIELDS_MAX: usize = 100;

/// Maximum depth of `fields`; its own values are the first level.
pub const FIELDS_DEPTH_MAX: usize = 4;

/// Maximum number of bytes of a name below `fields`.
pub const NAME_BYTES_MAX: usize = 128;

/// Maximum number of bytes of a text below `fields`: the limit of an index for one term.
pub const VALUE_BYTES_MAX: usize = 8 << 10;

/// Maximum time by which an event is ahead of the log intake's clock. Clocks of desktops are wrong, but not
/// by days.
pub const AHEAD_MAX: SignedDuration = SignedDuration::from_hours(1);

/// Maximum age of an event. An older one would create its own index, which the retention deletes at once.
pub const AGE_MAX: SignedDuration = SignedDuration::from_hours(14 * 24);

/// Names that the log intake or a later stage sets.
const RESERVED: [&str; 21] = [
    "@metadata",
    "@version",
    "application",
    "aws",
    "cloud",
    "component",
    "ecs",
    "elb",
    "environment",
    "event",
    "host",
    "http",
    "index_date",
    "labels",
    "lockstep",
    "log",
    "received_at",
    "service",
    "source",
    "tags",
    "type",
];

/// Severity of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Level {
    /// Detailed trace of each step.
    Trace,
    /// Details for the search of a mistake.
    Debug,
    /// Normal event.
    Info,
    /// Unexpected event.
    Warn,
    /// Failure of an operation.
    Error,
    /// Failure that ended the application.
    Fatal,
}

impl Level {
    /// Every level.
    pub const ALL: &[Level] = Level::VARIANTS;

    /// Returns the name of the level.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// A valid event of an application.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// `@timestamp`: time of the event, if the application sends it.
    pub at: Option<Timestamp>,
    /// `id`: identity of the event when it is sent again.
    pub id: Option<String>,
    /// `level`.
    pub level: Option<Level>,
    /// `logger`: part of the application that wrote the event.
    pub logger: Option<String>,
    /// `version`: version of the application.
    pub version: Option<String>,
    /// `fields`: further fields of the application.
    pub fields: Map<String, Value>,
    /// `message`.
    pub message: String,
}

/// An invalid event, which makes the whole request invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {event}: {fault}")]
pub struct Invalid {
    /// Number of the event, counted from 1.
    pub event: usize,
    /// Fault of the event.
    pub fault: Fault,
}

/// Fault of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Name of the field, with its path below `fields`, cut to a readable length; empty for the whole event.
    pub field: String,
    /// Fault of the field.
    pub why: Why,
}

/// Fault of a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// The value is no object.
    #[error("must be an object")]
    NoObject,
    /// The value is no text.
    #[error("must be a text")]
    NoText,
    /// The required field is absent.
    #[error("is missing, or empty")]
    Missing,
    /// The log intake sets the field.
    #[error("is not for a client to set")]
    Reserved,
    /// The field is unknown.
    #[error("is not known; put your own fields below `fields`")]
    NotKnown,
    /// The value is too long.
    #[error("is longer than {0} bytes")]
    TooLong(usize),
    /// The value is no level.
    #[error("must be trace, debug, info, warn, error or fatal")]
    NoLevel,
    /// The value is no time.
    #[error("must be a time as RFC 3339 writes it, such as 2026-03-01T12:00:00.123Z")]
    NoTime,
    /// The time is in the future, so a clock is wrong.
    #[error("is more than an hour ahead of the clock of the log intake")]
    Ahead,
    /// The event is older than the retention.
    #[error("is more than fourteen days in the past")]
    TooOld,
    /// The value holds a character that an id may not hold.
    #[error("must consist of visible ASCII characters")]
    NoId,
    /// The id needs a time beside it.
    #[error(
        "needs an `@timestamp` beside it: sent again on another day without one, the event would be stored twice"
    )]
    NeedsTime,
    /// Another event of the request has the same id.
    #[error("is also that of event {0}, and one of them would replace the other")]
    Again(usize),
    /// The fields hold too many values.
    #[error("holds more than {FIELDS_MAX} values")]
    TooMany,
    /// The values are nested too deep.
    #[error("is nested deeper than {FIELDS_DEPTH_MAX} levels")]
    TooDeep,
    /// The text is no valid name.
    #[error(
        "is no valid name: a letter or digit, then letters, digits, '_', '-' and '.', {NAME_BYTES_MAX} at most"
    )]
    NoName,
    /// The whole event is too long.
    #[error("is longer than {0} bytes in total")]
    EventTooLong(usize),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            "" => write!(f, "it {}", self.why),
            field => write!(f, "`{field}` {}", self.why),
        }
    }
}

impl Fault {
    /// Maximum number of characters of a field's name in a message.
    const FIELD_CHARS: usize = 100;

    pub(super) fn new(field: &str, why: Why) -> Self {
        let field = field.chars().filter(|c| !c.is_control()).take(Self::FIELD_CHARS).collect();
        Self { field, why }
    }
}

/// Parses the events in `documents`.
///
/// # Errors
///
/// Returns the first invalid event.
pub fn events(documents: Vec<Value>, now: Timestamp) -> Result<Vec<Event>, Invalid> {
    let mut ids: BTreeMap<String, usize> = BTreeMap::new();
    let mut read = Vec::with_capacity(documents.len());
    for (event, document) in (1..).zip(documents) {
        let invalid = |fault| Invalid { event, fault };
        let checked = Event::read(document, now).map_err(invalid)?;
        if let Some(id) = &checked.id
            && let Some(first) = ids.insert(id.clone(), event)
        {
            return Err(invalid(Fault::new("id", Why::Again(first))));
        }
        read.push(checked);
    }
    Ok(read)
}

impl Event {
    /// Validates `document`.
    pub fn read(document: Value, now: Timestamp) -> Result<Self, Fault> {
        let Value::Object(mut document) = document else { return Err(Fault::new("", Why::NoObject)) };
        let mut take = |name: &str| document.remove(name).filter(|value| !value.is_null());
        let event = Self {
            at: take("@timestamp").map(|value| time(&value, now)).transpose()?,
            id: take("id").map(id).transpose()?,
            level: take("level").map(|value| level(&value)).transpose()?,
            logger: take("logger").map(|value| text("logger", value, TEXT_BYTES_MAX)).transpose()?,
            version: take("version").map(|value| text("version", value, TEXT_BYTES_MAX)).transpose()?,
            fields: take("fields").map(fields).transpose()?.unwrap_or_default(),
            message: match take("message") {
                Some(value) => text("message", value, MESSAGE_BYTES_MAX)?,
                None => return Err(Fault::new("message", Why::Missing)),
            },
        };
        if let Some(name) = document.keys().next() {
            let why = if RESERVED.contains(&name.as_str()) { Why::Reserved } else { Why::NotKnown };
            return Err(Fault::new(name, why));
        }
        if event.id.is_some() && event.at.is_none() {
            return Err(Fault::new("id", Why::NeedsTime));
        }
        Ok(event)
    }
}

fn text(field: &str, value: Value, most: usize) -> Result<String, Fault> {
    match value {
        Value::String(text) if text.is_empty() => Err(Fault::new(field, Why::Missing)),
        Value::String(text) if text.len() > most => Err(Fault::new(field, Why::TooLong(most))),
        Value::String(text) => Ok(text),
        _ => Err(Fault::new(field, Why::NoText)),
    }
}

fn id(value: Value) -> Result<String, Fault> {
    let id = text("id", value, ID_BYTES_MAX)?;
    if id.bytes().all(|byte| byte.is_ascii_graphic()) { Ok(id) } else { Err(Fault::new("id", Why::NoId)) }
}

fn level(value: &Value) -> Result<Level, Fault> {
    let name = value.as_str().unwrap_or_default();
    name.parse().map_err(|_| Fault::new("level", Why::NoLevel))
}

fn time(value: &Value, now: Timestamp) -> Result<Timestamp, Fault> {
    let fault = |why| Fault::new("@timestamp", why);
    let text = value.as_str().ok_or_else(|| fault(Why::NoText))?;
    let at = rfc_3339(text).ok_or_else(|| fault(Why::NoTime))?;
    match at.duration_since(now) {
        ahead if ahead > AHEAD_MAX => Err(fault(Why::Ahead)),
        ahead if -ahead > AGE_MAX => Err(fault(Why::TooOld)),
        _ => Ok(at),
    }
}

/// Parses a time in the form of RFC 3339, which is narrower than the form of the parser:
/// `2026-03-01T12:00:00`, perhaps a fraction, and `Z` or an offset in hours and minutes.
/// <https://www.rfc-editor.org/rfc/rfc3339#section-5.6>
fn rfc_3339(text: &str) -> Option<Timestamp> {
    let shape: Vec<u8> = text.bytes().map(|byte| if byte.is_ascii_digit() { b'0' } else { byte }).collect();
    let rest = shape.strip_prefix(b"0000-00-00T00:00:00")?;
    let rest = match rest.strip_prefix(b".") {
        Some(fraction) => {
            let digits = fraction.iter().take_while(|byte| **byte == b'0').count();
            fraction.get(digits..).filter(|_| (1..=9).contains(&digits))?
        }
        None => rest,
    };
    let ends = matches!(rest, b"Z" | b"+00:00" | b"-00:00");
    ends.then(|| text.parse().ok())?
}

/// Validates the value of `fields`: values, lists of values and objects, each within its bounds.
fn fields(value: Value) -> Result<Map<String, Value>, Fault> {
    let Value::Object(fields) = value else { return Err(Fault::new("fields", Why::NoObject)) };
    let mut count = 0;
    judge("fields", &fields, 1, &mut count)?;
    Ok(fields)
}

fn judge(path: &str, fields: &Map<String, Value>, depth: usize, count: &mut usize) -> Result<(), Fault> {
    for (name, value) in fields {
        let path = format!("{path}.{name}");
        if !is_name(name) {
            return Err(Fault::new(&path, Why::NoName));
        }
        judge_value(&path, value, depth, count)?;
    }
    Ok(())
}

fn judge_value(path: &str, value: &Value, depth: usize, count: &mut usize) -> Result<(), Fault> {
    if depth > FIELDS_DEPTH_MAX {
        return Err(Fault::new(path, Why::TooDeep));
    }
    *count += 1;
    if *count > FIELDS_MAX {
        return Err(Fault::new("fields", Why::TooMany));
    }
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
        Value::String(text) if text.len() > VALUE_BYTES_MAX => {
            Err(Fault::new(path, Why::TooLong(VALUE_BYTES_MAX)))
        }
        Value::String(_) => Ok(()),
        Value::Array(items) => items.iter().try_for_each(|item| judge_value(path, item, depth + 1, count)),
        Value::Object(inner) => judge(path, inner, depth + 1, count),
    }
}

/// Returns true if every later stage reads a name in the same way: Logstash takes brackets for a path.
fn is_name(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}
