//! Values of unquoted YAML words as CloudFormation reads them, which uses YAML 1.1
//! (<https://yaml.org/type/>, <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-formats.html>).
//!
//! YAML 1.1 turns `012345678901` into a number, `22:30` into 1350 and `1_000` into 1000. Where an account id, a time or
//! a port mapping could silently become another value, parsing reports a problem and asks for quotes.

use super::node::Value;
use regex::Regex;
use serde_json::Number;
use std::sync::LazyLock;

static INTEGER: LazyLock<Regex> = LazyLock::new(|| regex(r"^-?(0|[1-9][0-9]*)$"));
static FRACTION: LazyLock<Regex> = LazyLock::new(|| regex(r"^-?(0|[1-9][0-9]*)?\.[0-9]*([eE][-+]?[0-9]+)?$"));
static OTHER_NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    regex(concat!(
        r"^[-+]?(",
        r"[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9]+)?", // leading zeros or plus, underscores, exponents
        r"|\.[0-9_]+([eE][-+]?[0-9]+)?",
        r"|0x[0-9a-fA-F_]+|0b[01_]+|0o[0-7_]+",
        r"|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?", // base 60
        r"|\.inf|\.Inf|\.INF|\.nan|\.NaN|\.NAN",
        r")$"
    ))
});

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a literal pattern compiles")
}

/// Returns the value of the unquoted word `text`; `None` if YAML versions disagree about number or text.
pub(super) fn resolve(text: &str) -> Option<Value> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Some(Value::Null),
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(Value::Bool(true)),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(Value::Bool(false)),
        _ if INTEGER.is_match(text) => integer(text).map(Value::Number),
        _ if text != "." && text != "-." && FRACTION.is_match(text) => fraction(text).map(Value::Number),
        _ if OTHER_NUMBER.is_match(text) => None,
        _ => Some(Value::Text(text.to_owned())),
    }
}

/// Parses an integer; `None` beyond 64 bits, where digits would be lost.
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

    fn json(text: &str) -> Option<serde_json::Value> {
        let node = |value| super::super::node::Node { line: 1, value };
        resolve(text).map(|value| node(value).to_json())
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
            assert_eq!(json(text), Some(text.into()), "{text}");
        }
    }

    #[test]
    fn yaml_1_1_truths_are_truths() {
        for text in ["true", "True", "yes", "YES", "on"] {
            assert_eq!(json(text), Some(true.into()), "{text}");
        }
        for text in ["false", "no", "No", "off", "OFF"] {
            assert_eq!(json(text), Some(false.into()), "{text}");
        }
    }

    #[test]
    fn plain_numbers_are_numbers() {
        assert_eq!(json("0"), Some(0.into()));
        assert_eq!(json("-7"), Some((-7).into()));
        assert_eq!(json("123456789012"), Some(123_456_789_012_u64.into()));
        assert_eq!(json("18446744073709551615"), Some(u64::MAX.into()));
        assert_eq!(json("0.5"), Some(0.5.into()));
        assert_eq!(json(".5"), Some(0.5.into()));
        assert_eq!(json("1.5e3"), Some(1500.0.into()));
    }

    #[test]
    fn words_that_only_some_parsers_read_as_numbers_need_quotes() {
        for text in [
            "012345678901",
            "0123",
            "00",
            "+1",
            "1_000",
            "0x1F",
            "0b11",
            "0o17",
            "22:30",
            "1:2:3",
            "1e3",
            "01.5",
            ".inf",
            "-.inf",
            ".nan",
            "99999999999999999999",
        ] {
            assert_eq!(json(text), None, "{text}");
        }
    }
}
