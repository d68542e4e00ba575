//! The error that a state machine caught.

use crate::model::error::{FailureKind, bracketed};
use crate::model::outcome::Outcome;
use serde::{Deserialize, Serialize};

/// The endings of a deployment that are no failure of its release: the error of its execution, and the outcome.
const STOPPED: [(FailureKind, Outcome); 4] = [
    (FailureKind::Overtaken, Outcome::Superseded),
    (FailureKind::Cancelled, Outcome::Cancelled),
    (FailureKind::Expired, Outcome::Expired),
    (FailureKind::ApprovalRefused, Outcome::Refused),
];

/// An error as a state machine passes it on: the `Error` and `Cause` of a caught failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaughtError {
    /// Name of the error, such as `StackFailed` or `States.Timeout`.
    #[serde(rename = "Error", default)]
    pub error: String,
    /// Cause of the error: for a Lambda function a JSON object with `errorMessage`, for a nested execution
    /// its description.
    #[serde(rename = "Cause", default)]
    pub cause: String,
}

impl CaughtError {
    /// Returns the sentence for operators inside the cause, however deep Step Functions wrapped it.
    pub fn sentence(&self) -> String {
        fn dig(text: &str, depth: u32) -> String {
            let Ok(value) = serde_json::from_str::<serde_json::Value>(text) else { return text.to_owned() };
            ["errorMessage", "Cause", "cause"]
                .iter()
                .find_map(|k| value.get(k).and_then(|v| v.as_str()))
                .filter(|_| depth > 0)
                .map_or_else(|| text.to_owned(), |inner| dig(inner, depth - 1))
        }
        dig(&self.cause, 5)
    }

    /// Returns the error's name and those of the errors inside the cause. A nested execution ended with one
    /// of them.
    pub fn names(&self) -> Vec<String> {
        let (mut names, mut text) = (vec![self.error.clone()], self.cause.clone());
        for _ in 0..5 {
            let Ok(value) = serde_json::from_str::<serde_json::Value>(&text) else { break };
            let field =
                |names: [&str; 2]| names.iter().find_map(|name| value.get(name)?.as_str().map(str::to_owned));
            names.extend(field(["Error", "errorType"]));
            let Some(inner) = field(["Cause", "errorMessage"]) else { break };
            text = inner;
        }
        names
    }

    /// Returns the kind of the failure: that of the innermost error that Lockstep named. `None` if Step Functions or Lambda
    /// named each of them.
    pub fn kind(&self) -> Option<FailureKind> {
        self.names().iter().rev().find_map(|name| FailureKind::named(name))
    }

    /// Returns the sentence, with the name of its error last.
    pub fn bracketed(&self) -> String {
        match self.kind() {
            Some(kind) => bracketed(&self.sentence(), kind.error_type()),
            None => bracketed(&self.sentence(), &self.error),
        }
    }

    /// Returns the outcome of the execution that ended with the error: stopped for a reason of its own, or failed.
    pub fn outcome(&self) -> Outcome {
        let names = self.names();
        let stopped = STOPPED.iter().find(|(kind, _)| names.iter().any(|name| name == kind.error_type()));
        stopped.map_or(Outcome::Failed, |(_, outcome)| *outcome)
    }
}

/// Returns the error of an execution that ended with `outcome`, if it was stopped and did not fail.
pub fn stopped_with(outcome: Outcome) -> Option<FailureKind> {
    STOPPED.iter().find(|(_, stopped)| *stopped == outcome).map(|(kind, _)| *kind)
}

#[cfg(test)]
mod tests {
    use super::{CaughtError, FailureKind, Outcome, stopped_with};

    #[test]
    fn the_innermost_error_of_lockstep_names_the_failure() {
        let inner =
            serde_json::json!({ "errorType": "StackFailed", "errorMessage": "it rolled back" }).to_string();
        let nested = serde_json::json!({ "Error": "States.TaskFailed", "Cause": inner }).to_string();
        let caught = |error: &str, cause: &str| CaughtError { error: error.into(), cause: cause.into() };
        assert_eq!(caught("States.TaskFailed", &nested).bracketed(), "it rolled back [StackFailed]");
        assert_eq!(caught("States.Timeout", "too long").bracketed(), "too long [States.Timeout]");
        assert_eq!(caught("States.Timeout", "too long").kind(), None);
    }

    #[test]
    fn a_stopped_execution_is_told_apart_from_a_failed_one() {
        let caught = |error: &str, cause: &str| CaughtError { error: error.into(), cause: cause.into() };
        for (kind, outcome) in super::STOPPED {
            let nested = serde_json::json!({ "Error": kind.error_type(), "Cause": "why" }).to_string();
            assert_eq!(caught(kind.error_type(), "why").outcome(), outcome);
            assert_eq!(caught("States.TaskFailed", &nested).outcome(), outcome);
            assert_eq!(stopped_with(outcome), Some(kind));
        }
        assert_eq!(caught("StackFailed", "Cancelled").outcome(), Outcome::Failed);
        assert_eq!(caught(FailureKind::Superseded.error_type(), "why").outcome(), Outcome::Failed);
        assert_eq!(stopped_with(Outcome::Failed), None);
    }

    #[test]
    fn the_sentence_is_extracted_from_nested_causes() {
        let lambda = r#"{"errorType":"StackFailed","errorMessage":"queue exists"}"#;
        let nested = serde_json::json!({"ExecutionArn": "arn", "Cause": lambda}).to_string();
        for cause in [lambda, nested.as_str(), "queue exists"] {
            let caught = CaughtError { error: "StackFailed".into(), cause: cause.into() };
            assert_eq!(caught.sentence(), "queue exists");
        }
    }
}
