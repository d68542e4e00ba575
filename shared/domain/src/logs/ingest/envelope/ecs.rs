//! The envelope in the Elastic Common Schema.

use super::{Labels, Origin, document_id};
use crate::logs::ECS_VERSION;
use crate::logs::ingest::KeyId;
use crate::logs::ingest::event::{Event, Level};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

#[derive(Serialize)]
pub(super) struct Envelope<'a> {
    #[serde(rename = "@timestamp")]
    at: Timestamp,
    ecs: Schema,
    event: About<'a>,
    service: Service<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<Component<'a>>,
    http: Http<'a>,
    lockstep: Lockstep<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<Log<'a>>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    fields: &'a Map<String, Value>,
    message: &'a str,
}

#[derive(Serialize)]
struct Schema {
    version: &'static str,
}

#[derive(Serialize)]
struct About<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset: Option<&'a str>,
    /// Time of the request that brought the event.
    created: Timestamp,
    id: String,
    /// Position in the request.
    sequence: usize,
}

#[derive(Serialize)]
struct Service<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
}

#[derive(Serialize)]
struct Component<'a> {
    component: &'a str,
}

#[derive(Serialize)]
struct Http<'a> {
    request: Request<'a>,
}

#[derive(Serialize)]
struct Request<'a> {
    id: &'a str,
}

/// Fields that the schema does not name.
#[derive(Serialize)]
struct Lockstep<'a> {
    key_id: &'a KeyId,
}

#[derive(Serialize)]
struct Log<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<Level>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logger: Option<&'a str>,
}

/// Returns an event in its envelope.
pub(super) fn envelope<'a>(
    event: &'a Event,
    number: usize,
    labels: &'a Labels,
    origin: Origin<'a>,
) -> Envelope<'a> {
    let (level, logger) = (event.level, event.logger.as_deref());
    Envelope {
        at: event.at.unwrap_or(origin.received_at),
        ecs: Schema { version: ECS_VERSION },
        event: About {
            kind: "event",
            dataset: labels.event_type.as_deref(),
            created: origin.received_at,
            id: document_id(event, number, origin),
            sequence: number,
        },
        service: Service {
            name: origin.key.application.as_str(),
            environment: labels.environment.as_deref(),
            version: event.version.as_deref(),
        },
        labels: labels.component.as_deref().map(|component| Component { component }),
        http: Http { request: Request { id: origin.request } },
        lockstep: Lockstep { key_id: origin.key },
        log: (level.is_some() || logger.is_some()).then_some(Log { level, logger }),
        fields: &event.fields,
        message: &event.message,
    }
}
