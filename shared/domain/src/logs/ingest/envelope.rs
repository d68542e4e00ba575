//! The envelope of an event. A load balancer's line has the same envelope (`docs/elb-logs.md`), so consumers
//! behind the broker need to know one format.

mod ecs;
mod plain;

use super::KeyId;
use super::event::{Event, Fault, Invalid, Why};
use crate::logs::Fields;
use jiff::Timestamp;
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

/// Returns `events` in their envelopes, one JSON document a line.
///
/// # Errors
///
/// Returns the first event that is too long.
pub fn lines(
    events: &[Event],
    fields: Fields,
    labels: &Labels,
    origin: Origin<'_>,
) -> Result<Vec<u8>, Invalid> {
    let mut lines = Vec::new();
    for (number, event) in (1..).zip(events) {
        let line = match fields {
            Fields::Ecs => serde_json::to_vec(&ecs::envelope(event, number, labels, origin)),
            Fields::Plain => serde_json::to_vec(&plain::envelope(event, number, labels, origin)),
        };
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
