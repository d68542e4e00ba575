//! Input and end of a webhook delivery. Every accepted webhook delivery ends in exactly one record.

use crate::messages::ledger::{ComponentResult, Summary};
use crate::messages::{inputs, package};
use crate::model::caught_error::CaughtError;
use crate::model::error::FailureKind;
use crate::records::{DeliveryOutcome, WebhookDelivery, WebhookDeliveryState};
use jiff::Timestamp;

/// Returns the input of the execution that handles the webhook delivery. It depends only on the record, so that every
/// start has the same input.
pub fn input(event: &WebhookDelivery) -> inputs::Release {
    inputs::Release {
        repository: event.repository.clone(),
        reference: event.reference.clone(),
        commit: event.commit.clone(),
        delivery: Some(event.delivery.clone()),
    }
}

/// Returns the result of a push, for its execution and for its webhook delivery.
///
/// `error` is the error that prevented all packaging. A push that a later one overtook is superseded, which is not a
/// failure. An error that the author can fix rejects the push. Any other error quarantines it for an operator.
pub fn conclude(
    components: &[package::Component],
    results: &[ComponentResult],
    error: Option<&CaughtError>,
) -> (Summary, DeliveryOutcome) {
    let results = every_result(components, results);
    if let Some(error) = error {
        let cause = error.sentence();
        if error.error == FailureKind::Superseded.error_type() {
            let overtaken = Summary { outcome: "superseded".into(), error: String::new(), cause, results };
            return (overtaken, DeliveryOutcome::Superseded);
        }
        let outcome = match is_rejection(&error.error) {
            true => DeliveryOutcome::Rejected(cause.clone()),
            false => DeliveryOutcome::Quarantined(cause.clone()),
        };
        return (rejected(error.error.clone(), cause, results), outcome);
    }
    let causes: Vec<_> = results.iter().filter(|r| is_bad(r)).map(line).collect();
    if causes.is_empty() {
        let done = Summary { outcome: "done".into(), error: String::new(), cause: String::new(), results };
        return (done, DeliveryOutcome::Done);
    }
    let cause = causes.join("\n");
    let error = FailureKind::Rejected.error_type().to_owned();
    (rejected(error, cause.clone(), results), DeliveryOutcome::Rejected(cause))
}

/// Returns the results of all components, those that have no result of their own included.
fn every_result(components: &[package::Component], results: &[ComponentResult]) -> Vec<ComponentResult> {
    let of = |component: &package::Component| ComponentResult {
        component: component.component.clone(),
        version: component.version.clone(),
        outcome: match component.outcome {
            package::Outcome::Rejected => "rejected".to_owned(),
            package::Outcome::Unchanged => "unchanged".to_owned(),
            // Every packaged component has a result; a missing one does not count as a success.
            package::Outcome::Packaged => "failed".to_owned(),
        },
        cause: component.problems.join("\n"),
    };
    let known = |component: &&package::Component| {
        !results
            .iter()
            .any(|result| result.component == component.component && result.version == component.version)
    };
    components.iter().filter(known).map(of).chain(results.iter().cloned()).collect()
}

fn is_bad(result: &ComponentResult) -> bool {
    !matches!(result.outcome.as_str(), "published" | "deployed" | "baked" | "unchanged")
}

fn line(result: &ComponentResult) -> String {
    // The cause of a failed state machine is the JSON of a failed execution, with the sentence inside.
    let cause = CaughtError { error: String::new(), cause: result.cause.clone() }.sentence();
    let cause = if cause.is_empty() { result.outcome.as_str() } else { cause.as_str() };
    match result.version.as_str() {
        "" => format!("{}: {cause}", result.component),
        version => format!("{} {version}: {cause}", result.component),
    }
}

fn is_rejection(error: &str) -> bool {
    [FailureKind::Rejected, FailureKind::NotFound, FailureKind::GateClosed]
        .iter()
        .any(|k| k.error_type() == error)
}

fn rejected(error: String, cause: String, results: Vec<ComponentResult>) -> Summary {
    Summary { outcome: "rejected".into(), error, cause, results }
}

/// Returns the finished webhook delivery; `None` if it was finished before. A failed one whose retry succeeded becomes
/// done.
pub fn finish(event: &WebhookDelivery, outcome: DeliveryOutcome, now: Timestamp) -> Option<WebhookDelivery> {
    let failed = matches!(event.end, Some(DeliveryOutcome::Rejected(_) | DeliveryOutcome::Quarantined(_)));
    if event.state == WebhookDeliveryState::Finished && !(failed && outcome == DeliveryOutcome::Done) {
        return None;
    }
    Some(WebhookDelivery {
        state: WebhookDeliveryState::Finished,
        end: Some(outcome),
        finished_at: Some(now),
        ..event.clone()
    })
}

#[cfg(test)]
mod tests;
