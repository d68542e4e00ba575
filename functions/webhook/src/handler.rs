//! Load, decide, apply, one step at a time.

use crate::context::WebhookContext;
use crate::decide::{self, Next, Reply};
use jiff::Timestamp;
use lockstep_domain::delivery::webhook::{DELIVERY_HEADER, EVENT_HEADER, SIGNATURE_HEADER};
use lockstep_domain::delivery::webhook_delivery;
use lockstep_domain::logs::http_body::Body;
use lockstep_domain::model::error::{Failure, Policy};
use lockstep_domain::model::metric::{Dimension, Metric};
use lockstep_domain::records::{WebhookDelivery, WebhookDeliveryState};
use lockstep_platform::function_url::{UrlRequest, UrlResponse};
use lockstep_platform::metrics;

/// How much of a stranger's path goes into the log.
const LOGGED_CHARS: usize = 120;

/// Answers one request. Nothing fails: what cannot be done now is answered with 503, so that the delivery shows as
/// failed on GitHub and can be sent again.
pub async fn handle(
    context: &impl WebhookContext,
    request: UrlRequest,
    now: Timestamp,
) -> Result<UrlResponse, Failure> {
    let answer = match answer(context, &request, now).await {
        Ok(answer) | Err(Stop::Reply(answer)) => answer,
        Err(Stop::Failure(failure)) => unanswered(&failure),
    };
    let path: String = request.raw_path.as_deref().unwrap_or_default().chars().take(LOGGED_CHARS).collect();
    tracing::info!(status = answer.status(), path, "{}", answer.body());
    if let Some(reason) = answer.refusal() {
        metrics::emit(&[(Dimension::Reason, reason)], &[(Metric::Refusals, 1)], now);
    }
    UrlResponse::json(answer.status(), &answer.body())
}

/// Why a request goes no further.
enum Stop {
    /// It has its answer.
    Reply(Reply),
    /// AWS did not do what was asked of it.
    Failure(Failure),
}

impl From<Reply> for Stop {
    fn from(answer: Reply) -> Self {
        Self::Reply(answer)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

async fn answer(context: &impl WebhookContext, request: &UrlRequest, now: Timestamp) -> Result<Reply, Stop> {
    let method = request.request_context.http.method.as_deref().unwrap_or_default();
    let id = decide::address(method, request.raw_path.as_deref().unwrap_or_default())?;
    let secret = context.webhook_secret(&id).await?;
    let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
    let body = Body { text: request.body.as_deref().unwrap_or_default(), base64: request.is_base64_encoded };
    let secret = secret.as_ref().map(|secret| secret.expose());
    let body = decide::authenticate(secret, header(SIGNATURE_HEADER), body)?;
    let delivered = decide::read(header(DELIVERY_HEADER), header(EVENT_HEADER), &body)?;
    let repository = context.repository(&id).await?;
    let event = decide::accept(&id, repository.as_ref(), &delivered, now)?;
    let stored = context.insert(&event).await?;
    if decide::resume(&stored, &event)? == Next::Start {
        start(context, stored.clone()).await?;
    }
    Ok(decide::accepted(&stored))
}

/// Starts the event's execution, or finds it started. Every copy of the delivery may do this at once: the name makes
/// it one execution.
async fn start(context: &impl WebhookContext, mut event: WebhookDelivery) -> Result<(), Failure> {
    context.start(&event.execution, &webhook_delivery::input(&event)).await?;
    event.state = WebhookDeliveryState::Started;
    context.mark_started(&event).await
}

fn unanswered(failure: &Failure) -> Reply {
    tracing::error!(error = failure.kind.error_type(), "{failure}");
    match failure.kind.policy() {
        Policy::Retryable => {
            Reply::Refused { status: 503, error: "not now; deliver it again in a minute".to_owned() }
        }
        Policy::Terminal | Policy::NeedsHuman => {
            Reply::Refused { status: 500, error: "it failed here; the function's log says how".to_owned() }
        }
    }
}
