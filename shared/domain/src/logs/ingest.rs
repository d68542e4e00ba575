//! The log intake for desktop applications: the valid requests, the admitted callers, and the result of a
//! request.
//!
//! The order of the steps limits the cost of unauthenticated requests: address and size ([`form`]), then the
//! key ([`ApiKey`], [`authorize`]), then the rate ([`limit_rate`]), then the content of the body ([`documents`],
//! [`events`]), and only then the broker. Only an application is admitted. The envelope of its events
//! ([`lines`]) names the application, and no event can name another one. `docs/log-intake.md` describes the
//! responses.

mod answer;
mod application;
mod envelope;
mod event;
mod key;
mod rate;
mod request;

pub use answer::{IngestResponse, Reason, Refused};
pub use application::{Application, IssuedKey, KEYS_KEPT, KeyState, Unissued, Which, authorize};
pub use envelope::{EVENT_BYTES_MAX, Labels, Origin, lines};
pub use event::{
    AGE_MAX, AHEAD_MAX, Event, FIELDS_DEPTH_MAX, FIELDS_MAX, Fault, ID_BYTES_MAX, Invalid, Level,
    MESSAGE_BYTES_MAX, NAME_BYTES_MAX, TEXT_BYTES_MAX, VALUE_BYTES_MAX, Why, events,
};
pub use key::{ApiKey, KeyId, SECRET_BYTES, authenticate};
pub use rate::{Bucket, InvalidRate, Rate, RateDecision, limit_rate};
pub use request::{
    BODY_BYTES_MAX, EVENTS_MAX, Form, INFLATED_BYTES_MAX, Malformed, PATH, Request, TooLarge, documents, form,
};

#[cfg(test)]
mod tests;
