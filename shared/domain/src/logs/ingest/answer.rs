//! Responses to a request, and the time after which a client may retry.

use super::{Invalid, Malformed, TooLarge};
use crate::model::metric::Metric;
use jiff::Timestamp;
use serde_json::{Value, json};
use strum::VariantArray;

/// Seconds until a retry of a request that the broker did not acknowledge.
const AFTER_THE_BROKER: u64 = 10;

/// Seconds until a retry of a request that failed in the log intake for another reason.
const AFTER_A_FAILURE: u64 = 30;

/// Response to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IngestResponse {
    /// The broker acknowledged every event.
    Accepted {
        /// Number of events.
        events: usize,
    },
    /// No event of the request counts.
    Refused(Refused),
}

/// Reason why no event of a request counts. The messages repeat no content of an event except a field's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The path is unknown.
    #[error("there is nothing here; events are posted to {}", super::PATH)]
    NoSuchPath,
    /// The method is not POST.
    #[error("events are sent with POST")]
    Method,
    /// The body is neither JSON nor lines of JSON.
    #[error("the Content-Type must be application/json or application/x-ndjson, in UTF-8")]
    MediaType,
    /// The body is compressed with an algorithm other than gzip, or as JSON.
    #[error("the Content-Encoding must be none; or gzip, and then the Content-Type application/x-ndjson")]
    Encoding,
    /// The request exceeds a limit.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// The key is absent or unknown. The response does not reveal which of the two, nor the fault of the key.
    #[error("send a known key: Authorization: Bearer lsk_…")]
    Unknown,
    /// Another key replaced this key.
    #[error("this key was replaced by another one and is invalid since {0}")]
    Retired(Timestamp),
    /// The key was revoked.
    #[error("this key was revoked")]
    Revoked,
    /// The application exceeds its rate.
    #[error("this application exceeds its rate; send this again after {seconds} seconds")]
    TooMany {
        /// Seconds until the rate admits this request.
        seconds: u64,
    },
    /// The body cannot be parsed.
    #[error("{0}")]
    Malformed(Malformed),
    /// An event is invalid.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The broker has not acknowledged every event in time. It may have some of them.
    #[error("the events may not be stored; send them again with the same ids")]
    NotAcknowledged,
    /// The log intake failed.
    #[error("the log intake is not available now; send this again later")]
    Unavailable,
}

/// Reason of a refusal, in the words of the function's metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, VariantArray)]
pub enum Reason {
    /// The request is wrong.
    Request,
    /// The key is wrong.
    Key,
    /// The application exceeds its rate.
    Rate,
    /// The broker accepts no events.
    Broker,
    /// The log intake itself failed.
    Failure,
}

impl Reason {
    /// Every reason.
    pub const ALL: &[Reason] = Reason::VARIANTS;

    /// Returns the metric that counts requests refused for this reason.
    pub fn metric(self) -> Metric {
        match self {
            Self::Request => Metric::RefusedByRequest,
            Self::Key => Metric::RefusedByKey,
            Self::Rate => Metric::RefusedByRate,
            Self::Broker => Metric::RefusedByBroker,
            Self::Failure => Metric::RefusedByFailure,
        }
    }
}

impl Refused {
    /// Returns the HTTP status. <https://www.rfc-editor.org/rfc/rfc9110#name-status-codes>
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) | Self::Invalid(_) => 400,
            Self::Unknown => 401,
            Self::Retired(_) | Self::Revoked => 403,
            Self::NoSuchPath => 404,
            Self::Method => 405,
            Self::TooLarge(_) => 413,
            Self::MediaType | Self::Encoding => 415,
            Self::TooMany { .. } => 429,
            Self::NotAcknowledged | Self::Unavailable => 503,
        }
    }

    /// Returns the seconds until a retry of the same request; `None` if it always fails.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::TooMany { seconds } => Some(*seconds),
            Self::NotAcknowledged => Some(AFTER_THE_BROKER),
            Self::Unavailable => Some(AFTER_A_FAILURE),
            Self::NoSuchPath
            | Self::Method
            | Self::MediaType
            | Self::Encoding
            | Self::TooLarge(_)
            | Self::Unknown
            | Self::Retired(_)
            | Self::Revoked
            | Self::Malformed(_)
            | Self::Invalid(_) => None,
        }
    }

    /// Returns the reason for the metrics.
    pub fn reason(&self) -> Reason {
        match self {
            Self::NoSuchPath
            | Self::Method
            | Self::MediaType
            | Self::Encoding
            | Self::TooLarge(_)
            | Self::Malformed(_)
            | Self::Invalid(_) => Reason::Request,
            Self::Unknown | Self::Retired(_) | Self::Revoked => Reason::Key,
            Self::TooMany { .. } => Reason::Rate,
            Self::NotAcknowledged => Reason::Broker,
            Self::Unavailable => Reason::Failure,
        }
    }
}

impl IngestResponse {
    /// Returns the HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::Accepted { .. } => 202,
            Self::Refused(refused) => refused.status(),
        }
    }

    /// Returns the headers that are specific to this response.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let Self::Refused(refused) = self else { return Vec::new() };
        let of_its_own = match refused {
            Refused::Method => Some(("allow", "POST".to_owned())),
            Refused::Unknown => Some(("www-authenticate", "Bearer".to_owned())),
            _ => None,
        };
        let retry = refused.retry_after().map(|seconds| ("retry-after", seconds.to_string()));
        of_its_own.into_iter().chain(retry).collect()
    }

    /// Returns the body.
    pub fn body(&self) -> Value {
        match self {
            Self::Accepted { events } => json!({ "accepted": events }),
            Self::Refused(Refused::Invalid(invalid)) => json!({
                "error": invalid.to_string(), "event": invalid.event, "field": invalid.fault.field,
            }),
            Self::Refused(refused) => json!({ "error": refused.to_string() }),
        }
    }
}
