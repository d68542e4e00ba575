//! Input and end of a webhook delivery. Every accepted webhook delivery ends in exactly one record.

use crate::messages::inputs;
use crate::messages::ledger::{ComponentResult, Summary};
use crate::messages::package::{PackagedComponent, PackagedRelease};
use crate::model::caught_error::{CaughtError, stopped_with};
use crate::model::error::FailureKind;
use crate::model::outcome::Outcome;
use crate::records::{Cursor, DeliveryEnd, Repository, WebhookDelivery, WebhookDeliveryState};
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

/// Returns the reason for which a push to `branch` releases nothing, or `None` if it is released.
pub fn unreleased(repository: &Repository, branch: &str) -> Option<String> {
    (!repository.releases(branch)).then(|| {
        format!(
            "pushes to {branch} are not released, only those to {}; to build and test them: lockstep repositories add \
             github:{} --branches '<pattern>'",
            repository.branch,
            repository.id.full_name()
        )
    })
}

/// Meaning of a webhook delivery whose body was delivered before, under another delivery id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repetition {
    /// The original is being processed, or its commit has its release. Nothing is left to do.
    Duplicate,
    /// The original was recorded, and its execution may never have been started.
    StartOriginal,
    /// The commit has no release. The execution asks the git host whether it is the head of the branch now.
    Process,
}

/// Decides about `event`, whose body was delivered before as `original`; `None` if that record is gone.
pub fn repetition(
    original: Option<&WebhookDelivery>,
    repository: &Repository,
    cursor: Option<&Cursor>,
    event: &WebhookDelivery,
) -> Repetition {
    let is_default = event.reference == format!("refs/heads/{}", repository.branch);
    if is_default && cursor.is_some_and(|cursor| cursor.commit == event.commit) {
        return Repetition::Duplicate;
    }
    let same = |original: &&WebhookDelivery| {
        original.repository == event.repository
            && original.reference == event.reference
            && original.commit == event.commit
    };
    let Some(original) = original.filter(same) else { return Repetition::Process };
    match (original.state, original.end.as_ref().map(|end| end.outcome)) {
        (WebhookDeliveryState::Accepted, _) => Repetition::StartOriginal,
        (WebhookDeliveryState::Started, _) | (_, Some(Outcome::Done)) => Repetition::Duplicate,
        (WebhookDeliveryState::Finished, _) => Repetition::Process,
    }
}

/// Returns the result of a push, for its execution and for its webhook delivery.
///
/// `error` is the error that prevented all packaging. A push that a later one overtook is superseded, which is not a
/// failure. An error that the author can fix rejects the push. Any other error quarantines it for an operator, and so does
/// a deployment that was stopped while none failed.
pub fn conclude(
    components: &[PackagedComponent],
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
    let lines = |of: fn(&ComponentResult) -> bool| -> Vec<String> {
        results.iter().filter(|result| of(result)).map(line).collect()
    };
    let causes = lines(|result| !result.outcome.is_success() && result.outcome != Outcome::Superseded);
    if causes.is_empty() {
        // A release that a newer one overtook in a stage is built and published: nothing is left to do.
        let cause = lines(|result| result.outcome == Outcome::Superseded).join("\n");
        let outcome = if cause.is_empty() { Outcome::Done } else { Outcome::Superseded };
        return (Summary { outcome, error: String::new(), cause, results }, DeliveryEnd::done());
    }
    let cause = causes.join("\n");
    // What a later push overtook needs no person.
    let outcomes = results.iter().map(|result| result.outcome);
    let unhappy = outcomes.filter(|outcome| !outcome.is_success() && *outcome != Outcome::Superseded);
    let stopped: Option<Vec<FailureKind>> = unhappy.map(stopped_with).collect();
    if let Some(kind) = stopped.iter().flatten().next() {
        let error = kind.error_type().to_owned();
        return (rejected(error, cause.clone(), results), DeliveryEnd::quarantined(cause));
    }
    let error = FailureKind::Rejected.error_type().to_owned();
    (rejected(error, cause.clone(), results), DeliveryEnd::rejected(cause))
}

/// Returns the results of all components, those that have no result of their own included.
fn every_result(components: &[PackagedComponent], results: &[ComponentResult]) -> Vec<ComponentResult> {
    let known = |own: &ComponentResult| {
        results.iter().any(|result| result.component == own.component && result.version == own.version)
    };
    let own = components.iter().map(result_of).filter(|own| !known(own));
    own.chain(results.iter().cloned().map(judged)).collect()
}

/// Returns a result with its true outcome.
fn judged(result: ComponentResult) -> ComponentResult {
    ComponentResult { outcome: outcome_of(&result), ..result }
}

/// Returns the outcome of a result. The state machine reports every deployment without success as failed; its error tells
/// one that was stopped.
pub(crate) fn outcome_of(result: &ComponentResult) -> Outcome {
    match result.outcome {
        Outcome::Failed => CaughtError { error: String::new(), cause: result.cause.clone() }.outcome(),
        outcome => outcome,
    }
}

/// Returns the result of a component for which no execution reported one.
fn result_of(component: &PackagedComponent) -> ComponentResult {
    let result = |component: &str, version: String, outcome: Outcome, cause: String| ComponentResult {
        component: component.to_owned(),
        version,
        outcome,
        cause,
    };
    match component {
        // Every packaged component has a result; a missing one does not count as a success.
        PackagedComponent::Packaged(PackagedRelease { component, version, .. }) => {
            result(component.as_str(), version.to_string(), Outcome::Failed, String::new())
        }
        PackagedComponent::Unchanged { component, version } => {
            result(component.as_str(), version.to_string(), Outcome::Unchanged, String::new())
        }
        PackagedComponent::Rejected { component, problems } => {
            result(component, String::new(), Outcome::Rejected, problems.join("\n"))
        }
    }
}

fn line(result: &ComponentResult) -> String {
    // The cause of a failed state machine is the JSON of a failed execution, with the sentence inside.
    let cause = CaughtError { error: String::new(), cause: result.cause.clone() }.sentence();
    let cause = if cause.is_empty() { result.outcome.as_str() } else { cause.as_str() };
    let subject = match result.version.as_str() {
        "" => result.component.clone(),
        version => format!("{} {version}", result.component),
    };
    // The sentence about the end of a deployment begins with its release.
    if cause.starts_with(&format!("{subject} ")) { cause.to_owned() } else { format!("{subject}: {cause}") }
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
