//! What a request is answered, and what a client should make of it.

use super::{Invalid, Malformed, TooLarge};
use jiff::Timestamp;
use serde_json::{Value, json};

/// After how many seconds a request is worth repeating that the broker did not acknowledge.
const AFTER_THE_BROKER: u64 = 10;

/// After how many seconds one is that failed here for another reason.
const AFTER_A_FAILURE: u64 = 30;

/// What a request is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IngestResponse {
    /// The broker acknowledged every event.
    Accepted {
        /// How many there were.
        events: usize,
    },
    /// Not one event counts.
    Refused(Refused),
}

/// Why not one event of a request counts. The sentences repeat nothing of an event but a field's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is nothing at this path.
    #[error("there is nothing here; events are posted to {}", super::PATH)]
    NoSuchPath,
    /// Another method than POST.
    #[error("events are sent with POST")]
    Method,
    /// A body that is neither JSON nor lines of it.
    #[error("the Content-Type must be application/json or application/x-ndjson, in UTF-8")]
    MediaType,
    /// A body that is compressed in another way than gzip, or as JSON.
    #[error("the Content-Encoding must be none; or gzip, and then the Content-Type application/x-ndjson")]
    Encoding,
    /// Too much at once.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// No key, or none that is known. Which of the two, and what is wrong with it, is nobody's business.
    #[error("send a key that is known: Authorization: Bearer lsk_…")]
    Unknown,
    /// The key was replaced by another one.
    #[error("this key was replaced by another one, and is over since {0}")]
    Retired(Timestamp),
    /// The key was revoked.
    #[error("this key was revoked")]
    Revoked,
    /// The application sends too much.
    #[error("this application sends more than it may; send this again after {seconds} seconds")]
    TooMany {
        /// After how long there will be room for this request.
        seconds: u64,
    },
    /// The body cannot be read.
    #[error("{0}")]
    Malformed(Malformed),
    /// An event is not one that is taken.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The broker has not acknowledged every event in time. It may have some.
    #[error("the events are not stored for certain; send them again, with the same ids")]
    NotAcknowledged,
    /// Something failed here.
    #[error("not now; send this again later")]
    Unavailable,
}

/// Why a request is refused, in the words of the function's metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The request is wrong.
    Request,
    /// The key is.
    Key,
    /// There are too many events.
    Rate,
    /// The broker takes nothing.
    Broker,
    /// The door itself is broken.
    Failure,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Reason; 5] = [Self::Request, Self::Key, Self::Rate, Self::Broker, Self::Failure];

    /// The metric that counts requests refused for it.
    pub fn metric(self) -> &'static str {
        match self {
            Self::Request => "RefusedByRequest",
            Self::Key => "RefusedByKey",
            Self::Rate => "RefusedByRate",
            Self::Broker => "RefusedByBroker",
            Self::Failure => "RefusedByFailure",
        }
    }
}

impl Refused {
    /// The HTTP status.
    /// <https://www.rfc-editor.org/rfc/rfc9110#name-status-codes>
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

    /// After how many seconds the same request is worth repeating; nothing if it never is.
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

    /// Why, for the metrics.
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
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::Accepted { .. } => 202,
            Self::Refused(refused) => refused.status(),
        }
    }

    /// The headers that this answer has and others have not.
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

    /// The body.
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
