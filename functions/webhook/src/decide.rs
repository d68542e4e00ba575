//! Decisions about a request, step by step. Nothing here reads, writes or waits.
//!
//! The order of the steps is fixed: method and hook id, size, form of the signature, secret, signature, and only then the
//! content of the body. Every denial before the sender is proven gets the same reply.

use jiff::Timestamp;
use lockstep_domain::delivery::hook::{Denial, HookId};
use lockstep_domain::delivery::webhook::{
    DeliveryId, MAX_BODY_BYTES, Push, Signature, Unverified, WebhookEvent, parse_push,
};
use lockstep_domain::delivery::webhook_delivery::{self, unreleased};
use lockstep_domain::logs::http_body::Body;
use lockstep_domain::model::ids::Digest;
use lockstep_domain::model::outcome::Outcome;
use lockstep_domain::model::token::client_token;
use lockstep_domain::records::{
    DeliveredBody, DeliveryEnd, Repository, WebhookDelivery, WebhookDeliveryState,
};
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
    /// The sender is not proven, or has no registered repository. The reply hides the reason.
    Denied(Denial),
    /// The authentic request is refused, or it failed here.
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
            Self::Denied(_) => 401,
            Self::Refused { status, .. } => *status,
        }
    }

    /// Returns the reason of a refusal as the dimension `reason` has it; `None` if the request is not refused.
    pub fn refusal(&self) -> Option<&'static str> {
        match self {
            Self::Accepted { .. } | Self::Pong | Self::Ignored { .. } => None,
            Self::Denied(denial) => Some(denial.part()),
            Self::Refused { status: 400..=499, .. } => Some("request"),
            Self::Refused { .. } => Some("unavailable"),
        }
    }

    /// Returns the word of a denial, which only the log shows.
    pub fn denial(&self) -> Option<&'static str> {
        match self {
            Self::Denied(denial) => Some(denial.as_str()),
            _ => None,
        }
    }

    /// Returns the body for the request with the id `request`.
    pub fn body(&self, request: &str) -> Value {
        match self {
            Self::Accepted { delivery, execution } => json!({ "delivery": delivery, "execution": execution }),
            Self::Pong => json!({ "result": "pong" }),
            Self::Ignored { reason } => json!({ "result": "ignored", "reason": reason }),
            Self::Denied(_) => json!({ "error": "refused", "request": request }),
            Self::Refused { error, .. } => json!({ "error": error, "request": request }),
        }
    }
}

fn refused(status: u16, error: impl Into<String>) -> Reply {
    Reply::Refused { status, error: error.into() }
}

/// Returns the hook that the URL claims. Only the key proves it.
pub fn address(method: &str, path: &str) -> Result<HookId, Reply> {
    let hook = HookId::claimed(path).filter(|_| method == "POST");
    hook.ok_or(Reply::Denied(Denial::UnknownHook))
}

/// Returns the signature of a request whose size and form permit the read of a secret.
pub fn signature(header: Option<&str>, body: Body<'_>) -> Result<Signature, Reply> {
    if body.sent_bytes() > MAX_BODY_BYTES {
        return Err(Reply::Denied(Denial::TooLarge));
    }
    Signature::parse(header).map_err(denied)
}

/// Returns the raw bytes of a body if `signature` proves that the sender knows `secret`.
pub fn authenticate(secret: Option<&str>, signature: Signature, body: Body<'_>) -> Result<Vec<u8>, Reply> {
    let secret = secret.ok_or(Reply::Denied(Denial::NoSecret))?;
    let raw = body.bytes().ok_or(Reply::Denied(Denial::UnreadableBody))?;
    signature.verify(secret.as_bytes(), &raw).map_err(denied)?;
    Ok(raw.into_owned())
}

fn denied(unverified: Unverified) -> Reply {
    Reply::Denied(match unverified {
        Unverified::NoSecret => Denial::NoSecret,
        Unverified::TooLarge => Denial::TooLarge,
        Unverified::Missing => Denial::NotSigned,
        Unverified::Malformed => Denial::MalformedSignature,
        Unverified::Mismatch => Denial::WrongSignature,
    })
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

/// Returns the record of the webhook delivery. `repository` is the record of the hook's repository.
pub fn accept(
    repository: Option<&Repository>,
    delivered: &Delivered,
    now: Timestamp,
) -> Result<WebhookDelivery, Reply> {
    let repository = repository.ok_or(Reply::Denied(Denial::NotRegistered))?;
    if !delivered.push.repository.as_str().eq_ignore_ascii_case(repository.id.as_str()) {
        return Err(Reply::Denied(Denial::OtherRepository));
    }
    let delivery = delivered.delivery.as_str();
    let end = unreleased(repository, delivered.push.branch.as_str()).map(DeliveryEnd::ignored);
    let delivery = WebhookDelivery {
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
    };
    Ok(ended(delivery, end, now))
}

/// Returns the record with its end, if it has one.
fn ended(delivery: WebhookDelivery, end: Option<DeliveryEnd>, now: Timestamp) -> WebhookDelivery {
    end.and_then(|end| webhook_delivery::finish(&delivery, end, now)).unwrap_or(delivery)
}

/// Returns the record of the body of a webhook delivery.
pub fn body_of(delivery: &WebhookDelivery, body: &[u8]) -> DeliveredBody {
    DeliveredBody {
        provider: delivery.provider.clone(),
        repository: delivery.repository.clone(),
        digest: Digest::of(body),
        delivery: delivery.delivery.clone(),
        at: delivery.accepted_at,
    }
}

/// Returns the record of a webhook delivery that repeats the one called `original`.
pub fn duplicate(delivery: WebhookDelivery, original: &str, now: Timestamp) -> WebhookDelivery {
    ended(delivery, Some(DeliveryEnd::duplicate(original)), now)
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
    let end = event.end.as_ref().filter(|end| matches!(end.outcome, Outcome::Done | Outcome::Superseded));
    if let Some(end) = end.filter(|end| !end.reason.is_empty()) {
        return Reply::Ignored { reason: end.reason.clone() };
    }
    Reply::Accepted { delivery: event.delivery.clone(), execution: event.execution.clone() }
}
