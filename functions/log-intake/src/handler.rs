//! Handles a request: checks sender, rate and events, ships the events to the broker, and responds after that.

use crate::AwsContext;
use jiff::Timestamp;
use lockstep_aws::clock;
use lockstep_aws::function_url::{Invocation, UrlRequest, UrlResponse, body};
use lockstep_aws::metrics;
use lockstep_domain::logs::delivery::{Budget, is_check};
use lockstep_domain::logs::ingest::{self, Event, IngestResponse, KeyId, Origin, Refused, Request};
use lockstep_domain::logs::shipping::Batch;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::ApplicationName;
use lockstep_domain::model::metric::{Dimension, Metric};
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// Response to an invocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answered {
    /// Response to a check: the table can be read and the broker reached.
    Check {
        /// Always true. An invocation that fails returns an error instead.
        ok: bool,
    },
    /// Response to a request.
    Response(UrlResponse),
}

/// Handles an invocation within the time that is `left`.
///
/// # Errors
/// The failure of a check, and `Rejected` for a payload that is neither a check nor a request. A request always gets a
/// response.
pub async fn handle(
    context: &AwsContext,
    invocation: Invocation<Value>,
    left: Duration,
) -> Result<Answered, Failure> {
    let until = Instant::now() + Budget::of(left).settle;
    match invocation {
        Invocation::Url(request) => respond(context, &request, until).await.map(Answered::Response),
        Invocation::Direct(payload) if is_check(&payload) => check(context, until).await,
        Invocation::Direct(_) => {
            Err(Failure::rejected("events are posted to the function's URL; a direct invocation is a check"))
        }
    }
}

async fn check(context: &AwsContext, until: Instant) -> Result<Answered, Failure> {
    let absent: ApplicationName =
        "check".parse().map_err(|error| Failure::bug("an application").caused_by(&error))?;
    context.applications.read(&absent).await?;
    context.output.check(until).await?;
    Ok(Answered::Check { ok: true })
}

/// Reason why a request ends early.
enum Stop {
    /// The request is refused.
    Refused(Refused),
    /// The function failed.
    Failure(Failure),
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<ingest::Invalid> for Stop {
    fn from(invalid: ingest::Invalid) -> Self {
        Self::Refused(invalid.into())
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

async fn respond(context: &AwsContext, request: &UrlRequest, until: Instant) -> Result<UrlResponse, Failure> {
    let mut visit = Visit { context, until, began: Instant::now(), received_at: clock::now(), key: None };
    let (answer, oldest) = match visit.events(request).await {
        Ok(events) => {
            let oldest = events.iter().filter_map(|event| event.at).min();
            (IngestResponse::Accepted { events: events.len() }, oldest)
        }
        Err(Stop::Refused(refused)) => (IngestResponse::Refused(refused), None),
        Err(Stop::Failure(failure)) => {
            tracing::error!(error = failure.kind.error_type(), "{}", failure.chain());
            (IngestResponse::Refused(Refused::Unavailable), None)
        }
    };
    visit.report(&answer, oldest);
    let mut response = UrlResponse::json(answer.status(), &answer.body())?;
    response.headers.extend(answer.headers());
    Ok(response)
}

/// A request in progress.
struct Visit<'a> {
    context: &'a AwsContext,
    until: Instant,
    began: Instant,
    received_at: Timestamp,
    /// Key of the sender, once it is authenticated.
    key: Option<KeyId>,
}

impl Visit<'_> {
    /// Ships the events of `request` and returns them once the broker has acknowledged each of them.
    async fn events(&mut self, request: &UrlRequest) -> Result<Vec<Event>, Stop> {
        let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
        let asked = Request {
            method: request.request_context.http.method.as_deref().unwrap_or_default(),
            path: request.raw_path.as_deref().unwrap_or_default(),
            content_type: header("content-type"),
            content_encoding: header("content-encoding"),
            body: body(request),
        };
        let form = ingest::form(&asked)?;
        let key = ingest::authenticate(header("authorization"))?;
        let application = self.context.applications.of(&key.id, self.received_at).await?;
        let admitted = ingest::authorize(application.as_ref(), &key, self.received_at);
        if matches!(admitted, Err(Refused::Unknown)) {
            return Err(Refused::Unknown.into());
        }
        // The whole key authenticates the sender, even if the key has expired.
        let key = &*self.key.insert(key.id);
        admitted?;
        let documents = ingest::documents(form, asked.body);
        // An unreadable request costs as much as one event.
        let count =
            documents.as_ref().map_or(1, |documents| u32::try_from(documents.len()).unwrap_or(u32::MAX));
        let rate = application.and_then(|application| application.rate).unwrap_or(self.context.rate);
        self.context.applications.limit_rate(&key.application, rate, count).await??;
        let events = ingest::events(documents?, self.received_at)?;
        let request = request.request_context.request_id.as_deref().unwrap_or_default();
        let origin = Origin { key, request, received_at: self.received_at };
        let lines = ingest::lines(&events, self.context.fields, &self.context.labels, origin)?;
        self.ship(lines).await?;
        Ok(events)
    }

    async fn ship(&self, lines: Vec<u8>) -> Result<(), Stop> {
        let batch = Batch::new(lines).ok_or_else(|| Failure::bug("events that were taken are no batch"))?;
        let mut shipper = self.context.output.shipper()?;
        let sent = match shipper.send(batch, self.until).await {
            Ok(()) => shipper.settle(self.until).await,
            stopped => stopped,
        };
        // Only the acknowledgement counts.
        if shipper.take_acknowledged() == 1 {
            return Ok(());
        }
        let why =
            sent.err().map_or_else(|| "the broker acknowledged nothing".to_owned(), |why| why.to_string());
        tracing::error!("the events are not acknowledged: {why}");
        Err(Refused::NotAcknowledged.into())
    }

    /// Writes the result to the log and the metrics, with the size but no content of the request.
    fn report(&self, answer: &IngestResponse, oldest: Option<Timestamp>) {
        let (status, key) = (answer.status(), self.key.as_ref().map(ToString::to_string));
        let figures = match answer {
            IngestResponse::Accepted { events } => {
                tracing::info!(status, key, events, "the broker acknowledged every event");
                let lag = clock::now().duration_since(oldest.unwrap_or(self.received_at)).as_secs();
                let took = self.began.elapsed().as_millis();
                vec![
                    (Metric::EventsAccepted, u64::try_from(*events).unwrap_or(u64::MAX)),
                    (Metric::EventLag, u64::try_from(lag).unwrap_or_default()),
                    (Metric::AcknowledgedAfter, u64::try_from(took).unwrap_or(u64::MAX)),
                ]
            }
            IngestResponse::Refused(refused) => {
                let metric = refused.reason().metric();
                tracing::info!(status, key, reason = metric.name(), "refused");
                vec![(metric, 1)]
            }
        };
        metrics::emit(&[(Dimension::Function, &self.context.name)], &figures, clock::now());
    }
}
