//! The event of a line: one line of JSON.

use crate::format::Format;
use crate::line::{Parsed, Value};
use base64::Engine;
use sha2::{Digest, Sha256};

/// The object that lines are read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Name of its bucket.
    pub bucket: String,
    /// Key of the object, not URL-encoded.
    pub key: String,
    /// Identity of the bytes under the key: the version id, or the ETag in a bucket without versions.
    pub version: String,
}

impl Source {
    /// Returns the prefix of each event's id: a hash of key and version. The line's number follows, so the
    /// same line of the same object has the same id in every delivery.
    pub fn id_prefix(&self) -> String {
        // No key holds a NUL, so no two pairs have the same input.
        let digest =
            Sha256::new().chain_update(&self.key).chain_update([0]).chain_update(&self.version).finalize();
        format!("{}-", hex::encode(&digest[..16]))
    }
}

/// Labels of the load balancer from the operator. An absent label is absent in the events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// Component that owns the load balancer.
    pub component: Option<String>,
    /// Application behind the load balancer.
    pub application: Option<String>,
    /// Environment: `ci`, `production`.
    pub environment: Option<String>,
    /// Type of the events, by which Logstash selects their index.
    pub event_type: Option<String>,
}

/// Constant parts of every event of one object, as JSON. An event consists of the parts in order, with the
/// named values in between.
pub(crate) struct Template {
    /// Part before `@timestamp`.
    pub before_time: Vec<u8>,
    /// Part before the line number that ends `id`.
    pub before_id_line: Vec<u8>,
    /// Part before the day of `index_date`.
    pub before_date: Vec<u8>,
    /// Part before `source.line`.
    pub before_line: Vec<u8>,
    /// Part before the columns.
    pub before_columns: Vec<u8>,
}

impl Template {
    pub fn new(source: &Source, labels: &Labels) -> Self {
        let mut before_line = br#"","#.to_vec();
        let labels = [
            ("type", &labels.event_type),
            ("component", &labels.component),
            ("application", &labels.application),
            ("environment", &labels.environment),
        ];
        for (name, label) in labels {
            if let Some(label) = label {
                before_line.extend_from_slice(format!("\"{name}\":").as_bytes());
                string(&mut before_line, label.as_bytes());
                before_line.push(b',');
            }
        }
        before_line.extend_from_slice(br#""source":{"bucket":"#);
        string(&mut before_line, source.bucket.as_bytes());
        before_line.extend_from_slice(br#","key":"#);
        string(&mut before_line, source.key.as_bytes());
        before_line.extend_from_slice(br#","version":"#);
        string(&mut before_line, source.version.as_bytes());
        before_line.extend_from_slice(br#","line":"#);
        Self {
            before_time: br#"{"@timestamp":""#.to_vec(),
            before_id_line: format!(r#"Z","id":"{}"#, source.id_prefix()).into_bytes(),
            before_date: br#"","index_date":""#.to_vec(),
            before_line,
            before_columns: br#"},"elb":{"format":""#.to_vec(),
        }
    }
}

/// Writes the event of a parsed line on the plain path.
pub(crate) fn write(
    out: &mut Vec<u8>,
    template: &Template,
    format: Format,
    number: u64,
    line: &[u8],
    parsed: &Parsed<'_>,
) {
    let number = number.to_string();
    for piece in [
        &template.before_time,
        parsed.time.text,
        &template.before_id_line,
        number.as_bytes(),
        &template.before_date,
        &parsed.time.index_date(),
        &template.before_line,
        number.as_bytes(),
        &template.before_columns,
        format.name().as_bytes(),
        b"\"",
    ] {
        out.extend_from_slice(piece);
    }
    for (name, value) in &parsed.fields {
        out.extend_from_slice(format!(",\"{name}\":").as_bytes());
        match value {
            Value::Text(text) => string(out, text),
            Value::Number(digits) => out.extend_from_slice(digits),
        }
    }
    if !parsed.extra.is_empty() {
        out.extend_from_slice(br#","extra":["#);
        for (index, text) in parsed.extra.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            string(out, text);
        }
        out.push(b']');
    }
    out.extend_from_slice(br#"},"message":"#);
    string(out, line);
    if str::from_utf8(line).is_err() {
        out.extend_from_slice(br#","message_base64":""#);
        out.extend_from_slice(base64::engine::general_purpose::STANDARD.encode(line).as_bytes());
        out.push(b'"');
    }
    out.extend_from_slice(b"}\n");
}

/// Writes bytes as a JSON string. Invalid UTF-8 becomes U+FFFD.
fn string(out: &mut Vec<u8>, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    serde_json::to_writer(out, &text).expect("memory takes every byte, and a string is always JSON");
}
