//! Values of unquoted YAML words as CloudFormation reads them, which uses YAML 1.1
//! (<https://yaml.org/type/>, <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-formats.html>).
//!
//! YAML 1.1 defines more numbers than CloudFormation reads: `0400`, `22:30`, `1_000`, `0x1F` and `.inf` are numbers there.
//! CloudFormation reads the numbers of JSON only and keeps the others as text
//! (<https://github.com/go-to-k/cdk-real-drift/issues/1125>), so that an account id keeps its leading zero.

use super::node::Value;
use regex::Regex;
use serde_json::Number;
use std::sync::LazyLock;

static INTEGER: LazyLock<Regex> = LazyLock::new(|| regex(r"^-?(0|[1-9][0-9]*)$"));
static FRACTION: LazyLock<Regex> =
    LazyLock::new(|| regex(r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$"));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a literal pattern compiles")
}

/// Returns the value of the unquoted word `text`.
pub(super) fn resolve(text: &str) -> Value {
    let number = || {
        if INTEGER.is_match(text) {
            integer(text)
        } else if FRACTION.is_match(text) {
            fraction(text)
        } else {
            None
        }
    };
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Value::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Value::Bool(false),
        _ => number().map_or_else(|| Value::Text(text.to_owned()), Value::Number),
    }
}

/// Parses an integer. Beyond 64 bits, where digits would be lost, it remains text.
fn integer(text: &str) -> Option<Number> {
    let signed = text.parse::<i64>().ok().map(Number::from);
    signed.or_else(|| text.parse::<u64>().ok().map(Number::from))
}

fn fraction(text: &str) -> Option<Number> {
    text.parse::<f64>().ok().and_then(Number::from_f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> serde_json::Value {
        super::super::node::Node::new(1, resolve(text)).to_json()
    }

    #[test]
    fn dates_and_words_stay_text() {
        for text in [
            "2010-09-09",
            "2012-10-17",
            "2001-12-14t21:59:43Z",
            "y",
            "n",
            "10.0.0.0/16",
            "1.2.3",
            "-",
            ".",
            "a:1",
            "=",
            "arn:aws:s3:::x",
            "t3.micro",
        ] {
            assert_eq!(json(text), serde_json::json!(text), "{text}");
        }
    }

    #[test]
    fn yaml_1_1_truths_are_truths() {
        for text in ["true", "True", "yes", "YES", "on"] {
            assert_eq!(json(text), true, "{text}");
        }
        for text in ["false", "no", "No", "off", "OFF"] {
            assert_eq!(json(text), false, "{text}");
        }
    }

    #[test]
    fn plain_numbers_are_numbers() {
        assert_eq!(json("0"), serde_json::json!(0));
        assert_eq!(json("-7"), serde_json::json!(-7));
        assert_eq!(json("123456789012"), serde_json::json!(123_456_789_012_u64));
        assert_eq!(json("18446744073709551615"), serde_json::json!(u64::MAX));
        assert_eq!(json("0.5"), serde_json::json!(0.5));
        assert_eq!(json("1.5e3"), serde_json::json!(1500.0));
        assert_eq!(json("2e6"), serde_json::json!(2_000_000.0));
    }

    #[test]
    fn numbers_that_json_does_not_know_stay_text() {
        for text in [
            "012345678901",
            "0440",
            "00",
            "+1",
            "1_000",
            "0x1F",
            "0b11",
            "0o17",
            "08:15",
            "1:2:3",
            ".5",
            "1.",
            "01.5",
            ".inf",
            "-.inf",
            ".nan",
            "99999999999999999999",
        ] {
            assert_eq!(json(text), serde_json::json!(text), "{text}");
        }
    }
}
