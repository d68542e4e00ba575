//! The error that a state machine caught.

use serde::{Deserialize, Serialize};

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
}

#[cfg(test)]
mod tests {
    use super::CaughtError;

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
