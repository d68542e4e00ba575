//! Values of a template as short texts, with parameters and conditions replaced where their values are known.

use crate::model::canonical::canonical_json;
use crate::records::ShownValue;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Maximum depth of conditions that refer to each other. CloudFormation refuses a circle.
const DEPTH_MAX: u32 = 20;

/// The values by which a template is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'a> {
    /// The template, as JSON.
    pub(super) template: &'a Value,
    /// Its parameters.
    pub(super) parameters: &'a BTreeMap<String, ShownValue>,
}

impl Scope<'_> {
    /// Returns the value of a condition; `None` if it depends on a value that is not known before the deployment.
    pub(super) fn condition(&self, name: &str) -> Option<bool> {
        self.named(name, DEPTH_MAX)
    }

    fn named(&self, name: &str, depth: u32) -> Option<bool> {
        self.holds(self.template["Conditions"].get(name)?, depth.checked_sub(1)?)
    }

    fn holds(&self, condition: &Value, depth: u32) -> Option<bool> {
        let (function, of) = single(condition.as_object()?)?;
        match (function, of) {
            ("Condition", Value::String(name)) => self.named(name, depth),
            ("Fn::Not", Value::Array(items)) => Some(!self.holds(items.first()?, depth)?),
            ("Fn::And", Value::Array(items)) => self.all(items, depth, false),
            ("Fn::Or", Value::Array(items)) => self.all(items, depth, true),
            ("Fn::Equals", Value::Array(items)) => match items.as_slice() {
                [a, b] => Some(self.literal(a)? == self.literal(b)?),
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns `end` if one of the conditions has that value, and the other value if all have it.
    fn all(&self, items: &[Value], depth: u32, end: bool) -> Option<bool> {
        let values: Vec<Option<bool>> = items.iter().map(|item| self.holds(item, depth)).collect();
        if values.contains(&Some(end)) {
            return Some(end);
        }
        values.into_iter().collect::<Option<Vec<bool>>>().map(|_| !end)
    }

    /// Returns the text of a value that is known before the deployment.
    fn literal(&self, value: &Value) -> Option<String> {
        match value {
            Value::Object(map) => match single(map)? {
                ("Ref", Value::String(name)) => match self.parameters.get(name)? {
                    ShownValue::Text(text) => Some(text.clone()),
                    ShownValue::Hidden => None,
                },
                _ => None,
            },
            Value::Array(_) | Value::Null => None,
            plain @ (Value::Bool(_) | Value::Number(_) | Value::String(_)) => Some(self.text(plain)),
        }
    }

    /// Returns the value as a short text. References that are not known yet keep the form `${Name}`.
    pub(super) fn text(&self, value: &Value) -> String {
        match value {
            Value::String(text) => text.clone(),
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(|item| self.text(item)).collect();
                format!("[{}]", items.join(", "))
            }
            Value::Object(map) => self.object(map),
            plain @ (Value::Null | Value::Bool(_) | Value::Number(_)) => plain.to_string(),
        }
    }

    fn object(&self, map: &Map<String, Value>) -> String {
        match single(map) {
            Some(("Ref", Value::String(name))) => self.named_value(name),
            Some(("Fn::GetAtt", Value::Array(parts))) => {
                let parts: Vec<String> = parts.iter().map(|part| self.text(part)).collect();
                format!("${{{}}}", parts.join("."))
            }
            Some(("Fn::GetAtt", Value::String(path))) => format!("${{{path}}}"),
            Some(("Fn::Sub", Value::String(text))) => self.substituted(text, None),
            Some(("Fn::Sub", Value::Array(items))) => match items.as_slice() {
                [Value::String(text), Value::Object(own)] => self.substituted(text, Some(own)),
                _ => canonical_json(Value::Array(items.clone())),
            },
            Some(("Fn::Join", Value::Array(items))) => match items.as_slice() {
                [Value::String(between), Value::Array(parts)] => {
                    let parts: Vec<String> = parts.iter().map(|part| self.text(part)).collect();
                    parts.join(between)
                }
                _ => canonical_json(Value::Array(items.clone())),
            },
            Some(("Fn::If", Value::Array(items))) => self.chosen(items),
            _ => {
                let entries: Vec<String> = sorted(map)
                    .into_iter()
                    .map(|(key, value)| format!("{key}: {}", self.text(value)))
                    .collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }

    fn chosen(&self, items: &[Value]) -> String {
        match items {
            [Value::String(name), yes, no] => match self.condition(name) {
                Some(true) => self.text(yes),
                Some(false) => self.text(no),
                None => format!("{} if {name} else {}", self.text(yes), self.text(no)),
            },
            _ => canonical_json(Value::Array(items.to_vec())),
        }
    }

    fn named_value(&self, name: &str) -> String {
        match self.parameters.get(name) {
            Some(ShownValue::Text(text)) => text.clone(),
            Some(ShownValue::Hidden) | None => format!("${{{name}}}"),
        }
    }

    /// Replaces `${Name}` in a text by the parameters and by the names of the function itself.
    fn substituted(&self, text: &str, own: Option<&Map<String, Value>>) -> String {
        let mut done = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            done.push_str(before);
            let Some((name, next)) = after.split_once('}') else {
                done.push_str("${");
                rest = after;
                break;
            };
            match (name.strip_prefix('!'), own.and_then(|own| own.get(name))) {
                (Some(literal), _) => done.push_str(&format!("${{{literal}}}")),
                (None, Some(value)) => done.push_str(&self.text(value)),
                (None, None) => done.push_str(&self.named_value(name)),
            }
            rest = next;
        }
        done.push_str(rest);
        done
    }
}

/// Returns the only entry of an object.
fn single(map: &Map<String, Value>) -> Option<(&str, &Value)> {
    let mut entries = map.iter();
    match (entries.next(), entries.next()) {
        (Some((key, value)), None) => Some((key.as_str(), value)),
        _ => None,
    }
}

/// Returns the entries of an object in the order of their keys.
pub(super) fn sorted(map: &Map<String, Value>) -> BTreeMap<&str, &Value> {
    map.iter().map(|(key, value)| (key.as_str(), value)).collect()
}
