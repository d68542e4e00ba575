//! Declared properties of a deployed stack, with the intrinsics resolved that its own values resolve.
//!
//! A value that is not certain keeps its intrinsic: the comparison then says that it is unresolved. No value of a
//! parameter with `NoEcho` is resolved, since CloudFormation masks it.

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Maximum depth of conditions that name each other.
const CONDITION_DEPTH_MAX: usize = 32;

/// Values of one deployed stack.
#[derive(Clone, Debug, Default)]
pub struct StackValues {
    /// Template in its long form, as JSON.
    pub template: Value,
    /// Parameters, as DescribeStacks shows them.
    pub parameters: BTreeMap<String, String>,
    /// Physical ids by logical id.
    pub physical_ids: BTreeMap<String, String>,
    /// Pseudo parameters, such as `AWS::Region`.
    pub pseudo: BTreeMap<String, String>,
}

impl StackValues {
    /// Returns the declared properties of a resource; `None` if the template has no such resource.
    pub fn declared(&self, logical_id: &str) -> Option<Value> {
        let resource = self.template.get("Resources")?.get(logical_id)?;
        Some(resource.get("Properties").map_or_else(|| json!({}), |properties| self.resolve(properties)))
    }

    /// Resolves the intrinsics within a value.
    pub fn resolve(&self, value: &Value) -> Value {
        match value {
            Value::Array(list) => Value::Array(
                list.iter().map(|item| self.resolve(item)).filter(|item| !item.is_null()).collect(),
            ),
            Value::Object(object) => match intrinsic(object) {
                Some((name, argument)) => self.intrinsic(name, argument).unwrap_or_else(|| value.clone()),
                None => object
                    .iter()
                    .map(|(name, value)| (name.clone(), self.resolve(value)))
                    .filter(|(_, value)| !value.is_null())
                    .collect::<Map<_, _>>()
                    .into(),
            },
            _ => value.clone(),
        }
    }

    /// Returns the value of an intrinsic, or `None` if it is not certain.
    fn intrinsic(&self, name: &str, argument: &Value) -> Option<Value> {
        match name {
            "Ref" => self.reference(argument.as_str()?),
            "Fn::Sub" => self.substitute(argument),
            "Fn::Join" => self.join(argument),
            "Fn::Select" => self.select(argument),
            "Fn::Split" => self.split(argument),
            "Fn::FindInMap" => self.find_in_map(argument),
            "Fn::If" => self.choose(argument),
            _ => None,
        }
    }

    fn reference(&self, name: &str) -> Option<Value> {
        if name == "AWS::NoValue" {
            return Some(Value::Null);
        }
        if let Some(value) = self.pseudo.get(name).or_else(|| self.physical_ids.get(name)) {
            return Some(json!(value));
        }
        let declared = self.template.get("Parameters")?.get(name)?;
        let kind = declared.get("Type").and_then(Value::as_str).unwrap_or_default();
        // DescribeStacks shows the name of such a parameter of Parameter Store, and not the value.
        if is_no_echo(declared) || kind.starts_with("AWS::SSM::Parameter::Value") {
            return None;
        }
        let value = self.parameters.get(name)?;
        if kind == "CommaDelimitedList" || kind.starts_with("List<") {
            return Some(value.split(',').map(|part| json!(part.trim())).collect());
        }
        Some(json!(value))
    }

    fn substitute(&self, argument: &Value) -> Option<Value> {
        let (text, own) = match argument {
            Value::String(text) => (text.as_str(), None),
            Value::Array(parts) => (parts.first()?.as_str()?, parts.get(1)?.as_object()),
            _ => return None,
        };
        let mut done = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, left) = after.split_once('}')?;
            done.push_str(before);
            match name.strip_prefix('!') {
                Some(literal) => done.push_str(&format!("${{{literal}}}")),
                None => {
                    let value = own.and_then(|own| own.get(name));
                    let value = value.map(|value| self.resolve(value)).or_else(|| self.reference(name))?;
                    done.push_str(&text_of(&value)?);
                }
            }
            rest = left;
        }
        done.push_str(rest);
        Some(json!(done))
    }

    fn join(&self, argument: &Value) -> Option<Value> {
        let parts = argument.as_array()?;
        let list = self.resolve(parts.get(1)?);
        let texts: Option<Vec<String>> = list.as_array()?.iter().map(text_of).collect();
        Some(json!(texts?.join(parts.first()?.as_str()?)))
    }

    fn select(&self, argument: &Value) -> Option<Value> {
        let parts = argument.as_array()?;
        let index = text_of(&self.resolve(parts.first()?))?.parse::<usize>().ok()?;
        let list = self.resolve(parts.get(1)?);
        list.as_array()?.get(index).cloned()
    }

    fn split(&self, argument: &Value) -> Option<Value> {
        let parts = argument.as_array()?;
        let (by, text) = (parts.first()?.as_str()?, text_of(&self.resolve(parts.get(1)?))?);
        (!by.is_empty()).then(|| text.split(by).map(Value::from).collect())
    }

    fn find_in_map(&self, argument: &Value) -> Option<Value> {
        let [map, first, second] = argument.as_array()?.as_slice() else { return None };
        let name = |value: &Value| text_of(&self.resolve(value));
        let map = self.template.get("Mappings")?.get(name(map)?)?;
        map.get(name(first)?)?.get(name(second)?).cloned()
    }

    fn choose(&self, argument: &Value) -> Option<Value> {
        let [condition, yes, no] = argument.as_array()?.as_slice() else { return None };
        let holds = self.holds(condition.as_str()?, CONDITION_DEPTH_MAX)?;
        Some(self.resolve(if holds { yes } else { no }))
    }

    /// Returns the value of a named condition; `None` if it is not certain.
    fn holds(&self, name: &str, depth: usize) -> Option<bool> {
        self.is_true(self.template.get("Conditions")?.get(name)?, depth.checked_sub(1)?)
    }

    fn is_true(&self, condition: &Value, depth: usize) -> Option<bool> {
        let (name, argument) = condition.as_object()?.iter().next()?;
        let each = || argument.as_array().map(|list| list.iter().map(|one| self.is_true(one, depth)));
        match name.as_str() {
            "Condition" => self.holds(argument.as_str()?, depth),
            "Fn::Equals" => {
                let [left, right] = argument.as_array()?.as_slice() else { return None };
                Some(text_of(&self.resolve(left))? == text_of(&self.resolve(right))?)
            }
            "Fn::Not" => each()?.next()?.map(|holds| !holds),
            "Fn::And" => each()?.try_fold(true, |all, one| Some(all & one?)),
            "Fn::Or" => each()?.try_fold(false, |any, one| Some(any | one?)),
            _ => None,
        }
    }
}

/// Returns the name and the argument of an intrinsic; `None` for another object.
pub(super) fn intrinsic(object: &Map<String, Value>) -> Option<(&str, &Value)> {
    let (name, argument) = object.iter().next().filter(|_| object.len() == 1)?;
    (name == "Ref" || name.starts_with("Fn::")).then_some((name.as_str(), argument))
}

/// Returns true if CloudFormation hides the values of a declared parameter.
pub(super) fn is_no_echo(declared: &Value) -> bool {
    declared.get("NoEcho").is_some_and(|value| *value == json!(true) || *value == json!("true"))
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}
