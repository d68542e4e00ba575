//! The envelope under Lockstep's own names.

use super::{Labels, Origin, document_id};
use crate::logs::ingest::KeyId;
use crate::logs::ingest::event::{Event, Level};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

#[derive(Serialize)]
pub(super) struct Envelope<'a> {
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

/// Returns an event in its envelope.
pub(super) fn envelope<'a>(
    event: &'a Event,
    number: usize,
    labels: &'a Labels,
    origin: Origin<'a>,
) -> Envelope<'a> {
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
