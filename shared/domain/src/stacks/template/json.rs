//! Reader of JSON with line numbers. `serde_json` checks the text first, so that the reader itself only divides it.

use super::event::{Event, EventData, Lines, Scalar, Sink, Style};
use super::node::Fault;

/// Reads `text` and passes its events to `sink`.
pub(super) fn read(text: &str, sink: &mut impl Sink) -> Result<(), Fault> {
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
        let line = u32::try_from(error.line()).unwrap_or(u32::MAX);
        return Err(Fault::new(line, format!("this is not JSON: {error}")));
    }
    let mut line = 1;
    sink.event(Event { line, data: EventData::Document })?;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (length, data) = match c {
            '{' => (1, Some(EventData::MapStart(None))),
            '[' => (1, Some(EventData::ListStart(None))),
            '}' | ']' => (1, Some(EventData::End)),
            '"' => string(rest),
            ',' | ':' | ' ' | '\t' | '\r' => (1, None),
            '\n' => {
                line += 1;
                (1, None)
            }
            _ => word(rest),
        };
        if let Some(data) = data {
            sink.event(Event { line, data })?;
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(())
}

/// Returns the length of the string at the start of `rest`, and its event.
fn string(rest: &str) -> (usize, Option<EventData>) {
    let mut length = 1;
    let bytes = rest.as_bytes();
    while bytes.get(length).is_some_and(|byte| *byte != b'"') {
        length += if bytes[length] == b'\\' { 2 } else { 1 };
    }
    length = (length + 1).min(rest.len());
    let text = serde_json::from_str(&rest[..length]).unwrap_or_default();
    (length, Some(scalar(text, Style::Quoted)))
}

/// Returns the length of the number, truth or null at the start of `rest`, and its event.
fn word(rest: &str) -> (usize, Option<EventData>) {
    let end = rest.find(|c: char| c.is_ascii_whitespace() || ",:]}".contains(c)).unwrap_or(rest.len());
    (end, Some(scalar(rest[..end].to_owned(), Style::Json)))
}

fn scalar(text: String, style: Style) -> EventData {
    EventData::Scalar(Scalar { text, tag: None, style, lines: Lines::default() })
}
