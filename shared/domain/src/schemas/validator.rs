//! A validator of the JSON Schemas that this crate derives, for tests.
//!
//! It knows the keywords of draft 7 that the schemas use, and panics at any other one.

use regex::Regex;
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::HashMap;

/// Keywords that refuse no value.
const NOTES: [&str; 6] = ["$schema", "title", "description", "default", "definitions", "$comment"];

/// Returns true if a schema admits a value. `root` holds the definitions.
pub fn admits(root: &Value, schema: &Value, value: &Value) -> bool {
    match schema {
        Value::Bool(all) => *all,
        Value::Object(keywords) => {
            keywords.iter().all(|(keyword, rule)| holds(root, keywords, (keyword, rule), value))
        }
        other => panic!("no schema: {other}"),
    }
}

fn holds(root: &Value, schema: &Map<String, Value>, (keyword, rule): (&str, &Value), value: &Value) -> bool {
    let all = |value: &Value| {
        rule.as_array().expect("a list").iter().filter(|one| admits(root, one, value)).count()
    };
    let number = || rule.as_f64().expect("a number");
    let size = |length: usize| length as f64;
    match (keyword, value) {
        ("type", _) => match rule {
            Value::String(name) => is_of_type(name, value),
            Value::Array(names) => names.iter().any(|name| is_of_type(name.as_str().expect("a name"), value)),
            other => panic!("no type: {other}"),
        },
        ("const", _) => rule == value,
        ("enum", _) => rule.as_array().expect("a list").contains(value),
        ("$ref", _) => {
            let pointer =
                rule.as_str().and_then(|text| text.strip_prefix('#')).expect("a reference within the schema");
            admits(root, root.pointer(pointer).expect("a definition"), value)
        }
        ("allOf", _) => all(value) == rule.as_array().expect("a list").len(),
        ("anyOf", _) => all(value) > 0,
        ("oneOf", _) => all(value) == 1,
        ("pattern", Value::String(text)) => matches(rule, text),
        ("minLength", Value::String(text)) => size(text.chars().count()) >= number(),
        ("maxLength", Value::String(text)) => size(text.chars().count()) <= number(),
        ("minimum", Value::Number(given)) => given.as_f64().expect("a number") >= number(),
        ("maximum", Value::Number(given)) => given.as_f64().expect("a number") <= number(),
        ("minItems", Value::Array(items)) => size(items.len()) >= number(),
        ("maxItems", Value::Array(items)) => size(items.len()) <= number(),
        ("items", Value::Array(items)) => items.iter().all(|item| admits(root, rule, item)),
        ("required", Value::Object(fields)) => rule
            .as_array()
            .expect("a list")
            .iter()
            .all(|key| fields.contains_key(key.as_str().expect("a key"))),
        ("properties", Value::Object(fields)) => {
            let known = rule.as_object().expect("properties");
            fields.iter().all(|(key, value)| known.get(key).is_none_or(|rule| admits(root, rule, value)))
        }
        ("patternProperties", Value::Object(fields)) => {
            let known = rule.as_object().expect("properties");
            fields.iter().all(|(key, value)| {
                let fitting =
                    known.iter().filter(|(pattern, _)| matches(&Value::from(pattern.as_str()), key));
                fitting.into_iter().all(|(_, rule)| admits(root, rule, value))
            })
        }
        ("additionalProperties", Value::Object(fields)) => fields
            .iter()
            .filter(|(key, _)| !is_known(schema, key))
            .all(|(_, value)| admits(root, rule, value)),
        (
            "pattern"
            | "minLength"
            | "maxLength"
            | "minimum"
            | "maximum"
            | "minItems"
            | "maxItems"
            | "items"
            | "required"
            | "properties"
            | "patternProperties"
            | "additionalProperties",
            _,
        ) => true,
        (note, _) if NOTES.contains(&note) => true,
        (other, _) => panic!("the validator does not know the keyword {other}"),
    }
}

fn is_known(schema: &Map<String, Value>, key: &str) -> bool {
    let of = |keyword: &str| schema.get(keyword).and_then(Value::as_object);
    let is_pattern = |patterns: &Map<String, Value>| {
        patterns.keys().any(|pattern| matches(&Value::from(pattern.as_str()), key))
    };
    of("properties").is_some_and(|known| known.contains_key(key))
        || of("patternProperties").is_some_and(is_pattern)
}

fn is_of_type(name: &str, value: &Value) -> bool {
    match name {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("no type: {other}"),
    }
}

thread_local! {
    /// The compiled patterns: compiling one takes longer than all else.
    static PATTERNS: RefCell<HashMap<String, Regex>> = RefCell::default();
}

fn matches(pattern: &Value, text: &str) -> bool {
    let pattern = pattern.as_str().expect("a pattern");
    PATTERNS.with_borrow_mut(|known| {
        let compiled =
            known.entry(pattern.to_owned()).or_insert_with(|| Regex::new(pattern).expect("a pattern"));
        compiled.is_match(text)
    })
}
