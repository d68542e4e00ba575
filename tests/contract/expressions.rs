//! JSONata: every expression parses, and lists stay lists.

use crate::machine::{MACHINES, all_states, definition};
use jsonata_core::evaluator::{Context, Evaluator};
use jsonata_core::parser;
use jsonata_core::value::JValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Every JSONata expression in `value`, without its `{% %}`.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.extend(expression(text).map(str::to_owned)),
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        Value::Object(map) => map.values().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

/// The expression that a text of a state machine is, if it is one
/// (<https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html>).
fn expression(text: &str) -> Option<&str> {
    text.strip_prefix("{%")?.strip_suffix("%}").map(str::trim)
}

/// What `source` gives with these variables.
fn evaluate(source: &str, variables: &BTreeMap<&str, Value>) -> Result<Value, String> {
    let ast = parser::parse(source).map_err(|error| error.to_string())?;
    let mut context = Context::new();
    for (name, value) in variables {
        let value = JValue::from_json_str(&value.to_string()).map_err(|error| error.to_string())?;
        context.bind((*name).to_owned(), value);
    }
    let result =
        Evaluator::with_context(context).evaluate(&ast, &JValue::Null).map_err(|error| error.to_string())?;
    if result.is_undefined() {
        return Err(format!("{source} gives nothing"));
    }
    serde_json::from_str(&result.to_json_string().map_err(|e| e.to_string())?).map_err(|e| e.to_string())
}

/// `value` with its expressions replaced by what they give, as Step Functions does it.
pub fn render(value: &Value, variables: &BTreeMap<&str, Value>) -> Result<Value, String> {
    match value {
        Value::String(text) => match expression(text) {
            Some(source) => evaluate(source, variables),
            None => Ok(value.clone()),
        },
        Value::Array(items) => items.iter().map(|item| render(item, variables)).collect(),
        Value::Object(map) => map.iter().map(|(k, v)| Ok((k.clone(), render(v, variables)?))).collect(),
        plain => Ok(plain.clone()),
    }
}

#[test]
fn every_expression_parses() {
    for machine in MACHINES {
        let mut found = Vec::new();
        expressions(&definition(machine), &mut found);
        assert!(found.len() > 10, "{machine} has only {} expressions", found.len());
        for source in found {
            let parsed = parser::parse(&source);
            assert!(parsed.is_ok(), "{machine}: {source}: {}", parsed.unwrap_err());
        }
    }
}

#[test]
fn a_broken_expression_would_be_found() {
    assert!(parser::parse("$states.input.components[outcome = 'packaged'").is_err());
    assert!(evaluate("$states.input.nothing", &BTreeMap::from([("states", json!({"input": {}}))])).is_err());
}

#[test]
fn no_expression_is_half_marked() {
    for state in all_states() {
        let text = state.value.to_string();
        assert_eq!(text.matches("{%").count(), text.matches("%}").count(), "{}", state.at());
        assert_eq!(
            text.matches("{%").count(),
            text.matches("\"{%").count(),
            "{}: text before an expression",
            state.at()
        );
        assert_eq!(
            text.matches("%}").count(),
            text.matches("%}\"").count(),
            "{}: text after an expression",
            state.at()
        );
    }
}

/// Variables in which every list that a Map may walk through has `count` items.
fn lists_of(count: usize) -> BTreeMap<&'static str, Value> {
    let component = |n: usize| json!({"component": format!("c{n}"), "outcome": "packaged"});
    let mut components: Vec<Value> = (0..count).map(component).collect();
    components.push(json!({"component": "untouched", "outcome": "unchanged"}));
    let items: Vec<Value> = (0..count).map(|n| json!({"execution": format!("e{n}")})).collect();
    BTreeMap::from([
        ("states", json!({"input": {"components": components, "images": items}})),
        ("component", json!({"deployments": items})),
    ])
}

#[test]
fn every_map_walks_through_no_item_one_item_and_two() {
    let states = all_states();
    let maps: Vec<_> = states.iter().filter(|s| s.text("Type") == "Map").collect();
    assert_eq!(maps.len(), 3);
    for state in maps {
        let source = expression(state.text("Items")).unwrap();
        for count in 0..3 {
            let items = evaluate(source, &lists_of(count)).unwrap();
            let items = items.as_array().unwrap_or_else(|| panic!("{} makes {items} of {count}", state.at()));
            assert_eq!(items.len(), count, "{}", state.at());
            assert!(items.iter().all(Value::is_object), "{} makes a list of lists", state.at());
        }
    }
}
