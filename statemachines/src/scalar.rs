//! The value of a plain scalar: a word without quotes.

use crate::node::Value;

/// Words that YAML 1.1 and 1.2 read as something else than text, in one of their spellings.
const WORDS: [&str; 13] = ["", "~", "=", "<<", "y", "n", "yes", "no", "on", "off", "true", "false", "null"];

/// Returns the value of a plain scalar; `None` for one that readers of YAML do not agree on.
///
/// Strict, so that an editor, a linter and the renderer see the same value: what begins like a number must be a number
/// of JSON, and `yes` must be in quotes.
pub(crate) fn resolve(text: &str) -> Option<Value> {
    match text {
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        "null" => Some(Value::Null),
        _ if text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first)) => number(text),
        _ if WORDS.contains(&text.to_ascii_lowercase().as_str()) => None,
        _ => Some(Value::Text(text.to_owned())),
    }
}

/// Returns a number without an exponent, which YAML 1.1 and 1.2 read differently.
fn number(text: &str) -> Option<Value> {
    let plain = text.chars().all(|c| c.is_ascii_digit() || c == '-' || c == '.');
    serde_json::from_str(text).ok().filter(|_| plain).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_truth_and_null_are_those_of_json() {
        assert!(matches!(resolve("true"), Some(Value::Bool(true))));
        assert!(matches!(resolve("false"), Some(Value::Bool(false))));
        assert!(matches!(resolve("null"), Some(Value::Null)));
        for text in ["0", "60", "-1", "1.1"] {
            let Some(Value::Number(number)) = resolve(text) else { panic!("{text}") };
            assert_eq!(number.to_string(), text);
        }
    }

    #[test]
    fn words_are_text() {
        for text in
            ["Begin", "${StackFunction}", "arn:${Partition}:states:::lambda:invoke", "$x", "yesterday"]
        {
            let Some(Value::Text(read)) = resolve(text) else { panic!("{text}") };
            assert_eq!(read, text);
        }
    }

    #[test]
    fn what_readers_of_yaml_disagree_on_has_no_value() {
        for text in ["", "~", "yes", "No", "ON", "off", "y", "True", "NULL", "007", "0x1f", "1e3", "+1", ".5"]
        {
            assert!(resolve(text).is_none(), "{text}");
        }
        for text in ["2026-01-01", "12:30", "1_000", ".inf", ".nan", "-", "1.", "=", "<<"] {
            assert!(resolve(text).is_none(), "{text}");
        }
    }
}
