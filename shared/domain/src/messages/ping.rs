//! The question whether a function starts, and its answer.
//!
//! An installer asks it by invoking a function directly. A request to a function's URL always arrives as an object with
//! `requestContext` and more, and its sender writes only what is inside: such a request never equals the question.

use serde_json::{Value, json};

/// Returns the payload that asks.
pub fn question() -> Value {
    json!({ "lockstep": "ping" })
}

/// Returns what a function of this version answers if a payload asks, and nothing if it does not.
pub fn answer(payload: &Value, version: &str) -> Option<Value> {
    (*payload == question()).then(|| json!({ "lockstep": "pong", "version": version }))
}

/// Returns the version in an answer; nothing if it answers something else.
pub fn version(answer: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let version = answer.get("version").filter(|_| answer["lockstep"] == "pong")?;
    version.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_is_answered_with_the_version() {
        let answered = answer(&question(), "1.2.3").unwrap();
        assert_eq!(version(answered.to_string().as_bytes()).as_deref(), Some("1.2.3"));
        for other in ["{}", r#"{"version": "1.2.3"}"#, "pong", r#"{"lockstep": "pong"}"#] {
            assert_eq!(version(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn nothing_else_is_the_question() {
        let asked = question().to_string();
        for payload in [
            json!({ "lockstep": "pong" }),
            json!({ "lockstep": "ping", "action": "begin" }),
            json!({ "body": asked }),
            json!({ "lockstep": "ping", "requestContext": {}, "body": asked }),
            json!(asked),
            json!([question()]),
        ] {
            assert_eq!(answer(&payload, "1.2.3"), None, "{payload}");
        }
    }
}
