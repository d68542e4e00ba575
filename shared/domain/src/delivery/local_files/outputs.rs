//! Outputs of nested templates that a template reads.

use crate::model::toml_file::suggestion;
use crate::stacks::template::node::{Entry, Fault, Node, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The outputs of local nested templates, by the logical id of the stack.
pub(super) type NestedOutputs = BTreeMap<String, BTreeSet<String>>;

/// Returns a fault for each output that `node` reads and the nested template does not declare.
pub(super) fn unknown(node: &Node, nested: &NestedOutputs) -> Vec<Fault> {
    let mut faults = Vec::new();
    if !nested.is_empty() {
        search(node, nested, &mut faults);
    }
    faults
}

fn search(node: &Node, nested: &NestedOutputs, faults: &mut Vec<Fault>) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| search(item, nested, faults)),
        Value::Map(entries) => {
            for entry in entries {
                faults.extend(
                    read_by(entry).into_iter().filter_map(|name| fault(entry.node.line, &name, nested)),
                );
                search(&entry.node, nested, faults);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
    }
}

/// Returns the attributes that a function reads, as `<logical id>.<attribute>`.
fn read_by(function: &Entry) -> Vec<String> {
    let argument = &function.node;
    let first = argument.items().and_then(|items| items.first()).and_then(Node::as_text);
    match (function.key.as_str(), argument.as_text(), argument.items()) {
        ("Fn::GetAtt", Some(text), _) => vec![text.to_owned()],
        ("Fn::GetAtt", None, Some(items)) => {
            let parts: Option<Vec<&str>> = items.iter().map(Node::as_text).collect();
            parts.map(|parts| parts.join(".")).into_iter().collect()
        }
        ("Fn::Sub", text, _) => {
            let text = text.or(first).unwrap_or_default();
            text.split("${")
                .skip(1)
                .filter_map(|rest| Some(rest.split_once('}')?.0.trim().to_owned()))
                .collect()
        }
        _ => Vec::new(),
    }
}

fn fault(line: u32, attribute: &str, nested: &NestedOutputs) -> Option<Fault> {
    let (id, output) = attribute.split_once(".Outputs.")?;
    let declared = nested.get(id)?;
    let is_uncertain = output.contains(['{', '$']) || declared.iter().any(|name| name.contains('{'));
    if is_uncertain || declared.contains(output) {
        return None;
    }
    let hint = suggestion(output, declared);
    Some(Fault::new(line, format!("the nested template of {id} has no output `{output}`{hint}")))
}
