//! The checks a component declares: run in its throw-away stack and after every deployment.
//!
//! A check passes only on proof: an output that is absent, an answer that cannot be read and a function that did
//! not answer are failures.

use crate::ids::LogicalId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The most characters of a stranger's text that is repeated in a sentence of ours.
const SHOWN_CHARS: usize = 200;

/// One check of `lockstep.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Check {
    /// An output of the stack must match a pattern.
    Output {
        /// The output's name.
        name: LogicalId,
        /// What its value must match; not anchored unless it says so.
        matches: Pattern,
    },
    /// A Lambda function of the stack must answer without an error.
    Lambda {
        /// The stack output that holds the function's name or ARN.
        name: LogicalId,
    },
}

impl Check {
    /// The kinds that run today, as they are written in `kind`.
    pub const KINDS: [&str; 2] = ["output", "lambda"];

    /// The stack output this check reads.
    pub fn output(&self) -> &LogicalId {
        match self {
            Self::Output { name, .. } | Self::Lambda { name } => name,
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Output { name, matches } => write!(f, "output {name} matches {matches}"),
            Self::Lambda { name } => write!(f, "the function in output {name} succeeds"),
        }
    }
}

/// A regular expression in the syntax of the `regex` crate (<https://docs.rs/regex/#syntax>): matching takes time
/// linear in the text, so that no pattern can hang a deployment.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(regex::Regex);

/// A pattern that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// The text is no regular expression.
    #[error("not a regular expression: {0}")]
    Syntax(String),
    /// Longer than [`Pattern::MAX_CHARS`].
    #[error("a pattern of more than {} characters; shorten it", Pattern::MAX_CHARS)]
    TooLong,
    /// Larger than [`Pattern::MAX_COMPILED_BYTES`] once compiled.
    #[error("a pattern that compiles to more than {} KiB; use smaller repetitions", Pattern::MAX_COMPILED_BYTES / 1024)]
    TooLarge,
}

impl Pattern {
    /// The most characters of a pattern.
    pub const MAX_CHARS: usize = 1000;
    /// The most memory a compiled pattern may take, in bytes.
    pub const MAX_COMPILED_BYTES: usize = 256 * 1024;

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether the pattern occurs in `text`.
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl FromStr for Pattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        if text.chars().count() > Self::MAX_CHARS {
            return Err(InvalidPattern::TooLong);
        }
        let compiled = regex::RegexBuilder::new(text).size_limit(Self::MAX_COMPILED_BYTES).build();
        compiled.map(Self).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => InvalidPattern::TooLarge,
            // The crate draws the pattern with a caret below it; its last line says what is wrong.
            other => {
                InvalidPattern::Syntax(other.to_string().lines().last().unwrap_or_default().trim().to_owned())
            }
        })
    }
}

impl TryFrom<String> for Pattern {
    type Error = InvalidPattern;

    fn try_from(text: String) -> Result<Self, InvalidPattern> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        pattern.as_str().to_owned()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether the stack's `outputs` hold a `name` that matches; if not, a sentence that says what they hold instead.
pub fn evaluate_output(
    name: &LogicalId,
    matches: &Pattern,
    outputs: &BTreeMap<String, String>,
) -> Result<(), String> {
    let value = required_output(name, outputs)?;
    if matches.is_match(value) {
        return Ok(());
    }
    Err(format!("output {name} is '{}', which does not match {matches}", shown(value)))
}

/// The name or ARN of the function that a [`Check::Lambda`] calls, as the `FunctionName` of Lambda's Invoke takes it
/// (<https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>); if there is none, a sentence that says so.
pub fn lambda_function<'o>(
    name: &LogicalId,
    outputs: &'o BTreeMap<String, String>,
) -> Result<&'o str, String> {
    let value = required_output(name, outputs)?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_:.$".contains(&b);
    if value.is_empty() || value.len() > 170 || !value.bytes().all(allowed) {
        return Err(format!("output {name} is '{}', which is no function's name or ARN", shown(value)));
    }
    Ok(value)
}

/// Whether a function answered without an error; if not, a sentence with the error it named.
///
/// `function_error` is Invoke's `X-Amz-Function-Error`, and `payload` its body: for a failed function an object with
/// `errorType` and `errorMessage`. The payload of a function that succeeded is its own business.
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
        (None, None) => format!("the function failed ({}) and did not say why", shown(kind)),
    })
}

