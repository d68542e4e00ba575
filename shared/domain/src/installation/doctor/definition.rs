//! Compares the definition of a deployed state machine with the source that it was rendered from.

use serde_json::Value;

/// Returns true if `deployed` is `source` with each `${Placeholder}` replaced by some text.
///
/// CloudFormation replaces placeholders inside strings
/// (<https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-stepfunctions-statemachine.html>),
/// so everything else must be equal as a JSON value.
pub fn is_rendered_from(deployed: &Value, source: &Value) -> bool {
    match (deployed, source) {
        (Value::Object(deployed), Value::Object(source)) => {
            deployed.len() == source.len()
                && source.iter().all(|(key, source)| {
                    deployed.get(key).is_some_and(|deployed| is_rendered_from(deployed, source))
                })
        }
        (Value::Array(deployed), Value::Array(source)) => {
            deployed.len() == source.len()
                && deployed.iter().zip(source).all(|(deployed, source)| is_rendered_from(deployed, source))
        }
        (Value::String(deployed), Value::String(source)) => is_text_rendered_from(deployed, source),
        _ => deployed == source,
    }
}

/// Returns true if the fixed parts of `source` fill `deployed` in their order, from its start to its end.
fn is_text_rendered_from(deployed: &str, source: &str) -> bool {
    let parts = fixed_parts(source);
    let [first, middle @ .., last] = parts.as_slice() else { return deployed == source };
    let Some(mut rest) = deployed.strip_prefix(first) else { return false };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Returns the text around placeholders; one part if there is no placeholder.
fn fixed_parts(source: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = source;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, behind)) = after.split_once('}') else { break };
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            break;
        }
        parts.push(before);
        rest = behind;
    }
    parts.push(rest);
    parts
}

#[cfg(test)]
mod tests {
    use super::is_rendered_from;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_placeholder_stands_for_any_text() {
        let source =
            json!({"States": {"A": {"Resource": "arn:${Partition}:states:::lambda:invoke", "N": 1}}});
        let deployed = json!({"States": {"A": {"Resource": "arn:aws:states:::lambda:invoke", "N": 1}}});
        assert!(is_rendered_from(&deployed, &source));
        assert!(is_rendered_from(&json!("x-y"), &json!("${A}-${B}")));
    }

    #[test]
    fn every_other_difference_counts() {
        let source = json!({"A": ["${X}", "b"], "C": true});
        for deployed in [
            json!({"A": ["x", "c"], "C": true}),
            json!({"A": ["x", "b"], "C": false}),
            json!({"A": ["x", "b", "d"], "C": true}),
            json!({"A": ["x", "b"]}),
            json!({"A": ["x", "b"], "C": true, "D": 1}),
            json!({"A": [1, "b"], "C": true}),
        ] {
            assert!(!is_rendered_from(&deployed, &source), "{deployed}");
        }
        assert!(!is_rendered_from(&json!("arn:aws:states:::other"), &json!("arn:${P}:states:::lambda")));
        assert!(!is_rendered_from(&json!("prefix-only"), &json!("prefix")));
    }

    proptest! {
        #[test]
        fn a_rendered_text_is_always_recognised(
            parts in proptest::collection::vec("[a-z:]{0,5}", 1..5), value in "[a-z0-9-]{0,6}",
        ) {
            let source = parts.join("${Name}");
            let deployed = parts.join(&value);
            prop_assert!(is_rendered_from(&json!(deployed), &json!(source)));
        }
    }
}
