//! What becomes of a push: its execution's input, and its end. Every accepted event ends in exactly one record.

use crate::messages::ledger::{ComponentResult, Summary};
use crate::messages::{inputs, package};
use crate::model::caught_error::CaughtError;
use crate::model::error::FailureKind;
use crate::records::{DeliveryOutcome, WebhookDelivery, WebhookDeliveryState};
use jiff::Timestamp;

/// The input of an event's execution: from the record, so that every start of it is the same.
pub fn input(event: &WebhookDelivery) -> inputs::Release {
    inputs::Release {
        repository: event.repository.clone(),
        reference: event.reference.clone(),
        commit: event.commit.clone(),
        delivery: Some(event.delivery.clone()),
    }
}

/// What became of a push, for its execution and for its event.
///
/// `error` says why nothing could be packaged at all. A push that a later one overtook is superseded, which is no
/// failure; what an author can mend is rejected; what they cannot is quarantined, for a person to look at.
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
        let outcome = match can_be_mended(&error.error) {
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

/// The results of what was packaged, and of what never came so far.
fn every_result(components: &[package::Component], results: &[ComponentResult]) -> Vec<ComponentResult> {
    let of = |component: &package::Component| ComponentResult {
        component: component.component.clone(),
        version: component.version.clone(),
        outcome: match component.outcome {
            package::Outcome::Rejected => "rejected".to_owned(),
            package::Outcome::Unchanged => "unchanged".to_owned(),
            // Every packaged component has a result; one without is not told as a success.
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

fn can_be_mended(error: &str) -> bool {
    [FailureKind::Rejected, FailureKind::NotFound, FailureKind::GateClosed]
        .iter()
        .any(|k| k.error_type() == error)
}

fn rejected(error: String, cause: String, results: Vec<ComponentResult>) -> Summary {
    Summary { outcome: "rejected".into(), error, cause, results }
}

/// The event, finished; nothing if it was finished before. One that failed and was tried again with success is done.
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
