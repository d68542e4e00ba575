//! The envelope of an event. A load balancer's line has the same envelope (`docs/elb-logs.md`), so consumers
//! behind the broker need to know one format.

use super::KeyId;
use super::event::{Event, Fault, Invalid, Level, Why};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// Maximum number of bytes of an event with its envelope.
pub const EVENT_BYTES_MAX: usize = 64 << 10;

/// Labels of every event, from the configuration of the component. A label that is not configured is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// Component that the applications belong to.
    pub component: Option<String>,
    /// Environment: `ci`, `production`.
    pub environment: Option<String>,
    /// Type of the events, which names their index.
    pub event_type: Option<String>,
}

/// Origin of the events of one request.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The admitted key, which names the application.
    pub key: &'a KeyId,
    /// Id of the request.
    pub request: &'a str,
    /// Time of the request.
    pub received_at: Timestamp,
}

#[derive(Serialize)]
struct Envelope<'a> {
    #[serde(rename = "@timestamp")]
    at: Timestamp,
    id: String,
    index_date: String,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    event_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<&'a str>,
    application: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<&'a str>,
    source: Source<'a>,
    received_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<Level>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logger: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    fields: &'a Map<String, Value>,
    message: &'a str,
}

#[derive(Serialize)]
struct Source<'a> {
    key_id: &'a KeyId,
    request: &'a str,
    number: usize,
}

/// Returns `events` in their envelopes, one JSON document a line.
///
/// # Errors
///
/// Returns the first event that is too long.
pub fn lines(events: &[Event], labels: &Labels, origin: Origin<'_>) -> Result<Vec<u8>, Invalid> {
    let mut lines = Vec::new();
    for (number, event) in (1..).zip(events) {
        let line = serde_json::to_vec(&envelope(event, number, labels, origin));
        let line = line.expect("memory takes every byte, and names of fields are texts");
        if line.len() > EVENT_BYTES_MAX {
            let fault = Fault::new("", Why::EventTooLong(EVENT_BYTES_MAX));
            return Err(Invalid { event: number, fault });
        }
        lines.extend_from_slice(&line);
        lines.push(b'\n');
    }
    Ok(lines)
}

fn envelope<'a>(event: &'a Event, number: usize, labels: &'a Labels, origin: Origin<'a>) -> Envelope<'a> {
    let at = event.at.unwrap_or(origin.received_at);
    Envelope {
        at,
        id: document_id(event, number, origin),
        index_date: at.strftime("%Y.%m.%d").to_string(),
        event_type: labels.event_type.as_deref(),
        component: labels.component.as_deref(),
        application: origin.key.application.as_str(),
        environment: labels.environment.as_deref(),
        source: Source { key_id: origin.key, request: origin.request, number },
        received_at: origin.received_at,
        level: event.level,
        logger: event.logger.as_deref(),
        version: event.version.as_deref(),
        fields: &event.fields,
        message: &event.message,
    }
}

/// Returns the id of the stored document. It contains a hash with the application's name, so no application
/// can name a document of another one. An event without an id has the same document id within this request
/// only.
fn document_id(event: &Event, number: usize, origin: Origin<'_>) -> String {
    let application = origin.key.application.as_str();
    let named = match &event.id {
        Some(id) => format!("{application}\0{id}"),
        // An id from a client holds no zero byte.
        None => format!("{application}\0\0{}\0{number}", origin.request),
    };
    hex::encode(&Sha256::digest(named)[..16])
}
