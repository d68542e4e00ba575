//! Evaluates the response to a check: the check passes, or a sentence gives the reason of its failure.

use super::{Outputs, Pattern, required_output, shown};
use crate::model::ids::LogicalId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// Maximum bytes of a body that are read; a health page fits.
pub const BODY_BYTES_MAX: usize = 64 << 10;

/// The HTTP statuses that a check expects; 200 by default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeSet<u16>", into = "BTreeSet<u16>")]
pub struct Statuses(BTreeSet<u16>);

/// Statuses that no check can expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a status from 200 to 599, or a list of one to twenty of them")]
pub struct InvalidStatuses;

impl Statuses {
    const COUNT_MAX: usize = 20;

    /// Returns true if `status` is expected.
    pub fn contain(&self, status: u16) -> bool {
        self.0.contains(&status)
    }
}

impl Default for Statuses {
    fn default() -> Self {
        Self([200].into())
    }
}

impl TryFrom<BTreeSet<u16>> for Statuses {
    type Error = InvalidStatuses;

    fn try_from(statuses: BTreeSet<u16>) -> Result<Self, InvalidStatuses> {
        let few = (1..=Self::COUNT_MAX).contains(&statuses.len());
        if few && statuses.iter().all(|status| (200..=599).contains(status)) {
            Ok(Self(statuses))
        } else {
            Err(InvalidStatuses)
        }
    }
}

impl From<Statuses> for BTreeSet<u16> {
    fn from(statuses: Statuses) -> Self {
        statuses.0
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.0.iter().map(u16::to_string).collect();
        f.write_str(&all.join(" or "))
    }
}

/// Checks an HTTP response against the expected statuses and pattern.
///
/// `body` is the beginning of the response, at most [`BODY_BYTES_MAX`]. No message repeats it, because a peer's
/// response may be confidential. Bytes that are not UTF-8 match as `U+FFFD`.
pub fn evaluate_http(
    wanted: &Statuses,
    matches: Option<&Pattern>,
    status: u16,
    body: &[u8],
) -> Result<(), String> {
    if !wanted.contain(status) {
        return Err(format!("it answered {status}, not {wanted}"));
    }
    match matches {
        Some(pattern) if !pattern.is_match(&String::from_utf8_lossy(body)) => {
            let kib = BODY_BYTES_MAX / 1024;
            Err(format!("it answered {status}, but its body (the first {kib} KiB) does not match {pattern}"))
        }
        _ => Ok(()),
    }
}

/// Checks that `outputs` has a `name` whose value matches. The error is a sentence with the actual value or the names
/// of the outputs.
pub fn evaluate_output(name: &LogicalId, matches: &Pattern, outputs: &Outputs) -> Result<(), String> {
    let value = required_output(name, outputs)?;
    if matches.is_match(value) {
        return Ok(());
    }
    Err(format!("output {name} is '{}', which does not match {matches}", shown(value)))
}

/// Returns the name or ARN of the function that a [`Check::Lambda`](super::Check::Lambda) invokes, in the form of
/// Invoke's `FunctionName` (<https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>). The error is a sentence
/// with the reason.
pub fn lambda_function<'o>(name: &LogicalId, outputs: &'o Outputs) -> Result<&'o str, String> {
    let value = required_output(name, outputs)?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_:.$".contains(&b);
    if value.is_empty() || value.len() > 170 || !value.bytes().all(allowed) {
        return Err(format!("output {name} is '{}', which is no function's name or ARN", shown(value)));
    }
    Ok(value)
}

