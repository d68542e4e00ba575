//! The request that checks if a function starts, and its response.
//!
//! An installer sends it by invoking a function directly. A request to a function's URL always arrives as an object
//! with `requestContext` and more fields. Its sender controls only the values inside, so such a request never equals
//! this one.

use serde_json::{Value, json};

/// Returns the payload of the request.
pub fn question() -> Value {
    json!({ "lockstep": "ping" })
}

/// Returns the response of a function of this version, or `None` if the payload is not the request.
pub fn answer(payload: &Value, version: &str) -> Option<Value> {
    (*payload == question()).then(|| json!({ "lockstep": "pong", "version": version }))
}

/// Returns the version in a response, or `None` if the response has another form.
pub fn version(answer: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let version = answer.get("version").filter(|_| answer["lockstep"] == "pong")?;
    version.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_is_answered_with_the_version() {
        let answered = answer(&question(), "1.2.3").unwrap();
        assert_eq!(version(answered.to_string().as_bytes()).as_deref(), Some("1.2.3"));
        for other in ["{}", r#"{"version": "1.2.3"}"#, "pong", r#"{"lockstep": "pong"}"#] {
            assert_eq!(version(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn no_other_payload_is_a_ping() {
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
