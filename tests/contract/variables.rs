//! Variables of the state machines: the scopes that assign them, and the names that they hide.
//!
//! AWS rejects a definition in which a Map or a Parallel assigns a variable that an outer scope assigns too
//! (<https://docs.aws.amazon.com/step-functions/latest/dg/workflow-variables.html>). Neither the local cloud nor a
//! linter checks this.

use crate::machine::{MACHINES, definition};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The functions that a JSONata expression can call by name: JSONata's own (<https://docs.jsonata.org/>, function
/// library) and those that Step Functions adds. A variable of the same name hides the function.
const FUNCTIONS: &str = "string length substring substringBefore substringAfter uppercase lowercase trim pad contains \
    split join match replace eval base64encode base64decode encodeUrlComponent encodeUrl decodeUrlComponent decodeUrl \
    number abs floor ceil round power sqrt random formatNumber formatBase formatInteger parseInteger sum max min average \
    boolean not exists count append sort reverse shuffle distinct zip keys lookup spread merge sift each error assert \
    type now millis fromMillis toMillis map filter single reduce partition range hash uuid parse";

/// The name that Step Functions reserves.
const RESERVED: &str = "states";

/// A variable that two nested scopes assign: the state of the inner scope, and the name.
type Clash = (String, String);

/// Returns every clash in a definition.
fn clashes(machine: &Value) -> Vec<Clash> {
    let mut found = Vec::new();
    walk(machine, &BTreeSet::new(), &mut found);
    found
}

/// Collects the clashes in the scope whose states are `scope["States"]`. The enclosing scopes assign `outside`.
fn walk(scope: &Value, outside: &BTreeSet<String>, found: &mut Vec<Clash>) {
    let states = scope["States"].as_object().expect("a scope has states");
    let mut assigned = outside.clone();
    for (state, value) in states {
        for name in assigned_by(value) {
            if outside.contains(&name) {
                found.push((state.clone(), name.clone()));
            }
            assigned.insert(name);
        }
    }
    for inner in states.values().flat_map(inner_scopes) {
        walk(inner, &assigned, found);
    }
}

/// Returns the scopes inside a state: the body of a Map, the branches of a Parallel.
fn inner_scopes(state: &Value) -> Vec<&Value> {
    let branches = state["Branches"].as_array().into_iter().flatten();
    ["ItemProcessor", "Iterator"].iter().filter_map(|field| state.get(*field)).chain(branches).collect()
}

/// Returns the variables that a state assigns: itself, in a Catch or in a choice.
fn assigned_by(state: &Value) -> Vec<String> {
    let entries =
        ["Catch", "Choices"].iter().flat_map(|field| state[*field].as_array().into_iter().flatten());
    let assigns = std::iter::once(state).chain(entries).filter_map(|place| place["Assign"].as_object());
    assigns.flat_map(|names| names.keys().cloned()).collect()
}

/// Returns every variable that any scope of a definition assigns.
fn all_assigned(scope: &Value) -> BTreeSet<String> {
    let states = scope["States"].as_object().expect("a scope has states");
    let inner = states.values().flat_map(inner_scopes).flat_map(all_assigned);
    states.values().flat_map(assigned_by).chain(inner).collect()
}

#[test]
fn no_scope_assigns_a_variable_of_an_outer_scope() {
    for machine in MACHINES {
        assert_eq!(clashes(&definition(machine)), [], "{machine}");
    }
}

#[test]
fn no_variable_hides_a_function_or_takes_a_reserved_name() {
    let functions: BTreeSet<&str> = FUNCTIONS.split_whitespace().collect();
    assert_eq!(functions.len(), 69);
    let mut count = 0;
    for machine in MACHINES {
        for name in all_assigned(&definition(machine)) {
            assert!(!functions.contains(name.as_str()), "{machine}: ${name} hides the function of this name");
            assert_ne!(name, RESERVED, "{machine}");
            assert!(name.chars().count() <= 80, "{machine}: AWS takes names of up to 80 characters");
            count += 1;
        }
    }
    assert!(count > 20, "only {count} variables were found");
}

/// The walk finds a clash in a Catch, in a choice, two Maps deep and in a Parallel. It lets two neighbours use one
/// name.
#[test]
fn a_clash_is_found_in_every_scope() {
    let map = |inner: Value| json!({"Type": "Map", "ItemProcessor": {"States": inner}});
    let assign = |name: &str| json!({"Type": "Pass", "Assign": {name: 1}});
    let machine = json!({"States": {
        "Outer": assign("x"),
        "Deep": map(json!({"Middle": map(json!({"InCatch": {"Catch": [{"Assign": {"x": 1}}]}}))})),
        "Wide": {"Type": "Parallel", "Branches": [
            {"States": {"InChoice": {"Choices": [{"Assign": {"x": 1}}]}, "Left": assign("y")}},
            {"States": {"Right": assign("y")}},
        ]},
    }});
    let found: BTreeSet<Clash> = clashes(&machine).into_iter().collect();
    assert_eq!(found, [("InCatch", "x"), ("InChoice", "x")].map(|(s, n)| (s.into(), n.into())).into());
}
