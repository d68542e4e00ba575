//! JSONata: every expression parses, and lists remain lists.

use crate::machine::{MACHINES, all_states, definition};
pub use lockstep_tests::asl::expressions::render;
use lockstep_tests::asl::expressions::{check, evaluate, expression};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Collects every JSONata expression in `value`, without its `{% %}`.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.extend(expression(text).map(str::to_owned)),
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        Value::Object(map) => map.values().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

#[test]
fn every_expression_parses() {
    for machine in MACHINES {
        let mut found = Vec::new();
        expressions(&definition(machine), &mut found);
        assert!(found.len() > 10, "{machine} has only {} expressions", found.len());
        for source in found {
            check(&source).unwrap_or_else(|error| panic!("{machine}: {source}: {error}"));
        }
    }
}

#[test]
fn a_broken_expression_would_be_found() {
    assert!(check("$states.input.components[outcome = 'packaged'").is_err());
    let nothing = BTreeMap::from([("states", json!({"input": {}}))]);
    assert!(evaluate("$states.input.nothing", &nothing).is_err());
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

/// Returns variables in which every list that a Map can process has `count` items.
fn lists_of(count: usize) -> BTreeMap<&'static str, Value> {
    let items: Vec<Value> = (0..count).map(|n| json!({"execution": format!("e{n}")})).collect();
    BTreeMap::from([
        (
            "states",
            json!({"input": {"ready": items, "environments": items, "missing": items, "places": items, "recipes": items}}),
        ),
        ("component", json!({"deployments": items})),
    ])
}

#[test]
fn every_map_accepts_no_item_one_item_and_two_items() {
    let states = all_states();
    let maps: Vec<_> = states.iter().filter(|s| s.text("Type") == "Map").collect();
    assert_eq!(maps.len(), 7);
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
