//! What an event of an application may hold. Whatever is not named here is refused, so that nothing an application sends can
//! pass for what the front door says, or upset the index that it goes into.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;

/// The most bytes of `message`.
pub const MESSAGE_BYTES_MAX: usize = 32 << 10;

/// The most bytes of `id`.
pub const ID_BYTES_MAX: usize = 128;

/// The most bytes of `logger` and of `version`.
pub const TEXT_BYTES_MAX: usize = 256;

/// The most values below `fields`, however deep.
pub const FIELDS_MAX: usize = 100;

/// How deep `fields` may be nested; its own values are the first level.
pub const FIELDS_DEPTH_MAX: usize = 4;

/// The most bytes of a name below `fields`.
pub const NAME_BYTES_MAX: usize = 128;

/// The most bytes of a text below `fields`: what an index can hold as one term.
pub const VALUE_BYTES_MAX: usize = 8 << 10;

/// How far ahead of the front door's clock an event may be: clocks of desktops are wrong, but not by days.
pub const AHEAD_MAX: SignedDuration = SignedDuration::from_hours(1);

/// How old an event may be. An older one would make an index of its own, which is deleted as soon as it is there.
pub const AGE_MAX: SignedDuration = SignedDuration::from_hours(14 * 24);

/// The names that the front door sets itself, or that what comes after it does.
const RESERVED: [&str; 13] = [
    "@metadata",
    "@version",
    "application",
    "component",
    "elb",
    "environment",
    "event",
    "host",
    "index_date",
    "received_at",
    "source",
    "tags",
    "type",
];

/// How serious an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Every step.
    Trace,
    /// For whoever looks for a mistake.
    Debug,
    /// What happened.
    Info,
    /// What should not have.
    Warn,
    /// What failed.
    Error,
    /// What the application did not survive.
    Fatal,
}

impl Level {
    /// Every level.
    pub const ALL: [Level; 6] = [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Fatal];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }
}

/// An event as an application sends it, judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// `@timestamp`: when it happened, if the application says.
    pub at: Option<Timestamp>,
    /// `id`: what makes it the same event when it is sent again.
    pub id: Option<String>,
    /// `level`.
    pub level: Option<Level>,
    /// `logger`: the part of the application that speaks.
    pub logger: Option<String>,
    /// `version`: of the application.
    pub version: Option<String>,
    /// `fields`: whatever else the application has to say.
    pub fields: Map<String, Value>,
    /// `message`.
    pub message: String,
}

/// An event that is not taken, and with it the whole request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {event}: {fault}")]
pub struct Invalid {
    /// Which one, counted from 1.
    pub event: usize,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The name of the field, with its path below `fields`, cut to a readable length; empty if it is the whole event.
    pub field: String,
    /// What is wrong with it.
    pub why: Why,
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// It is no object.
    #[error("must be an object")]
    NoObject,
    /// It is no text.
    #[error("must be a text")]
    NoText,
    /// It has to be there.
    #[error("is missing, or empty")]
    Missing,
    /// The front door sets it.
    #[error("is not for a client to set")]
    Reserved,
    /// Nobody knows it.
    #[error("is not known; what is your own belongs below `fields`")]
    NotKnown,
    /// It is too long.
    #[error("is longer than {0} bytes")]
    TooLong(usize),
    /// It is no level.
    #[error("must be trace, debug, info, warn, error or fatal")]
    NoLevel,
    /// It is no time.
    #[error("must be a time as RFC 3339 writes it, such as 2026-03-01T12:00:00.123Z")]
    NoTime,
    /// Whatever clock says so is wrong.
    #[error("is more than an hour ahead of the clock here")]
    Ahead,
    /// It would be deleted at once.
    #[error("is more than fourteen days ago")]
    TooOld,
    /// It holds something else than an id does.
    #[error("must be of visible ASCII characters")]
    NoId,
    /// It needs a time beside it.
    #[error(
        "needs an `@timestamp` beside it: sent again on another day without one, the event would be stored twice"
    )]
    NeedsTime,
    /// Another event of the request has it.
    #[error("is that of event {0} too, and one of them would replace the other")]
    Again(usize),
    /// There are too many values.
    #[error("holds more than {FIELDS_MAX} values")]
    TooMany,
    /// They are too deep.
    #[error("is nested deeper than {FIELDS_DEPTH_MAX} levels")]
    TooDeep,
    /// A name is not one.
    #[error(
        "is no name: a letter or digit, then letters, digits, '_', '-' and '.', {NAME_BYTES_MAX} at most"
    )]
    NoName,
    /// All of it together is too long.
    #[error("is longer than {0} bytes in all")]
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
    /// The most characters of a field's name that are repeated.
    const FIELD_CHARS: usize = 100;

    pub(super) fn new(field: &str, why: Why) -> Self {
        let field = field.chars().filter(|c| !c.is_control()).take(Self::FIELD_CHARS).collect();
        Self { field, why }
    }
}

/// The events in `documents`: all of them, or the first that is wrong.
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
    /// Judges `document`.
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
    let level = Level::ALL.into_iter().find(|level| level.name() == name);
    level.ok_or_else(|| Fault::new("level", Why::NoLevel))
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

/// A time as RFC 3339 writes it, which is narrower than what the parser takes: `2026-03-01T12:00:00`, perhaps a fraction, and
/// `Z` or an offset in hours and minutes.
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

/// What is below `fields`: values, lists of values and objects, each within its bounds.
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

/// Whether a name means the same to everybody on the way: Logstash takes brackets for a path.
fn is_name(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}
