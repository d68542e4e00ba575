//! Evaluation of a template's values, as far as they are known: texts, conditions, and the presence of properties.

use super::TemplateContext;
use super::table::Table;
use crate::stacks::template::Template;
use crate::stacks::template::node::{Entry, Node, Value};
use crate::stacks::template::sections::loop_body;
use std::collections::{BTreeMap, BTreeSet};

/// Maximum nesting of functions and conditions before the result is *unknown*.
const DEPTH_MAX: usize = 24;

/// Maximum number of texts that one value is resolved to; a value with more is unknown.
const TEXTS_MAX: usize = 8;

/// Placeholder for an unknown text, as in an IAM policy.
pub(super) const ANY: &str = "*";

/// Presence of a property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Set,
    /// The presence depends on an unknown value, which the text names.
    Maybe(String),
    Unset,
}

impl Presence {
    /// Returns the stronger of two results for the same property.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Set, _) | (_, Self::Set) => Self::Set,
            (Self::Maybe(why), _) | (_, Self::Maybe(why)) => Self::Maybe(why),
            (Self::Unset, Self::Unset) => Self::Unset,
        }
    }
}

/// Evaluator for the values of one template.
pub(super) struct Values<'a> {
    root: &'a Node,
    table: &'a Table,
    known: &'a TemplateContext,
    resources: BTreeMap<&'a str, &'a Node>,
    /// Parameters whose value is the name of the SSM parameter that holds the real value.
    indirect: BTreeSet<&'a str>,
}

impl<'a> Values<'a> {
    pub(super) fn new(template: &'a Template, table: &'a Table, known: &'a TemplateContext) -> Self {
        let root = template.root();
        let mut resources = BTreeMap::new();
        for (entry, _) in resources_of(root) {
            resources.insert(entry.key.as_str(), &entry.node);
        }
        let indirect = template.parameters().iter();
        let indirect =
            indirect.filter(|(_, parameter)| parameter.kind.starts_with("AWS::SSM::Parameter::Value"));
        let indirect = indirect.map(|(name, _)| name.as_str()).collect();
        Self { root, table, known, resources, indirect }
    }