fn required_output<'o>(name: &LogicalId, outputs: &'o BTreeMap<String, String>) -> Result<&'o str, String> {
    if let Some(value) = outputs.get(name.as_str()) {
        return Ok(value);
    }
    let names: Vec<&str> = outputs.keys().take(20).map(String::as_str).collect();
    let others = if names.is_empty() { "none at all".to_owned() } else { names.join(", ") };
    Err(format!("the stack has no output {name}; it has {others}"))
}

/// `text` on one line, without control characters, cut to [`SHOWN_CHARS`].
fn shown(text: &str) -> String {
    let mut shown: String =
        text.chars().take(SHOWN_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(text: &str) -> LogicalId {
        text.parse().unwrap()
    }

    fn pattern(text: &str) -> Pattern {
        text.parse().unwrap()
    }

    fn outputs(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn an_output_that_matches_passes() {
        let outputs = outputs(&[("Host", "broker.example.com")]);
        assert_eq!(evaluate_output(&id("Host"), &pattern("^[a-z.]+$"), &outputs), Ok(()));
    }

    #[test]
    fn an_output_that_does_not_match_is_told_with_its_value() {
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
            evaluate_output(&id("Host"), &pattern(""), &BTreeMap::new()),
            Err("the stack has no output Host; it has none at all".to_owned())
        );
    }

    #[test]
    fn a_pattern_is_bounded_in_length_and_in_memory() {
        assert_eq!("a".repeat(1001).parse::<Pattern>(), Err(InvalidPattern::TooLong));
        // The second would be within the bound that the crate has by itself.
        for large in ["(a{1000}){1000}", "(a{100}){100}"] {
            assert_eq!(large.parse::<Pattern>(), Err(InvalidPattern::TooLarge), "{large}");
        }
        assert!("a".repeat(1000).parse::<Pattern>().is_ok());
    }

    #[test]
    fn a_wrong_pattern_is_explained_on_one_line() {
        let error = "(".parse::<Pattern>().unwrap_err().to_string();
        assert_eq!(error, "not a regular expression: error: unclosed group");
    }

    #[test]
    fn a_function_passes_when_it_answers_without_an_error() {
        assert_eq!(evaluate_lambda(None, b"{\"errorMessage\": \"mine\"}"), Ok(()));
        assert_eq!(evaluate_lambda(None, b""), Ok(()));
    }

    #[test]
    fn a_failed_function_is_told_with_its_error() {
        let payload = br#"{"errorType": "Refused", "errorMessage": "no\nbroker", "stackTrace": []}"#;
        assert_eq!(
            evaluate_lambda(Some("Unhandled"), payload),
            Err("the function failed with Refused: no broker".to_owned())
        );
        assert_eq!(
            evaluate_lambda(Some("Unhandled"), b"not json"),
            Err("the function failed (Unhandled) and did not say why".to_owned())
        );
    }

    #[test]
    fn only_what_can_be_a_function_is_called() {
        let arn = "arn:aws:lambda:eu-west-1:111111111111:function:probe:$LATEST";
        for good in ["probe", arn] {
            assert_eq!(lambda_function(&id("Probe"), &outputs(&[("Probe", good)])), Ok(good));
        }
        for bad in ["", "a b", "../probe", &"x".repeat(171)] {
            assert!(lambda_function(&id("Probe"), &outputs(&[("Probe", bad)])).is_err(), "{bad}");
        }
        assert!(lambda_function(&id("Probe"), &BTreeMap::new()).is_err());
    }

    #[test]
    fn a_check_is_stored_by_its_kind_and_its_pattern_is_checked_when_read_back() {
        let check = Check::Output { name: id("Host"), matches: pattern("^x$") };
        let stored = serde_json::to_string(&check).unwrap();
        assert_eq!(stored, r#"{"kind":"output","name":"Host","matches":"^x$"}"#);
        assert_eq!(serde_json::from_str::<Check>(&stored).unwrap(), check);
        assert!(serde_json::from_str::<Check>(r#"{"kind":"output","name":"Host","matches":"("}"#).is_err());
    }

    proptest! {
        #[test]
        fn a_failure_is_one_bounded_line_whatever_the_stack_answered(value in "\\PC*|[\\x00-\\x7f]*") {
            let sentence = evaluate_output(&id("X"), &pattern("^$a"), &outputs(&[("X", &value)])).unwrap_err();
            prop_assert!(!sentence.contains(char::is_control));
            prop_assert!(sentence.chars().count() < SHOWN_CHARS + 60);
        }
    }
}