/// Checks that a function returned without an error. The error is a sentence with the function's own error.
///
/// `function_error` is Invoke's `X-Amz-Function-Error`, and `payload` its body: for a failed function an object with
/// `errorType` and `errorMessage`. The payload of a function that succeeded is ignored.
pub fn evaluate_lambda(function_error: Option<&str>, payload: &[u8]) -> Result<(), String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Reported {
        error_type: Option<String>,
        error_message: Option<String>,
    }
    let Some(kind) = function_error else { return Ok(()) };
    let reported: Option<Reported> = serde_json::from_slice(payload).ok();
    let (error_type, message) = reported.map_or((None, None), |r| (r.error_type, r.error_message));
    Err(match (error_type, message) {
        (Some(error), Some(message)) => {
            format!("the function failed with {}: {}", shown(&error), shown(&message))
        }
        (Some(text), None) | (None, Some(text)) => format!("the function failed: {}", shown(&text)),
        (None, None) => format!("the function failed ({}) without a message", shown(kind)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::checks::SHOWN_CHARS;
    use proptest::prelude::*;

    fn id(text: &str) -> LogicalId {
        text.parse().unwrap()
    }

    fn pattern(text: &str) -> Pattern {
        text.parse().unwrap()
    }

    fn outputs(entries: &[(&str, &str)]) -> Outputs {
        entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn an_output_that_matches_passes() {
        let outputs = outputs(&[("Host", "broker.example.com")]);
        assert_eq!(evaluate_output(&id("Host"), &pattern("^[a-z.]+$"), &outputs), Ok(()));
    }

    #[test]
    fn an_output_that_does_not_match_is_reported_with_its_value() {
        let outputs = outputs(&[("Host", "UNKNOWN")]);
        assert_eq!(
            evaluate_output(&id("Host"), &pattern("^[a-z.]+$"), &outputs),
            Err("output Host is 'UNKNOWN', which does not match ^[a-z.]+$".to_owned())
        );
    }

    #[test]
    fn an_absent_output_fails_even_a_pattern_that_matches_anything() {
        assert_eq!(
            evaluate_output(&id("Host"), &pattern(""), &outputs(&[("Port", "1"), ("Url", "x")])),
            Err("the stack has no output Host; it has Port, Url".to_owned())
        );
        assert_eq!(
            evaluate_output(&id("Host"), &pattern(""), &Outputs::new()),
            Err("the stack has no output Host; it has none at all".to_owned())
        );
    }

    #[test]
    fn a_function_passes_when_it_returns_without_an_error() {
        assert_eq!(evaluate_lambda(None, b"{\"errorMessage\": \"mine\"}"), Ok(()));
        assert_eq!(evaluate_lambda(None, b""), Ok(()));
    }

    #[test]
    fn a_failed_function_is_reported_with_its_error() {
        let payload = br#"{"errorType": "Refused", "errorMessage": "no\nbroker", "stackTrace": []}"#;
        assert_eq!(
            evaluate_lambda(Some("Unhandled"), payload),
            Err("the function failed with Refused: no broker".to_owned())
        );
        assert_eq!(
            evaluate_lambda(Some("Unhandled"), b"not json"),
            Err("the function failed (Unhandled) without a message".to_owned())
        );
    }

    #[test]
    fn only_a_function_name_or_arn_is_invoked() {
        let arn = "arn:aws:lambda:eu-west-1:111111111111:function:probe:$LATEST";
        for good in ["probe", arn] {
            assert_eq!(lambda_function(&id("Probe"), &outputs(&[("Probe", good)])), Ok(good));
        }
        for bad in ["", "a b", "../probe", &"x".repeat(171)] {
            assert!(lambda_function(&id("Probe"), &outputs(&[("Probe", bad)])).is_err(), "{bad}");
        }
        assert!(lambda_function(&id("Probe"), &Outputs::new()).is_err());
    }

    #[test]
    fn an_http_response_needs_an_expected_status_and_a_matching_body() {
        let wanted = Statuses::try_from(BTreeSet::from([200, 204])).unwrap();
        let judged = |matches: Option<&str>, status, body: &[u8]| {
            evaluate_http(&wanted, matches.map(pattern).as_ref(), status, body)
        };
        assert_eq!(judged(None, 204, b""), Ok(()));
        assert_eq!(judged(Some("^ok"), 200, b"ok \xff"), Ok(()));
        assert_eq!(judged(None, 503, b""), Err("it answered 503, not 200 or 204".to_owned()));
        // A matching body does not compensate for the status.
        assert_eq!(judged(Some("ok"), 500, b"ok"), Err("it answered 500, not 200 or 204".to_owned()));
        let reported = judged(Some("^ok$"), 200, b"password=hunter2").unwrap_err();
        assert_eq!(reported, "it answered 200, but its body (the first 64 KiB) does not match ^ok$");
        assert!(judged(Some("."), 200, b"").is_err());
    }

    #[test]
    fn expected_statuses_are_final_and_bounded_in_number() {
        let of = |statuses: &[u16]| Statuses::try_from(statuses.iter().copied().collect::<BTreeSet<_>>());
        assert!(of(&[200, 301, 599]).is_ok());
        for bad in [&[][..], &[100], &[600], &[200, 0], &(200..221).collect::<Vec<_>>()] {
            assert_eq!(of(bad), Err(InvalidStatuses), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_failure_is_one_bounded_line_for_any_output(value in "\\PC*|[\\x00-\\x7f]*") {
            let sentence = evaluate_output(&id("X"), &pattern("^$a"), &outputs(&[("X", &value)])).unwrap_err();
            prop_assert!(!sentence.contains(char::is_control));
            prop_assert!(sentence.chars().count() < SHOWN_CHARS + 60);
        }
    }
}
