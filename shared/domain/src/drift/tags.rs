//! Tags. AWS and CloudFormation add tags of their own.

use super::compare::Comparer;
use super::context::Context;
use super::path::Path;
use super::rules::{Origin, RuleKind};
use super::values::text;
use super::verdict::Comparison;
use serde_json::{Map, Value, json};

const NAMES: [(&str, &str); 3] = [("Key", "Value"), ("key", "value"), ("TagKey", "TagValue")];

/// Compares two lists or maps of tags. Returns `None` if the values are no tags.
pub(super) fn compare(
    comparer: &Comparer<'_>,
    path: &Path,
    wanted: &Value,
    found: &Value,
) -> Option<Comparison> {
    if !is_tag_property(comparer, path) {
        return None;
    }
    let (wanted, found) = (by_key(wanted)?, by_key(found)?);
    let mut compared = Comparison::default();
    let rule = Origin::Form("tags have no order, and those that begin with aws: are AWS's own");
    for (key, value) in &wanted {
        compared.add(comparer.value(&path.member(key), value, found.get(key)));
    }
    for (key, value) in found.iter().filter(|(key, _)| !wanted.contains_key(*key)) {
        let value_text = value.get("Value").and_then(text);
        if !is_of_the_stack(comparer.context, key, value_text.as_deref()) {
            compared.add(Comparison::undeclared(&path.member(key), value));
        }
    }
    compared.add(Comparison::fold(path, RuleKind::Tags, rule));
    Some(compared)
}

/// Returns true if a value is a list of tags, all of which AWS or the stack gave.
pub(super) fn only_of_the_stack(context: &Context, path: &Path, found: &Value) -> bool {
    let Some(found) = by_key(found).filter(|_| path.name().ends_with("Tags")) else { return false };
    found
        .iter()
        .all(|(key, value)| is_of_the_stack(context, key, value.get("Value").and_then(text).as_deref()))
}

fn is_of_the_stack(context: &Context, key: &str, value: Option<&str>) -> bool {
    key.starts_with("aws:")
        || context.stack_tags.get(key).map(String::as_str) == Some(value.unwrap_or_default())
}

fn is_tag_property(comparer: &Comparer<'_>, path: &Path) -> bool {
    comparer.facts.tags.as_deref() == Some(path.schema())
        || (path.name().ends_with("Tags") && !path.schema().ends_with('*'))
}

/// Returns the tags by key, each with the member `Value` and whatever else a list says of it.
fn by_key(tags: &Value) -> Option<Map<String, Value>> {
    match tags {
        Value::Object(map) if map.values().all(|value| !value.is_object() && !value.is_array()) => {
            Some(map.iter().map(|(key, value)| (key.clone(), json!({ "Value": value }))).collect())
        }
        Value::Array(list) => list.iter().map(tag).collect(),
        _ => None,
    }
}

fn tag(member: &Value) -> Option<(String, Value)> {
    let object = member.as_object()?;
    let (key, value) = NAMES.into_iter().find(|(key, _)| object.contains_key(*key))?;
    let mut rest = object.clone();
    let name = rest.remove(key)?.as_str()?.to_owned();
    let value = rest.remove(value).unwrap_or(Value::Null);
    rest.insert("Value".to_owned(), value);
    Some((name, Value::Object(rest)))
}
