//! Paths of a resource whose values no report may show.
//!
//! Two sources name them: the template, where a parameter with `NoEcho`, a dynamic reference or an output of code feeds a
//! property; and the names of properties that hold secrets by custom, declared or not.

use super::path::Pattern;
use super::resolve::{intrinsic, is_no_echo};
use crate::model::resource_change::NESTED_STACK;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Names of properties whose values are never shown.
const BY_NAME: [&str; 21] = [
    "AccessKey",
    "ApiKeyValue",
    "AuthToken",
    "ClientSecret",
    "Command",
    "ConnectionProperties",
    "ConnectionString",
    "Environment",
    "EnvironmentVariables",
    "HeaderValue",
    "MasterUserPassword",
    "OptionSettings",
    "Password",
    "PrivateKey",
    "SecretKey",
    "SecretString",
    "Secrets",
    "Token",
    "UserData",
    "Username",
    "Variables",
];

/// Words in the names of types and attributes whose values are secrets.
const SECRET_WORDS: [&str; 5] = ["secret", "password", "token", "apikey", "streamkey"];

/// Parameters of one stack that hold secrets: its own with `NoEcho`, and those that its parent feeds with secrets.
pub fn secret_parameters(template: &Value, fed: &BTreeSet<String>) -> BTreeSet<String> {
    let declared = template.get("Parameters").and_then(Value::as_object).into_iter().flatten();
    let own = declared.filter(|(_, declared)| is_no_echo(declared)).map(|(name, _)| name.clone());
    own.chain(fed.iter().cloned()).collect()
}

/// Returns the parameters of each nested stack that `template` feeds with secrets, by the logical id of the stack.
pub fn fed_parameters(template: &Value, secrets: &BTreeSet<String>) -> BTreeMap<String, BTreeSet<String>> {
    let mut fed = BTreeMap::new();
    for (id, resource) in resources(template).filter(|(_, resource)| kind(resource) == NESTED_STACK) {
        let parameters = resource.pointer("/Properties/Parameters").and_then(Value::as_object);
        let names =
            parameters.into_iter().flatten().filter(|(_, value)| holds_secret(value, template, secrets));
        fed.insert(id.clone(), names.map(|(name, _)| name.clone()).collect());
    }
    fed
}

/// Returns the patterns of the secret paths of a resource: of the values that the template feeds with secrets, and of
/// properties of `shown` that hold secrets by custom.
pub fn secret_paths(
    template: &Value,
    logical_id: &str,
    secrets: &BTreeSet<String>,
    shown: &[&Value],
) -> Vec<Pattern> {
    let mut paths = BTreeSet::new();
    let properties = template.get("Resources").and_then(|all| all.get(logical_id)?.get("Properties"));
    if let Some(properties) = properties {
        by_template("", properties, &|value| holds_secret(value, template, secrets), &mut paths);
    }
    for value in shown {
        by_name("", value, &mut paths);
    }
    paths.iter().map(|path| Pattern::new(path)).collect()
}

/// Returns the pattern of a member of an object. The comparison may know the object as one with free keys, whose members
/// are `*`. A name that would be several in a pattern stands for any.
fn member(path: &str, name: &str) -> String {
    let name = if name.contains(['.', '|', ',', '*']) { "**".to_owned() } else { format!("{name}|*") };
    below(path, &name)
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Collects the paths of the intrinsics and texts that hold a secret.
fn by_template(path: &str, value: &Value, is_secret: &dyn Fn(&Value) -> bool, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) if intrinsic(object).is_none() => {
            for (name, value) in object {
                by_template(&member(path, name), value, is_secret, found);
            }
        }
        Value::Array(list) => {
            list.iter().for_each(|item| by_template(&below(path, "*"), item, is_secret, found))
        }
        value if is_secret(value) => {
            // The whole resource, if its properties are one intrinsic.
            found.insert(if path.is_empty() { "**".to_owned() } else { path.to_owned() });
        }
        _ => {}
    }
}

/// Collects the paths of properties that hold secrets by custom.
fn by_name(path: &str, value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let path = member(path, name);
                if BY_NAME.contains(&name.as_str()) {
                    found.insert(path);
                } else {
                    by_name(&path, value, found);
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|item| by_name(&below(path, "*"), item, found)),
        Value::String(text) => {
            // A document that a service keeps as text. A text that is no object or list ends the walk.
            let parsed = serde_json::from_str::<Value>(text).ok();
            if let Some(parsed) = parsed.filter(|parsed| parsed.is_object() || parsed.is_array()) {
                by_name(path, &parsed, found);
            }
        }
        _ => {}
    }
}

/// Returns true if the value may hold a secret: it names a secret parameter, a dynamic reference, or an output of code.
fn holds_secret(value: &Value, template: &Value, secrets: &BTreeSet<String>) -> bool {
    match value {
        Value::String(text) => text.contains("{{resolve:"),
        Value::Array(list) => list.iter().any(|value| holds_secret(value, template, secrets)),
        Value::Object(object) => match intrinsic(object) {
            Some(("Ref", Value::String(name))) => secrets.contains(name),
            Some(("Fn::GetAtt", Value::Array(parts))) => {
                let part = |index: usize| parts.get(index).and_then(Value::as_str);
                part(0).is_some_and(|id| may_be_secret(template, id, part(1).unwrap_or_default()))
            }
            Some(("Fn::GetAtt", Value::String(text))) => {
                let (id, attribute) = text.split_once('.').unwrap_or((text, ""));
                may_be_secret(template, id, attribute)
            }
            Some(("Fn::Sub", argument)) => {
                let text = argument.as_str().or_else(|| argument.get(0)?.as_str()).unwrap_or_default();
                names(text).any(|name| {
                    let attribute = name.split_once('.');
                    secrets.contains(name)
                        || attribute.is_some_and(|(id, of)| may_be_secret(template, id, of))
                }) || text.contains("{{resolve:")
                    || argument.get(1).is_some_and(|own| holds_secret(own, template, secrets))
            }
            // A macro returns what it wants.
            Some(("Fn::Transform", _)) => true,
            Some((_, argument)) => holds_secret(argument, template, secrets),
            None => object.values().any(|value| holds_secret(value, template, secrets)),
        },
        _ => false,
    }
}

/// Returns the names between `${` and `}`.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split("${").skip(1).filter_map(|part| part.split_once('}')).map(|(name, _)| name.trim())
}

/// Returns true if an attribute may hold a secret: an output of code, of which the template does not say what it holds, or
/// an attribute that is named after a secret, such as `SecretAccessKey` of an access key or `Value` of a stream key.
fn may_be_secret(template: &Value, logical_id: &str, attribute: &str) -> bool {
    let resource = template.get("Resources").and_then(|all| all.get(logical_id));
    let kind = resource.map(kind).unwrap_or_default();
    let is_output_of_code =
        kind == NESTED_STACK || kind == "AWS::CloudFormation::CustomResource" || kind.starts_with("Custom::");
    let named = format!("{}.{attribute}", kind.rsplit(':').next().unwrap_or_default()).to_lowercase();
    is_output_of_code || SECRET_WORDS.iter().any(|word| named.contains(word))
}

fn resources(template: &Value) -> impl Iterator<Item = (&String, &Value)> {
    template.get("Resources").and_then(Value::as_object).into_iter().flatten()
}

fn kind(resource: &Value) -> &str {
    resource.get("Type").and_then(Value::as_str).unwrap_or_default()
}
