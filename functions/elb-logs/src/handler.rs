//! Handles an invocation: reads its messages, ships their objects, and reports each message that failed.

use crate::AwsContext;
use crate::ship::{Deadlines, Shipped, ship};
use lockstep_access_log::Format;
use lockstep_aws::clock;
use lockstep_aws::metrics;
use lockstep_aws::shipper::Stopped;
use lockstep_domain::logs::delivery::{
    Continuation, LineCounts, Message, Next, Object, go_on, is_check, read,
};
use lockstep_domain::model::error::{Failure, FailureKind, chain};
use lockstep_domain::model::metric::{Dimension, Metric};
use serde::Serialize;
use serde_json::{Value, json};
use std::time::Duration;

/// Delay of a continuation in the queue, in seconds, unless only the time of the invocation ran out.
const PAUSE_SECONDS: i32 = 60;

/// Response to the queue.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchResponse {
    /// Messages that remain in the queue.
    pub batch_item_failures: Vec<ItemFailure>,
    /// Counts of the lines that were acknowledged or put into quarantine.
    pub lines: LineCounts,
}

/// Response to an invocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Response {
    /// Response to a check: the broker can be reached.
    Check {
        /// Always true. An invocation that fails returns an error instead.
        ok: bool,
    },
    /// Response to a notification of objects.
    Delivery(BatchResponse),
}

/// A message that remains in the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemFailure {
    /// Id of the message.
    pub item_identifier: String,
}

/// Ships what `payload` asks for, within the time that is `left`.
///
/// # Errors
/// The first failure, if the caller is no queue and so gets no response for each message. For a queue, the response
/// names each failed message, and the queue delivers it again.
pub async fn handle(context: &AwsContext, payload: &Value, left: Duration) -> Result<Response, Failure> {
    let until = Deadlines::of(left);
    if is_check(payload) {
        context.output.check(until.settle).await?;
        return Ok(Response::Check { ok: true });
    }
    let asked = read(payload);
    let mut response = BatchResponse::default();
    for message in &asked.messages {
        let Err(failure) = deliver(context, message, until, &mut response.lines).await else { continue };
        tracing::error!(error = failure.kind.error_type(), message = message.id, "{}", failure.chain());
        if !asked.by_queue {
            return Err(failure);
        }
        response.batch_item_failures.push(ItemFailure { item_identifier: message.id.clone() });
    }
    let lines = response.lines;
    tracing::info!(
        acknowledged = lines.acknowledged,
        quarantined = lines.quarantined,
        unreadable_bytes = lines.unreadable_bytes,
        failed = response.batch_item_failures.len(),
        "{} of {} messages are done",
        asked.messages.len() - response.batch_item_failures.len(),
        asked.messages.len()
    );
    Ok(Response::Delivery(response))
}

/// Ships the objects of a message, and sends the rest to the queue as a continuation.
async fn deliver(
    context: &AwsContext,
    message: &Message,
    until: Deadlines,
    lines: &mut LineCounts,
) -> Result<(), Failure> {
    for ignored in &message.ignored {
        tracing::info!("nothing to do: {ignored}");
    }
    let mut run = Delivery {
        context,
        until,
        left: Vec::new(),
        account: LineCounts::default(),
        troubles: Vec::new(),
        stopped: None,
    };
    for object in &message.objects {
        run.object(object).await;
    }
    *lines = lines.and(run.account);
    let Delivery { left, troubles, stopped, .. } = run;
    if let Some(why) = &message.malformed {
        return Err(Failure::rejected(format!("a message cannot be understood: {why}")));
    }
    match go_on(&message.objects, left, message.hops) {
        Next::Finished => Ok(()),
        Next::HandOn(continuation) => {
            let pause = if stopped == Some(Stopped::Time) && troubles.is_empty() { 0 } else { PAUSE_SECONDS };
            hand_on(context, &continuation, pause).await
        }
        Next::Fail(why) => {
            let reasons = troubles.iter().map(|failure| failure.chain());
            let reasons: Vec<String> = reasons.chain(stopped.map(|stopped| chain(&stopped))).collect();
            let kind = troubles.first().map_or(FailureKind::Transient, |failure| failure.kind);
            Err(Failure::new(kind, format!("{why}: {}", reasons.join("; "))))
        }
    }
}

async fn hand_on(
    context: &AwsContext,
    continuation: &Continuation,
    pause_seconds: i32,
) -> Result<(), Failure> {
    context.queue.send(json!({ "lockstep": continuation }).to_string(), pause_seconds).await?;
    let objects = continuation.objects.len();
    tracing::info!(objects, hops = continuation.hops, "the rest is sent to the queue");
    Ok(())
}

/// Progress of the objects of one message.
struct Delivery<'a> {
    context: &'a AwsContext,
    until: Deadlines,
    /// Objects that are left, in order.
    left: Vec<Object>,
    account: LineCounts,
    /// Failures of single objects. The objects after a failed one are shipped.
    troubles: Vec<Failure>,
    /// Reason why shipping stopped: the broker accepts nothing, or the time is over.
    stopped: Option<Stopped>,
}

impl Delivery<'_> {
    async fn object(&mut self, object: &Object) {
        let (bucket, key) = (&object.bucket, &object.key);
        if self.stopped.is_some() {
            return self.left.push(object.clone());
        }
        if Format::is_test_file(key) {
            return tracing::info!(bucket, key, "nothing to do: the load balancer tested that it can write");
        }
        match ship(self.context, object, self.until).await {
            Ok(shipped) => self.shipped(shipped),
            Err(failure) => {
                tracing::error!(bucket, key, error = failure.kind.error_type(), "{}", failure.chain());
                self.report(&LineCounts::default(), [(Metric::ObjectsFailed, 1)]);
                self.left.push(object.clone());
                self.troubles.push(failure);
            }
        }
    }

    fn shipped(&mut self, shipped: Shipped) {
        let Shipped { account, reached, stopped, written } = shipped;
        self.account = self.account.and(account);
        tracing::info!(
            bucket = reached.bucket,
            key = reached.key,
            acknowledged = account.acknowledged,
            quarantined = account.quarantined,
            unreadable_bytes = account.unreadable_bytes,
            accounted = reached.accounted(),
            "{}",
            stopped.as_ref().map_or_else(|| "every line is accounted for".to_owned(), ToString::to_string)
        );
        match stopped {
            None => {
                let lag = u64::try_from(clock::now().as_second() - written).unwrap_or_default();
                self.report(&account, [(Metric::ObjectsFinished, 1), (Metric::ObjectLag, lag)]);
            }
            Some(_) => {
                self.report(&account, [(Metric::ObjectsContinued, 1)]);
                self.left.push(reached);
                self.stopped = stopped;
            }
        }
    }

    fn report<const N: usize>(&self, account: &LineCounts, of_the_object: [(Metric, u64); N]) {
        let lines = [
            (Metric::LinesAcknowledged, account.acknowledged),
            (Metric::LinesQuarantined, account.quarantined),
        ];
        let all: Vec<_> = lines.into_iter().chain(of_the_object).collect();
        metrics::emit(&[(Dimension::Function, &self.context.name)], &all, clock::now());
    }
}
