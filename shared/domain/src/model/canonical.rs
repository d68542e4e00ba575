//! JSON with bytes that depend on its content alone, for digests.

use serde_json::Value;

/// Returns the text of `value` with the keys of every object in order.
///
/// `serde_json` sorts keys by default, but any crate of the same build can turn on the order of insertion.
/// Digests must not depend on the other crates of a build.
pub(crate) fn canonical_json(value: Value) -> String {
    sorted(value).to_string()
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.into_iter().collect();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(entries.into_iter().map(|(key, value)| (key, sorted(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::canonical_json;
    use serde_json::{Map, Value, json};

    #[test]
    fn the_order_of_insertion_does_not_show() {
        let mut object = Map::new();
        object.insert("b".into(), json!([{"d": 1, "c": 2}]));
        object.insert("a".into(), json!(null));
        assert_eq!(canonical_json(Value::Object(object)), r#"{"a":null,"b":[{"c":2,"d":1}]}"#);
    }
}
