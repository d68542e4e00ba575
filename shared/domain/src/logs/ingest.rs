//! The front door for logs of desktop applications: what a request may be, who may send it, and what becomes of it.
//!
//! The order of the steps is a promise to whoever probes the door: address and size ([`form`]), then the key
//! ([`ApiKey`], [`admit`]), then the rate ([`take`]), then what the body says ([`documents`], [`events`]), and only then the
//! broker. Whoever is let in is an application; the envelope that its events travel in ([`lines`]) says so, and nothing in an
//! event can say otherwise. What a client sees is told in `docs/log-intake.md`.

mod answer;
mod application;
mod envelope;
mod event;
mod key;
mod rate;
mod request;

pub use answer::{IngestResponse, Reason, Refused};
pub use application::{Application, IssuedKey, KEYS_KEPT, KeyState, Unissued, Which, admit};
pub use envelope::{EVENT_BYTES_MAX, Labels, Origin, lines};
pub use event::{
    AGE_MAX, AHEAD_MAX, Event, FIELDS_DEPTH_MAX, FIELDS_MAX, Fault, ID_BYTES_MAX, Invalid, Level,
    MESSAGE_BYTES_MAX, NAME_BYTES_MAX, TEXT_BYTES_MAX, VALUE_BYTES_MAX, Why, events,
};
pub use key::{ApiKey, KeyId, SECRET_BYTES, presented};
pub use rate::{Bucket, InvalidRate, Rate, Taken, take};
pub use request::{
    BODY_BYTES_MAX, EVENTS_MAX, Form, INFLATED_BYTES_MAX, Malformed, PATH, Request, TooLarge, documents, form,
};

#[cfg(test)]
mod tests;
