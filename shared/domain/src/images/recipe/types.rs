//! Types of variables, as Packer converts values to them.

use serde_json::Value;

/// Returns true if Packer accepts the value for a variable of type `wanted`. Packer converts text to the value that it
/// spells, and numbers to text. Values of layers are scalars and lists of these, so no value is a map.
pub(super) fn fits(value: &Value, wanted: &str) -> bool {
    let wanted = wanted.trim().trim_matches('"').trim();
    match (constructor(wanted), value) {
        (Some(("list" | "set", item)), Value::Array(items)) => items.iter().all(|value| fits(value, item)),
        (Some(("tuple", _)), value) => value.is_array(),
        (Some(("list" | "set" | "map" | "object", _)), _) => false,
        (Some(("optional", inner)), value) => fits(value, inner),
        (Some(_), _) => true,
        (None, value) => match (wanted, value) {
            ("string", value) => !value.is_array() && !value.is_object(),
            ("number", Value::String(text)) => text.parse::<f64>().is_ok_and(f64::is_finite),
            ("number", value) => value.is_number(),
            ("bool", Value::String(text)) => matches!(text.as_str(), "true" | "false"),
            ("bool", value) => value.is_boolean(),
            ("list" | "set", value) => value.is_array(),
            ("map", value) => value.is_object(),
            _ => true,
        },
    }
}

/// Splits `list(string)` into its name and its argument.
fn constructor(of: &str) -> Option<(&str, &str)> {
    let (name, rest) = of.split_once('(')?;
    Some((name.trim(), rest.trim_end().strip_suffix(')')?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_value_fits_its_type_as_packer_converts_it() {
        for (wanted, right, wrong) in [
            ("string", vec![json!("a"), json!(1), json!(true)], vec![json!([])]),
            ("number", vec![json!(1), json!("1.5")], vec![json!("large"), json!(true), json!([1])]),
            ("bool", vec![json!(true), json!("false")], vec![json!("yes"), json!(1)]),
            ("list(number)", vec![json!([1, "2"]), json!([])], vec![json!(["large"]), json!(1), json!("1")]),
            ("set( bool )", vec![json!([true])], vec![json!([2])]),
            ("list(list(number))", vec![json!([])], vec![json!([1]), json!(1)]),
            ("map(string)", vec![], vec![json!("a"), json!(["a"])]),
            ("object({ a = string })", vec![], vec![json!("a"), json!([])]),
            ("tuple([string, number])", vec![json!(["a", 1])], vec![json!("a")]),
            ("\"number\"", vec![json!(1)], vec![json!("large")]),
            ("any", vec![json!(1), json!(["a"])], vec![]),
        ] {
            assert!(right.iter().all(|value| fits(value, wanted)), "{wanted}: {right:?}");
            assert!(!wrong.iter().any(|value| fits(value, wanted)), "{wanted}: {wrong:?}");
        }
    }
}
