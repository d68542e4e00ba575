//! Load, decide, apply, one step at a time.

use crate::context::WebhookContext;
use crate::decide::{self, Next, Reply};
use jiff::Timestamp;
use lockstep_aws::function_url::{UrlRequest, UrlResponse, body};
use lockstep_aws::metrics;
use lockstep_aws::secrets::{ExposeSecret as _, SecretString};
use lockstep_domain::delivery::webhook::{DELIVERY_HEADER, EVENT_HEADER, SIGNATURE_HEADER};
use lockstep_domain::delivery::webhook_delivery;
use lockstep_domain::model::error::{Failure, FailureKind, Policy};
use lockstep_domain::model::ids::RepositoryId;
use lockstep_domain::model::metric::{Dimension, Metric};
use lockstep_domain::records::{Record, Repository, WebhookDelivery, WebhookDeliveryState};

/// Length to which the log cuts the path of a request.
const LOGGED_CHARS: usize = 120;

/// Handles one request. A failure becomes a reply: 503 for one that a retry may pass, so that GitHub shows the webhook
/// delivery as failed and can send it again.
pub async fn handle(
    context: &impl WebhookContext,
    request: UrlRequest,
    now: Timestamp,
) -> Result<UrlResponse, Failure> {
    let reply = match reply(context, &request, now).await {
        Ok(reply) | Err(Stop::Reply(reply)) => reply,
        Err(Stop::Failure(failure)) => reply_to(&failure),
    };
    let path: String = request.raw_path.as_deref().unwrap_or_default().chars().take(LOGGED_CHARS).collect();
    tracing::info!(status = reply.status(), path, "{}", reply.body());
    if let Some(reason) = reply.refusal() {
        metrics::emit(&[(Dimension::Reason, reason)], &[(Metric::Refusals, 1)], now);
    }
    UrlResponse::json(reply.status(), &reply.body())
}

/// Reason to stop before the last step.
enum Stop {
    /// The request has its reply.
    Reply(Reply),
    /// A call of AWS failed.
    Failure(Failure),
}

impl From<Reply> for Stop {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

async fn reply(context: &impl WebhookContext, request: &UrlRequest, now: Timestamp) -> Result<Reply, Stop> {
    let method = request.request_context.http.method.as_deref().unwrap_or_default();
    let id = decide::address(method, request.raw_path.as_deref().unwrap_or_default())?;
    let secret = webhook_secret(context, &id).await?;
    let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
    let secret = secret.as_ref().map(|secret| secret.expose_secret());
    let body = decide::authenticate(secret, header(SIGNATURE_HEADER), body(request))?;
    let delivered = decide::read(header(DELIVERY_HEADER), header(EVENT_HEADER), &body)?;
    let repository = context.ledger().get::<Repository>(&Repository::key_of(&id)).await?;
    let repository = repository.as_ref().map(|found| &found.record);
    let event = decide::accept(&id, repository, &delivered, now)?;
    let stored = context.ledger().insert(&event).await?.into_inner().record;
    if decide::resume(&stored, &event)? == Next::Start {
        start(context, stored.clone()).await?;
    }
    Ok(decide::accepted(&stored))
}

/// Returns the secret that signs the deliveries of a repository, or `None` if it has none.
async fn webhook_secret(
    context: &impl WebhookContext,
    id: &RepositoryId,
) -> Result<Option<SecretString>, Failure> {
    match context.secrets().get(&id.webhook_secret()).await {
        // Secrets Manager refuses a secret that does not exist like one that the policy's pattern does not match.
        Err(failure) if failure.kind == FailureKind::AccessDenied => {
            tracing::warn!("taken for a hook that does not exist: {}", failure.chain());
            Ok(None)
        }
        read => read,
    }
}

/// Starts the execution of the webhook delivery, or finds it started. All copies of the delivery may do this at the
/// same time: its name makes it one execution.
async fn start(context: &impl WebhookContext, delivery: WebhookDelivery) -> Result<(), Failure> {
    let input = serde_json::to_value(webhook_delivery::input(&delivery))
        .map_err(|error| Failure::bug("the input of a release cannot be written").caused_by(&error))?;
    context.executions().start(context.release_machine(), &delivery.execution, &input).await?;
    mark_started(context, WebhookDelivery { state: WebhookDeliveryState::Started, ..delivery }).await
}

/// Records that the execution was started, unless the ledger records more already.
async fn mark_started(context: &impl WebhookContext, delivery: WebhookDelivery) -> Result<(), Failure> {
    let stored = context.ledger().get::<WebhookDelivery>(&delivery.key()).await?;
    let Some(stored) = stored.filter(|stored| stored.record.state == WebhookDeliveryState::Accepted) else {
        return Ok(());
    };
    match context.ledger().replace(&stored, delivery).await {
        // Another copy of the delivery, or the execution itself, was faster and recorded at least as much.
        Err(lost) if lost.kind == FailureKind::Conflict => Ok(()),
        written => written.map(drop),
    }
}

/// Returns the reply to a request that failed.
fn reply_to(failure: &Failure) -> Reply {
    tracing::error!(error = failure.kind.error_type(), "{}", failure.chain());
    match failure.kind.policy() {
        Policy::Retryable => {
            Reply::Refused { status: 503, error: "not now; deliver it again in a minute".to_owned() }
        }
        Policy::Terminal | Policy::NeedsHuman => {
            Reply::Refused { status: 500, error: "it failed here; the function's log says how".to_owned() }
        }
    }
}
