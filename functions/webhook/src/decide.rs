//! Decisions about a request, step by step. Nothing here reads, writes or waits.
//!
//! The order of the steps is fixed: method, address, secret, size, signature, and only then the content of the body. A
//! caller without the secret learns nothing from a later step.

use jiff::Timestamp;
use lockstep_domain::delivery::webhook::{
    DeliveryId, MAX_BODY_BYTES, Push, WebhookEvent, parse_push, verify_signature,
};
use lockstep_domain::logs::http_body::Body;
use lockstep_domain::model::ids::RepositoryId;
use lockstep_domain::model::token::client_token;
use lockstep_domain::records::{Repository, WebhookDelivery, WebhookDeliveryState};
use serde_json::{Value, json};

/// The provider whose webhooks the function understands.
pub const PROVIDER: &str = "github";

/// The reply to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The push is recorded and its release is started.
    Accepted {
        /// Id of the webhook delivery.
        delivery: String,
        /// Name of its execution.
        execution: String,
    },
    /// GitHub tested the webhook.
    Pong,
    /// The webhook delivery is authentic, and releases nothing.
    Ignored {
        /// Reason as a sentence.
        reason: String,
    },
    /// The request is refused.
    Refused {
        /// The HTTP status.
        status: u16,
        /// Reason as a sentence that repeats nothing of the request.
        error: String,
    },
}

impl Reply {
    /// Returns the HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::Accepted { .. } => 202,
            Self::Pong | Self::Ignored { .. } => 200,
            Self::Refused { status, .. } => *status,
        }
    }

    /// Returns the reason of a refusal as the dimension `reason` has it; `None` if the request is not refused.
    pub fn refusal(&self) -> Option<&'static str> {
        match self {
            Self::Accepted { .. } | Self::Pong | Self::Ignored { .. } => None,
            Self::Refused { status: 401, .. } => Some("signature"),
            Self::Refused { status: 404, .. } => Some("hook"),
            Self::Refused { status: 400..=499, .. } => Some("request"),
            Self::Refused { .. } => Some("unavailable"),
        }
    }

    /// Returns the body.
    pub fn body(&self) -> Value {
        match self {
            Self::Accepted { delivery, execution } => json!({ "delivery": delivery, "execution": execution }),
            Self::Pong => json!({ "result": "pong" }),
            Self::Ignored { reason } => json!({ "result": "ignored", "reason": reason }),
            Self::Refused { error, .. } => json!({ "error": error }),
        }
    }
}

fn refused(status: u16, error: impl Into<String>) -> Reply {
    Reply::Refused { status, error: error.into() }
}

/// Returns the refusal for an unknown webhook. It hides which part of a guess was wrong.
fn unknown_hook() -> Reply {
    refused(404, "there is no such hook")
}

/// Returns the repository that the URL selects.
pub fn address(method: &str, path: &str) -> Result<RepositoryId, Reply> {
    if method != "POST" {
        return Err(refused(405, "webhooks are sent with POST"));
    }
    path.strip_prefix("/hooks/").and_then(|id| id.parse().ok()).ok_or_else(unknown_hook)
}

/// Returns the raw bytes of a body if `signature` proves that the sender knows `secret`.
pub fn authenticate(secret: Option<&str>, signature: Option<&str>, body: Body<'_>) -> Result<Vec<u8>, Reply> {
    let secret = secret.filter(|text| !text.is_empty()).ok_or_else(unknown_hook)?;
    if body.sent_bytes() > MAX_BODY_BYTES {
        return Err(refused(413, format!("the body is larger than {} MiB", MAX_BODY_BYTES >> 20)));
    }
    let raw = body.bytes();
    let raw =
        raw.ok_or_else(|| refused(401, "the body cannot be read, so its signature cannot be verified"))?;
    match verify_signature(secret.as_bytes(), signature, &raw) {
        Ok(()) => Ok(raw.into_owned()),
        Err(unverified) => Err(refused(401, unverified.to_string())),
    }
}

/// A push, and the webhook delivery that reported it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Id of the webhook delivery.
    pub delivery: DeliveryId,
    /// The push.
    pub push: Push,
}

/// Reads the push of an authentic webhook delivery. `delivery` and `event` are GitHub's headers.
///
/// # Errors
/// The final reply if the webhook delivery releases nothing or cannot be read.
pub fn read(delivery: Option<&str>, event: Option<&str>, body: &[u8]) -> Result<Delivered, Reply> {
    let delivery = delivery.ok_or_else(|| refused(400, "the header X-GitHub-Delivery is missing"))?;
    let delivery: DeliveryId =
        delivery.parse().map_err(|error| refused(400, format!("the header X-GitHub-Delivery is {error}")))?;
    let event = event.ok_or_else(|| refused(400, "the header X-GitHub-Event is missing"))?;
    match parse_push(event, body) {
        Ok(WebhookEvent::Push(push)) => Ok(Delivered { delivery, push }),
        Ok(WebhookEvent::Ping) => Err(Reply::Pong),
        Ok(WebhookEvent::Ignored { reason }) => Err(Reply::Ignored { reason }),
        Err(problem) => Err(refused(422, problem.message)),
    }
}

/// Returns the record of the webhook delivery. `repository` is the record behind the webhook `id`.
pub fn accept(
    id: &RepositoryId,
    repository: Option<&Repository>,
    delivered: &Delivered,
    now: Timestamp,
) -> Result<WebhookDelivery, Reply> {
    let Some(repository) = repository else {
        return Err(refused(404, format!("{id} is not registered; run `lockstep repositories add`")));
    };
    if !delivered.push.repository.as_str().eq_ignore_ascii_case(repository.id.as_str()) {
        return Err(refused(422, format!("the push is to another repository than the hook's, {id}")));
    }
    let delivery = delivered.delivery.as_str();
    Ok(WebhookDelivery {
        provider: PROVIDER.to_owned(),
        delivery: delivery.to_owned(),
        repository: repository.id.clone(),
        reference: delivered.push.reference(),
        commit: delivered.push.after.clone(),
        pusher: delivered.push.account.clone(),
        state: WebhookDeliveryState::Accepted,
        execution: client_token(PROVIDER, delivery, 1),
        end: None,
        accepted_at: now,
        finished_at: None,
    })
}

/// Work that remains for a recorded webhook delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Start its execution: the invocation that accepted it may have died before.
    Start,
    /// None: its execution was started.
    Nothing,
}

/// Returns the work that remains for `stored`, the record in the ledger, when `asked` arrives under the same id.
pub fn resume(stored: &WebhookDelivery, asked: &WebhookDelivery) -> Result<Next, Reply> {
    let same = stored.repository == asked.repository
        && stored.reference == asked.reference
        && stored.commit == asked.commit;
    if !same {
        return Err(refused(409, "this delivery is known with other content"));
    }
    Ok(match stored.state {
        WebhookDeliveryState::Accepted => Next::Start,
        WebhookDeliveryState::Started | WebhookDeliveryState::Finished => Next::Nothing,
    })
}

/// Returns the reply to a push. It is the same for each copy of the webhook delivery.
pub fn accepted(event: &WebhookDelivery) -> Reply {
    Reply::Accepted { delivery: event.delivery.clone(), execution: event.execution.clone() }
}
