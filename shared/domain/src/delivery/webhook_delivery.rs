//! Input and end of a webhook delivery. Every accepted webhook delivery ends in exactly one record.

use crate::messages::ledger::{ComponentResult, Summary};
use crate::messages::{inputs, package};
use crate::model::caught_error::CaughtError;
use crate::model::error::FailureKind;
use crate::model::outcome::Outcome;
use crate::records::{DeliveryEnd, WebhookDelivery, WebhookDeliveryState};
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
) -> (Summary, DeliveryEnd) {
    let results = every_result(components, results);
    if let Some(error) = error {
        let cause = error.sentence();
        if error.error == FailureKind::Superseded.error_type() {
            let overtaken = Summary { outcome: Outcome::Superseded, error: String::new(), cause, results };
            return (overtaken, DeliveryEnd::superseded());
        }
        let end = match is_rejection(&error.error) {
            true => DeliveryEnd::rejected(&cause),
            false => DeliveryEnd::quarantined(&cause),
        };
        return (rejected(error.error.clone(), cause, results), end);
    }
    let causes: Vec<_> = results.iter().filter(|result| !result.outcome.is_success()).map(line).collect();
    if causes.is_empty() {
        let done = Summary { outcome: Outcome::Done, error: String::new(), cause: String::new(), results };
        return (done, DeliveryEnd::done());
    }
    let cause = causes.join("\n");
    let error = FailureKind::Rejected.error_type().to_owned();
    (rejected(error, cause.clone(), results), DeliveryEnd::rejected(cause))
}

/// Returns the results of all components, those that have no result of their own included.
fn every_result(components: &[package::Component], results: &[ComponentResult]) -> Vec<ComponentResult> {
    let of = |component: &package::Component| ComponentResult {
        component: component.component.clone(),
        version: component.version.clone(),
        outcome: match component.outcome {
            own @ (Outcome::Rejected | Outcome::Unchanged) => own,
            // Every packaged component has a result; a missing one does not count as a success.
            _ => Outcome::Failed,
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
    Summary { outcome: Outcome::Rejected, error, cause, results }
}

/// Returns the finished webhook delivery; `None` if it was finished before. A failed one whose retry succeeded becomes
/// done.
pub fn finish(event: &WebhookDelivery, end: DeliveryEnd, now: Timestamp) -> Option<WebhookDelivery> {
    let before = event.end.as_ref().map(|end| end.outcome);
    let failed = matches!(before, Some(Outcome::Rejected | Outcome::Quarantined));
    if event.state == WebhookDeliveryState::Finished && !(failed && end.outcome == Outcome::Done) {
        return None;
    }
    Some(WebhookDelivery {
        state: WebhookDeliveryState::Finished,
        end: Some(end),
        finished_at: Some(now),
        ..event.clone()
    })
}

#[cfg(test)]
mod tests;
