//! Load, decide, apply, one step at a time.

use crate::context::WebhookContext;
use crate::decide::{self, Next, Reply};
use crate::proposals;
use jiff::Timestamp;
use lockstep_aws::function_url::{Invocation, UrlRequest, UrlResponse, body};
use lockstep_aws::ledger::Inserted;
use lockstep_aws::metrics;
use lockstep_aws::secrets::ExposeSecret as _;
use lockstep_domain::delivery::hook::{Denial, HookId, LOG_MESSAGE};
use lockstep_domain::delivery::webhook::{DELIVERY_HEADER, EVENT_HEADER, SIGNATURE_HEADER};
use lockstep_domain::delivery::webhook_delivery::{self, Repetition};
use lockstep_domain::messages::webhook::Request;
use lockstep_domain::model::error::{Failure, FailureKind, Policy};
use lockstep_domain::model::metric::{Dimension, Metric};
use lockstep_domain::records::{Cursor, Record, Repository, WebhookDelivery, WebhookDeliveryState};
use serde_json::Value;

/// Handles one invocation: a request over the URL, or a proposal of the sweep. Only a principal of this account,
/// whose policy permits it, can invoke the function without the URL.
pub async fn handle_any(
    context: &impl WebhookContext,
    invocation: Invocation<Request>,
    now: Timestamp,
) -> Result<Value, Failure> {
    match invocation {
        Invocation::Direct(request) => proposals::handle(context, &request, now).await,
        Invocation::Url(request) => serde_json::to_value(handle(context, *request, now).await?)
            .map_err(|error| Failure::bug("a reply cannot be written").caused_by(&error)),
    }
}

/// Handles one request over the URL. A failure becomes a reply: 503 for one that a retry may pass, so that GitHub
/// shows the webhook delivery as failed and can send it again.
pub async fn handle(
    context: &impl WebhookContext,
    request: UrlRequest,
    now: Timestamp,
) -> Result<UrlResponse, Failure> {
    let id = request_id(&request);
    let reply = match reply(context, &request, now).await {
        Ok(reply) | Err(Stop::Reply(reply)) => reply,
        Err(Stop::Failure(failure)) => reply_to(&failure),
    };
    log(&request, &id, &reply);
    if let Some(reason) = reply.refusal() {
        metrics::emit(&[(Dimension::Reason, reason)], &[(Metric::Refusals, 1)], now);
    }
    UrlResponse::json(reply.status(), &reply.body(&id))
}

/// Returns the id of the request, by which an operator finds its line in the log. Lambda sets it.
fn request_id(request: &UrlRequest) -> String {
    let is_plain = |id: &&String| {
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let given = request.request_context.request_id.as_ref().filter(is_plain);
    given.cloned().unwrap_or_else(|| uuid::Uuid::new_v4().to_string())
}

/// Writes the line of a request: what it claims and what it got, and nothing of its content. The hook id is not part of
/// it, since its holder can cause a read of a secret.
fn log(request: &UrlRequest, id: &str, reply: &Reply) {
    let hook = HookId::claimed(request.raw_path.as_deref().unwrap_or_default());
    let repository = hook.as_ref().map(|hook| hook.repository().as_str());
    let shown = reply.denial().is_none().then(|| reply.body(id).to_string());
    tracing::info!(
        status = reply.status(),
        request = id,
        repository,
        reason = reply.refusal(),
        denial = reply.denial(),
        bytes = body(request).sent_bytes(),
        reply = shown,
        "{LOG_MESSAGE}"
    );
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
    let hook = decide::address(method, request.raw_path.as_deref().unwrap_or_default())?;
    if !context.hook_key().fits(&hook).await? {
        return Err(Reply::Denied(Denial::UnknownHook).into());
    }
    let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
    let signature = decide::signature(header(SIGNATURE_HEADER), body(request))?;
    let secret = context.secrets().find(&hook.repository().webhook_secret()).await?;
    let secret = secret.as_ref().map(|secret| secret.expose_secret());
    let body = decide::authenticate(secret, signature, body(request))?;
    let delivered = decide::read(header(DELIVERY_HEADER), header(EVENT_HEADER), &body)?;
    let repository = context.ledger().get::<Repository>(&Repository::key_of(hook.repository())).await?;
    let repository = repository.as_ref().map(|found| &found.record);
    let event = decide::accept(repository, &delivered, now)?;
    let event = match repository.filter(|_| event.state == WebhookDeliveryState::Accepted) {
        Some(repository) => unless_repeated(context, repository, event, &body, now).await?,
        None => event,
    };
    let stored = context.ledger().insert(&event).await?.into_inner().record;
    if decide::resume(&stored, &event)? == Next::Start {
        start(context, stored.clone()).await?;
    }
    Ok(decide::accepted(&stored))
}

/// Returns the record of a webhook delivery, as a duplicate if its body was processed before under another delivery id. The
/// id is an unsigned header, so a copy of a signed body could otherwise start any number of executions.
async fn unless_repeated(
    context: &impl WebhookContext,
    repository: &Repository,
    event: WebhookDelivery,
    body: &[u8],
    now: Timestamp,
) -> Result<WebhookDelivery, Failure> {
    let wanted = decide::body_of(&event, body);
    let known = match context.ledger().insert(&wanted).await? {
        Inserted::New(_) => return Ok(event),
        Inserted::Exists(known) if known.record.delivery == event.delivery => return Ok(event),
        Inserted::Exists(known) => known,
    };
    let first = known.record.delivery.clone();
    let key = WebhookDelivery::key_of(&event.provider, &first);
    let original = context.ledger().get::<WebhookDelivery>(&key).await?.map(|found| found.record);
    let cursor = context.ledger().get::<Cursor>(&Cursor::key_of(&repository.id)).await?;
    let cursor = cursor.map(|found| found.record);
    match webhook_delivery::repetition(original.as_ref(), repository, cursor.as_ref(), &event) {
        Repetition::Process => {
            // Of several copies at once, one wins this write. The others get 503; their next attempt is a duplicate.
            context.ledger().replace(&known, wanted).await?;
            return Ok(event);
        }
        Repetition::StartOriginal => {
            if let Some(original) = original {
                start(context, original).await?;
            }
        }
        Repetition::Duplicate => {}
    }
    Ok(decide::duplicate(event, &first, now))
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