    /// Returns the declaration of a resource.
    pub(super) fn resource(&self, id: &str) -> Option<&'a Node> {
        self.resources.get(id).copied()
    }

    /// Returns the result of a condition; `None` if it is unknown.
    pub(super) fn condition(&self, name: &str) -> Option<bool> {
        self.named_condition(name, DEPTH_MAX)
    }

    fn named_condition(&self, name: &str, depth: usize) -> Option<bool> {
        self.truth(self.root.get("Conditions")?.get(name)?, depth.checked_sub(1)?)
    }

    fn truth(&self, node: &Node, depth: usize) -> Option<bool> {
        let depth = depth.checked_sub(1)?;
        let (name, argument) = function(node)?;
        let all = |node: &Node| -> Vec<Option<bool>> {
            node.items().unwrap_or_default().iter().map(|item| self.truth(item, depth)).collect()
        };
        match name {
            "Condition" => self.named_condition(argument.as_text()?, depth),
            "Fn::Equals" => {
                let [left, right] = argument.items()? else { return None };
                Some(self.exact(left, depth)? == self.exact(right, depth)?)
            }
            "Fn::Not" => all(argument).first().copied()?.map(|truth| !truth),
            "Fn::And" => conjunction(&all(argument), false),
            "Fn::Or" => conjunction(&all(argument), true),
            _ => None,
        }
    }

    /// Returns the text of a value that is completely known.
    fn exact(&self, node: &Node, depth: usize) -> Option<String> {
        match self.followed(node, depth).as_slice() {
            [text] if is_exact(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// Returns the presence of the property at `path` below `node`.
    pub(super) fn presence(&self, node: &Node, path: &[&str]) -> Presence {
        self.presence_in(node, path, DEPTH_MAX)
    }

    fn presence_in(&self, node: &Node, path: &[&str], depth: usize) -> Presence {
        let Some(depth) = depth.checked_sub(1) else { return Presence::Maybe("it is nested deep".into()) };
        if is_no_value(node) {
            return Presence::Unset;
        }
        if let Some((condition, yes, no)) = branches(node) {
            let of = |node| self.presence_in(node, path, depth);
            return match self.condition(condition) {
                Some(true) => of(yes),
                Some(false) => of(no),
                None => match (of(yes), of(no)) {
                    (Presence::Set, Presence::Set) => Presence::Set,
                    (Presence::Unset, Presence::Unset) => Presence::Unset,
                    _ => Presence::Maybe(unknown_condition(condition)),
                },
            };
        }
        let Some((key, rest)) = path.split_first() else { return Presence::Set };
        if let Some((name, _)) = function(node) {
            return Presence::Maybe(format!("{name} makes it"));
        }
        let any = |nodes: &mut dyn Iterator<Item = &Node>| {
            nodes.fold(Presence::Unset, |found, node| found.or(self.presence_in(node, rest, depth)))
        };
        match (&node.value, *key) {
            (Value::List(items), ANY) => any(&mut items.iter()),
            (Value::Map(entries), ANY) => any(&mut entries.iter().map(|entry| &entry.node)),
            // A schema may call a list what the template writes as one item.
            (Value::Map(entries), key) => match node.get(key) {
                Some(inner) => self.presence_in(inner, rest, depth),
                None if entries.iter().any(|entry| entry.key.starts_with("Fn::")) => {
                    Presence::Maybe("a function makes properties there".into())
                }
                None => Presence::Unset,
            },
            _ => Presence::Unset,
        }
    }

    /// Returns every value that may be at `path` below `node`.
    pub(super) fn nodes<'n>(&self, node: &'n Node, path: &[&str]) -> Vec<&'n Node> {
        if is_no_value(node) {
            return Vec::new();
        }
        if let Some((condition, yes, no)) = branches(node) {
            let both = match self.condition(condition) {
                Some(true) => vec![yes],
                Some(false) => vec![no],
                None => vec![yes, no],
            };
            return both.into_iter().flat_map(|node| self.nodes(node, path)).collect();
        }
        let Some((key, rest)) = path.split_first() else { return vec![node] };
        match (&node.value, *key) {
            (Value::List(items), ANY) => items.iter().flat_map(|item| self.nodes(item, rest)).collect(),
            (Value::Map(entries), ANY) if function(node).is_none() => {
                entries.iter().flat_map(|entry| self.nodes(&entry.node, rest)).collect()
            }
            (Value::Map(_), key) => node.get(key).map(|inner| self.nodes(inner, rest)).unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    /// Returns the texts that a value may have, with `*` for unknown parts; an empty list for a value that is not set.
    pub(super) fn texts(&self, node: &Node) -> Vec<String> {
        self.followed(node, DEPTH_MAX)
    }

    fn followed(&self, node: &Node, depth: usize) -> Vec<String> {
        let Some(depth) = depth.checked_sub(1) else { return vec![ANY.to_owned()] };
        if let Some(text) = node.scalar() {
            return vec![plain(&text)];
        }
        if let Some((condition, yes, no)) = branches(node) {
            return match self.condition(condition) {
                Some(true) => self.followed(yes, depth),
                Some(false) => self.followed(no, depth),
                None => {
                    bounded(self.followed(yes, depth).into_iter().chain(self.followed(no, depth)).collect())
                }
            };
        }
        let Some((name, argument)) = function(node) else { return vec![ANY.to_owned()] };
        match name {
            "Ref" => argument.as_text().map_or_else(unknown, |name| self.reference(name, depth)),
            "Fn::GetAtt" => attribute(argument)
                .filter(|(_, attribute)| matches!(*attribute, "Arn" | "Name"))
                .map_or_else(unknown, |(id, _)| self.names(id, depth)),
            "Fn::Sub" => self.substituted(argument, depth),
            "Fn::Join" => self.joined(argument, depth),
            _ => unknown(),
        }
    }

    fn reference(&self, name: &str, depth: usize) -> Vec<String> {
        let pseudo = |value: &Option<String>| vec![value.clone().unwrap_or_else(|| format!("${{{name}}}"))];
        match name {
            "AWS::NoValue" => Vec::new(),
            "AWS::AccountId" => pseudo(&self.known.account),
            "AWS::Region" => pseudo(&self.known.region),
            "AWS::Partition" => pseudo(&self.known.partition),
            "AWS::StackName" => vec![self.known.stack.clone().unwrap_or_else(|| ANY.to_owned())],
            _ if self.indirect.contains(name) => unknown(),
            _ => match self.known.parameters.get(name) {
                Some(value) => vec![plain(value)],
                None => self.names(name, depth),
            },
        }
    }

    /// Returns the names that a resource of the template may have; `*` if CloudFormation generates the name.
    fn names(&self, id: &str, depth: usize) -> Vec<String> {
        let named = || {
            let node = self.resource(id)?;
            let pointer = self.table.types.get(node.get("Type")?.as_text()?)?.name.as_deref()?;
            let path = segments(pointer);
            let nodes = self.nodes(node.get("Properties")?, &path);
            Some(nodes.into_iter().flat_map(|node| self.followed(node, depth)).collect::<Vec<_>>())
        };
        named().filter(|names| !names.is_empty()).map_or_else(unknown, bounded)
    }

    /// Evaluates `Fn::Sub`. A variable with several possible texts is unknown.
    fn substituted(&self, argument: &Node, depth: usize) -> Vec<String> {
        let first = argument.items().and_then(|items| items.first());
        let Some(text) = argument.as_text().or(first.and_then(Node::as_text)) else { return unknown() };
        let own = argument.items().and_then(|items| items.get(1));
        let value = |name: &str| {
            let texts = match (own.and_then(|own| own.get(name)), name.split_once('.')) {
                (Some(node), _) => self.followed(node, depth),
                (None, Some((id, "Arn" | "Name"))) => self.names(id, depth),
                (None, Some(_)) => unknown(),
                (None, None) => self.reference(name, depth),
            };
            one(texts)
        };
        vec![substitute(text, value)]
    }

    fn joined(&self, argument: &Node, depth: usize) -> Vec<String> {
        let Some([delimiter, list]) = argument.items() else { return unknown() };
        let (Some(delimiter), Some(items)) = (delimiter.as_text(), list.items()) else { return unknown() };
        let items: Vec<String> = items.iter().map(|item| one(self.followed(item, depth))).collect();
        vec![collapsed(&items.join(delimiter))]
    }

    /// Returns the ids of the resources that a value refers to.
    pub(super) fn referred<'n>(&self, node: &'n Node) -> Option<&'n str> {
        let (name, argument) = function(node)?;
        let id = match name {
            "Ref" => argument.as_text()?,
            "Fn::GetAtt" => attribute(argument)?.0,
            "Fn::Sub" => argument.as_text()?.strip_prefix("${")?.strip_suffix('}')?.split('.').next()?,
            _ => return None,
        };
        self.resources.contains_key(id).then_some(id)
    }
}

