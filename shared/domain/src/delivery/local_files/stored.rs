//! Public parameters in a template: the stack gets their values as parameters of the template, so that the release can
//! pin them.
//!
//! CloudFormation reads a parameter of Parameter Store when it deploys, always at its newest version:
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/systems-manager-parameter-types.html>. So the deployed
//! template declares such a parameter as text, and Lockstep passes the value.

use super::nodes::{child_mut, declare};
use crate::model::ids::Digest;
use crate::model::public_parameters::is_public;
use crate::stacks::late_values::INDIRECT;
use crate::stacks::template::node::{Entry, Node, Value};
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// Beginning of the names of the parameters that hold the values of dynamic references.
pub const PINNED: &str = "LockstepPublic";

/// Rules of a parameter about the name that it holds. Its value in the deployed template is another text.
const RULES: [&str; 5] =
    ["AllowedPattern", "AllowedValues", "ConstraintDescription", "MaxLength", "MinLength"];

/// A dynamic reference to the newest version of a public parameter.
static REFERENCE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\{\{resolve:ssm:(/aws/service/[^{}:]+)\}\}").expect("a literal pattern compiles")
});

/// Values that a parent passes to a nested template: a text, or `None` for a function.
pub(super) type Passed = BTreeMap<String, Option<String>>;

/// Position of a template in its stack.
#[derive(Clone, Copy)]
pub(super) enum Position<'p> {
    /// The template of the component. Stages set its parameters.
    Root,
    /// A nested template that gets these values.
    Nested(&'p Passed),
}

/// Replaces each use of a public parameter. Returns the template parameters that get values of stored parameters, each
/// with the name that it holds by itself.
///
/// `needed` are public parameters whose values the nested templates get.
pub(super) fn replace(
    root: &mut Node,
    position: Position<'_>,
    needed: &BTreeSet<String>,
) -> BTreeMap<String, String> {
    let mut names = needed.clone();
    let mut found = retype(root, position);
    if let Some(globals) = child_mut(root, "Globals") {
        references(globals, false, &mut names);
    }
    if let Some(resources) = child_mut(root, "Resources") {
        in_entries(resources, "Properties", &mut names);
    }
    if let Some(outputs) = child_mut(root, "Outputs") {
        in_entries(outputs, "Value", &mut names);
    }
    for name in names {
        let description = "Value of a public parameter, as the release or the plan read it; Lockstep sets it";
        declare(root, &pinned(&name), description, Some(&name));
        found.insert(pinned(&name), name);
    }
    found
}

/// Returns the names of the parameters whose values are names of stored parameters.
pub(super) fn indirect(root: &Node) -> BTreeSet<String> {
    let parameters = root.get("Parameters").and_then(Node::entries).unwrap_or_default();
    let of =
        parameters.iter().filter(|entry| kind(&entry.node).is_some_and(|kind| kind.starts_with(INDIRECT)));
    of.map(|entry| entry.key.clone()).collect()
}

/// Returns the reference to the value of a public parameter.
pub(super) fn value_of(line: u32, name: &str) -> Node {
    Node::function(line, "Ref".to_owned(), Node::text(line, pinned(name)))
}

/// Returns the parameter that holds the value of a public parameter.
fn pinned(name: &str) -> String {
    format!("{PINNED}{}", &Digest::of(name.as_bytes()).as_str()[..12])
}

fn kind(declaration: &Node) -> Option<&str> {
    declaration.get("Type").and_then(Node::as_text)
}

/// Declares as text each parameter that names a public parameter, and in the template of the component each that names
/// an image.
fn retype(root: &mut Node, position: Position<'_>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let Some(Value::Map(parameters)) = child_mut(root, "Parameters").map(|node| &mut node.value) else {
        return found;
    };
    for Entry { key, node, .. } in parameters {
        let Some(of) = kind(node).and_then(|kind| kind.strip_prefix(INDIRECT)) else { continue };
        let of = of.trim_end_matches('>').to_owned();
        let hides =
            node.get("NoEcho").and_then(Node::scalar).is_some_and(|it| it.eq_ignore_ascii_case("true"));
        let own = node.get("Default").and_then(Node::scalar);
        let name = match position {
            Position::Root => own.or_else(|| of.contains("AWS::EC2::Image::Id").then(String::new)),
            Position::Nested(passed) => passed.get(key).cloned().unwrap_or(own),
        };
        let is_image = matches!(position, Position::Root) && of.contains("AWS::EC2::Image::Id");
        if let Some(name) = name.filter(|name| !hides && (is_image || is_public(name))) {
            let kind = if of.starts_with("List<") || of == "CommaDelimitedList" {
                "CommaDelimitedList"
            } else {
                "String"
            };
            let Value::Map(declaration) = &mut node.value else { continue };
            declaration.retain(|entry| !RULES.contains(&entry.key.as_str()));
            if let Some(entry) = declaration.iter_mut().find(|entry| entry.key == "Type") {
                entry.node.value = Value::Text(kind.to_owned());
            }
            found.insert(key.clone(), name);
        }
    }
    found
}

/// Replaces the references in the part `key` of each entry of a section. A loop holds entries in its body.
fn in_entries(section: &mut Node, key: &str, names: &mut BTreeSet<String>) {
    let Value::Map(entries) = &mut section.value else { return };
    for entry in entries {
        if entry.key.starts_with("Fn::ForEach::") {
            if let Value::List(items) = &mut entry.node.value
                && let Some(body) = items.get_mut(2)
            {
                in_entries(body, key, names);
            }
        } else if let Some(part) = child_mut(&mut entry.node, key) {
            references(part, false, names);
        }
    }
}

/// Replaces the references in a value. `is_pattern` is true for the text of a `Fn::Sub`.
fn references(node: &mut Node, is_pattern: bool, names: &mut BTreeSet<String>) {
    let line = node.line;
    match &mut node.value {
        Value::Text(text) if REFERENCE.is_match(text) => {
            names.extend(REFERENCE.captures_iter(text).map(|found| found[1].to_owned()));
            let whole = REFERENCE.captures(text).filter(|found| found[0].len() == text.len());
            *node = match whole {
                Some(found) if !is_pattern => value_of(line, &found[1]),
                _ if is_pattern => Node::text(line, pattern(text)),
                _ => {
                    let text = pattern(&text.replace("${", "${!"));
                    Node::function(line, "Fn::Sub".to_owned(), Node::text(line, text))
                }
            };
        }
        Value::List(items) => items.iter_mut().for_each(|item| references(item, false, names)),
        Value::Map(entries) => {
            for entry in entries {
                match (entry.key.as_str(), &mut entry.node.value) {
                    ("Fn::Transform" | "Ref" | "Fn::GetAtt" | "Condition", _) => {}
                    ("Fn::Sub", Value::List(items)) => {
                        let mut items = items.iter_mut();
                        items.next().into_iter().for_each(|text| references(text, true, names));
                        items.for_each(|values| references(values, false, names));
                    }
                    ("Fn::Sub", _) => references(&mut entry.node, true, names),
                    _ => references(&mut entry.node, false, names),
                }
            }
        }
        Value::Text(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Returns the text of a `Fn::Sub` with parameters in the place of references.
fn pattern(text: &str) -> String {
    REFERENCE
        .replace_all(text, |found: &regex::Captures<'_>| format!("${{{}}}", pinned(&found[1])))
        .into_owned()
}
