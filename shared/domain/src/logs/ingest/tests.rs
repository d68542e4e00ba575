//! Tests of each step of the log intake, and of arbitrary input.

mod answer;
mod envelope;
mod event;
mod keys;
mod rate;
mod request;
mod unauthenticated;

use super::*;
use crate::logs::http_body::Body;
use crate::logs::{ECS_VERSION, Fields};
use crate::model::ids::ApplicationName;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

const NOW: &str = "2026-03-01T12:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn shop() -> ApplicationName {
    "shop".parse().unwrap()
}

fn post(body: Body<'_>) -> Request<'_> {
    let content_type = Some("application/json");
    Request { method: "POST", path: PATH, content_type, content_encoding: None, body }
}

fn text(text: &str) -> Body<'_> {
    Body { text, base64: false }
}

fn gzip(text: &[u8]) -> String {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    STANDARD.encode(encoder.finish().unwrap())
}

const JSON: Form = Form::Json;
const NDJSON: Form = Form::Ndjson;

fn labels() -> Labels {
    Labels {
        component: Some("desktop".into()),
        environment: Some("ci".into()),
        event_type: Some("desktop".into()),
    }
}

fn read(document: Value) -> Result<Event, Fault> {
    Event::read(document, now())
}

/// Returns a minimal event with one field added or changed.
fn event(field: &str, value: impl Into<Value>) -> Value {
    let mut event = json!({"message": "hello"});
    event[field] = value.into();
    event
}

fn later(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}