/// Returns the resources of a template, those inside loops included, and for each if a loop makes it.
pub(super) fn resources_of(root: &Node) -> Vec<(&Entry, bool)> {
    fn collect<'n>(entries: &'n [Entry], in_loop: bool, into: &mut Vec<(&'n Entry, bool)>) {
        for entry in entries {
            match loop_body(entry) {
                Some(body) => collect(body, true, into),
                None if entry.key.starts_with("Fn::") => {}
                None => into.push((entry, in_loop)),
            }
        }
    }
    let mut resources = Vec::new();
    collect(root.get("Resources").and_then(Node::entries).unwrap_or_default(), false, &mut resources);
    resources
}

/// Returns the keys of a JSON pointer.
pub(super) fn segments(pointer: &str) -> Vec<&str> {
    pointer.split('/').skip(1).collect()
}

/// Returns the name and the argument of an intrinsic function.
pub(super) fn function(node: &Node) -> Option<(&str, &Node)> {
    let [entry] = node.entries()? else { return None };
    let is_function = matches!(entry.key.as_str(), "Ref" | "Condition")
        || entry.key.starts_with("Fn::") && !entry.key.starts_with("Fn::ForEach::");
    is_function.then_some((entry.key.as_str(), &entry.node))
}

/// Returns the reason text for an unknown condition.
pub(super) fn unknown_condition(name: &str) -> String {
    format!("the condition {name} is not known")
}

/// Returns true if a text is completely known.
pub(super) fn is_exact(text: &str) -> bool {
    !text.contains(['*', '?']) && !text.contains("${")
}

fn branches(node: &Node) -> Option<(&str, &Node, &Node)> {
    match function(node)? {
        ("Fn::If", argument) => match argument.items()? {
            [condition, yes, no] => Some((condition.as_text()?, yes, no)),
            _ => None,
        },
        _ => None,
    }
}

fn is_no_value(node: &Node) -> bool {
    matches!(function(node), Some(("Ref", name)) if name.as_text() == Some("AWS::NoValue"))
}

/// Returns the resource and the attribute that `Fn::GetAtt` names.
fn attribute(argument: &Node) -> Option<(&str, &str)> {
    match argument.items() {
        Some([id, name]) => Some((id.as_text()?, name.as_text()?)),
        _ => argument.as_text()?.split_once('.'),
    }
}

/// Returns `false` for And, or `true` for Or, as soon as one operand has that value; `None` while one is unknown.
fn conjunction(operands: &[Option<bool>], decisive: bool) -> Option<bool> {
    if operands.contains(&Some(decisive)) {
        return Some(decisive);
    }
    operands.iter().all(Option::is_some).then_some(!decisive)
}

/// Replaces every `${name}` of a text by its value.
fn substitute(text: &str, value: impl Fn(&str) -> String) -> String {
    let mut made = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        made.push_str(&rest[..at]);
        let found = &rest[at + 2..];
        let Some(end) = found.find('}') else {
            rest = found;
            break;
        };
        match found[..end].strip_prefix('!') {
            Some(literal) => made.push_str(&plain(&format!("${{{literal}}}"))),
            None => made.push_str(&value(found[..end].trim())),
        }
        rest = &found[end + 1..];
    }
    made.push_str(rest);
    collapsed(&made)
}

/// Returns a literal as a policy writes it. Parts that IAM would read as a variable, or a loop as its own, are unknown.
fn plain(text: &str) -> String {
    if text.contains("${") || text.contains("&{") || text.contains("{{resolve:") {
        let cut = text.find(['$', '&', '{']).unwrap_or(0);
        return format!("{}*", &text[..cut]);
    }
    text.to_owned()
}

/// Returns the only text of a value; `*` if it has several.
pub(super) fn one(texts: Vec<String>) -> String {
    match <[String; 1]>::try_from(texts) {
        Ok([text]) => text,
        Err(_) => ANY.to_owned(),
    }
}

fn unknown() -> Vec<String> {
    vec![ANY.to_owned()]
}

fn bounded(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts.dedup();
    if texts.len() > TEXTS_MAX { unknown() } else { texts }
}

/// Replaces several wildcards in a row by one.
pub(super) fn collapsed(text: &str) -> String {
    let mut made = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter != '*' || !made.ends_with('*') {
            made.push(letter);
        }
    }
    made
}
