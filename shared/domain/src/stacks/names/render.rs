//! Values of a template in one stage, as far as they are known before the deployment.
//!
//! A part that differs from stack to stack is written as [`VARIES`]. A part that is unknown and the same in every stack of
//! the place, such as an import, is written as the function that makes it: equal texts mean equal values.

use super::StageValues;
use crate::stacks::template::Parameter;
use crate::stacks::template::node::{Entry, Node, Value};
use std::collections::BTreeMap;

/// Stands for a text that differs from stack to stack. No template contains it.
pub(super) const VARIES: &str = "\u{0}";

/// Encloses a value that only CloudFormation knows.
const OPAQUE: char = '\u{1}';

/// Nested conditions that are followed.
const DEPTH_MAX: u32 = 20;

/// Returns the rendered value of a parameter from Parameter Store, by the name of its source.
pub(crate) fn stored(name: &str) -> String {
    format!("{OPAQUE}ssm:{name}{OPAQUE}")
}

/// Returns true if a rendered text has no part that differs from stack to stack or that only CloudFormation knows.
pub(crate) fn is_known(text: &str) -> bool {
    !text.contains(VARIES) && !text.contains(OPAQUE)
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rendered {
    Absent,
    Text(String),
    List(Vec<Rendered>),
}

impl Rendered {
    fn varies() -> Self {
        Self::Text(VARIES.to_owned())
    }

    /// Returns the value as one text; `None` if it is absent.
    fn text(&self) -> Option<String> {
        match self {
            Self::Absent => None,
            Self::Text(text) => Some(text.clone()),
            Self::List(items) => Some(items.iter().filter_map(Self::text).collect::<Vec<_>>().join(",")),
        }
    }
}

/// Renders the values of a template.
pub(crate) struct Renderer<'a> {
    root: &'a Node,
    declared: &'a BTreeMap<String, Parameter>,
    values: &'a StageValues,
    every_branch: bool,
}

impl<'a> Renderer<'a> {
    pub(crate) fn new(
        root: &'a Node,
        declared: &'a BTreeMap<String, Parameter>,
        values: &'a StageValues,
    ) -> Self {
        Self { root, declared, values, every_branch: false }
    }

    /// Renders every value of a choice that is not known before the deployment, as one text that is not known.
    #[must_use]
    pub(crate) fn with_every_branch(self) -> Self {
        Self { every_branch: true, ..self }
    }

    /// Returns a value as text; `None` if it is absent.
    pub(crate) fn text(&self, node: &Node) -> Option<String> {
        self.value(node).text()
    }

    /// Returns false if the condition of a declaration is certainly not met.
    pub(crate) fn exists(&self, declaration: &Node) -> bool {
        let condition = declaration.get("Condition").and_then(Node::as_text);
        condition.and_then(|name| self.named_condition(name, 0)).unwrap_or(true)
    }

    /// Returns the value of a node.
    pub(super) fn value(&self, node: &Node) -> Rendered {
        match &node.value {
            Value::List(items) => Rendered::List(self.values(items)),
            Value::Map(entries) => match entries.as_slice() {
                [function] if is_function(&function.key) => self.function(function),
                _ => Rendered::Text(node_text(entries, |node| self.text(node))),
            },
            _ => node.scalar().map_or(Rendered::Absent, Rendered::Text),
        }
    }

    fn values(&self, items: &[Node]) -> Vec<Rendered> {
        items.iter().map(|item| self.value(item)).filter(|value| *value != Rendered::Absent).collect()
    }

    fn function(&self, function: &Entry) -> Rendered {
        let argument = &function.node;
        let parts = argument.items().unwrap_or_default();
        match (function.key.as_str(), parts) {
            ("Ref", _) => argument.as_text().map_or_else(Rendered::varies, |name| self.reference(name)),
            ("Fn::Sub", [text, variables]) => self.substitute(text, variables.entries().unwrap_or_default()),
            ("Fn::Sub", _) => self.substitute(argument, &[]),
            ("Fn::Join", [separator, list]) => self.join(separator, list),
            ("Fn::Select", [index, list]) => self.select(index, list),
            ("Fn::Split", [separator, text]) => self.split(separator, text),
            ("Fn::FindInMap", [map, top, second, ..]) => self.find_in_map([map, top, second], parts.get(3)),
            ("Fn::If", [condition, yes, no]) => self.choose(condition, yes, no),
            ("Fn::GetAtt" | "Fn::Transform" | "Fn::GetStackOutput", _) => Rendered::varies(),
            (name, _) => {
                let inner = self.value(argument).text().unwrap_or_default();
                Rendered::Text(format!("{OPAQUE}{name}:{inner}{OPAQUE}"))
            }
        }
    }

    fn reference(&self, name: &str) -> Rendered {
        if let Some(known) = self.values.references.get(name) {
            return Rendered::Text(known.clone());
        }
        let location = &self.values.location;
        match name {
            "AWS::AccountId" => Rendered::Text(location.account.to_string()),
            "AWS::Region" => Rendered::Text(location.region.to_string()),
            "AWS::NoValue" => Rendered::Absent,
            "AWS::Partition" | "AWS::URLSuffix" => Rendered::Text(format!("{OPAQUE}{name}{OPAQUE}")),
            _ => match self.declared.get(name) {
                Some(parameter) => self.parameter(name, parameter),
                None if self.is_resource(name) || name.starts_with("AWS::") => Rendered::varies(),
                // The variable of a loop.
                None => Rendered::Text(format!("{OPAQUE}{name}{OPAQUE}")),
            },
        }
    }

    fn is_resource(&self, name: &str) -> bool {
        super::declared(self.root, "Resources").iter().any(|entry| entry.key == name)
    }

    fn parameter(&self, name: &str, parameter: &Parameter) -> Rendered {
        let Some(value) = self.values.parameters.get(name) else { return Rendered::varies() };
        if parameter.kind.starts_with("AWS::SSM::Parameter::Value<") {
            return Rendered::Text(stored(value));
        }
        if parameter.kind == "CommaDelimitedList" || parameter.kind.starts_with("List<") {
            let items = value.split(',').map(|item| Rendered::Text(item.trim().to_owned()));
            return Rendered::List(items.collect());
        }
        Rendered::Text(value.clone())
    }

    fn substitute(&self, text: &Node, variables: &[Entry]) -> Rendered {
        let Some(mut rest) = text.as_text() else { return Rendered::varies() };
        let mut made = String::new();
        while let Some((before, after)) = rest.split_once("${") {
            made.push_str(before);
            let Some((name, tail)) = after.split_once('}') else {
                made.push_str("${");
                rest = after;
                break;
            };
            made.push_str(&self.substituted(name.trim(), variables));
            rest = tail;
        }
        made.push_str(rest);
        Rendered::Text(made)
    }

    fn substituted(&self, name: &str, variables: &[Entry]) -> String {
        if let Some(literal) = name.strip_prefix('!') {
            return format!("${{{literal}}}");
        }
        if let Some(variable) = variables.iter().find(|variable| variable.key == name) {
            return self.text(&variable.node).unwrap_or_default();
        }
        match name.contains('.') {
            true => VARIES.to_owned(),
            false => self.reference(name).text().unwrap_or_default(),
        }
    }

    fn join(&self, separator: &Node, list: &Node) -> Rendered {
        let separator = self.text(separator).unwrap_or_default();
        match self.value(list) {
            Rendered::List(items) => {
                Rendered::Text(items.iter().filter_map(Rendered::text).collect::<Vec<_>>().join(&separator))
            }
            other => other,
        }
    }

    fn select(&self, index: &Node, list: &Node) -> Rendered {
        let index = self.text(index).unwrap_or_default();
        match self.value(list) {
            Rendered::List(items) => {
                let item = index.parse::<usize>().ok().and_then(|index| items.get(index).cloned());
                item.unwrap_or_else(|| self.one_of(&items))
            }
            other => Rendered::Text(format!(
                "{OPAQUE}Fn::Select:{index}:{}{OPAQUE}",
                other.text().unwrap_or_default()
            )),
        }
    }

    fn split(&self, separator: &Node, text: &Node) -> Rendered {
        let separator = self.text(separator).unwrap_or_default();
        let text = self.text(text).unwrap_or_default();
        if separator.is_empty() || text.contains(OPAQUE) {
            return Rendered::Text(format!("{OPAQUE}Fn::Split:{separator}:{text}{OPAQUE}"));
        }
        Rendered::List(text.split(&separator).map(|part| Rendered::Text(part.to_owned())).collect())
    }

    fn find_in_map(&self, [map, top, second]: [&Node; 3], otherwise: Option<&Node>) -> Rendered {
        let key = |node| self.text(node);
        let found = || {
            let mapping = self.root.get("Mappings")?.get(&key(map)?)?;
            mapping.get(&key(top)?)?.get(&key(second)?)
        };
        let default = otherwise.and_then(|node| node.get("DefaultValue"));
        if self.every_branch && found().is_none() {
            let all = self.root.get("Mappings");
            let mapping = key(map).and_then(|name| all?.get(&name)).or(all);
            let values: Vec<Rendered> =
                mapping.into_iter().chain(default).map(|node| self.value(node)).collect();
            return self.one_of(&values);
        }
        found().or(default).map_or_else(Rendered::varies, |node| self.value(node))
    }

    /// Returns one of `values`, of which it is not known which one.
    fn one_of(&self, values: &[Rendered]) -> Rendered {
        if !self.every_branch {
            return Rendered::varies();
        }
        let texts: Vec<String> = values.iter().filter_map(Rendered::text).collect();
        Rendered::Text(format!("{OPAQUE}{}{OPAQUE}", texts.join(";")))
    }

    /// Returns the branch that the condition chooses. Of an unknown choice, returns the branch with a fixed value, or
    /// both where every branch is wanted.
    fn choose(&self, condition: &Node, yes: &Node, no: &Node) -> Rendered {
        match condition.as_text().and_then(|name| self.named_condition(name, 0)) {
            Some(true) => self.value(yes),
            Some(false) => self.value(no),
            None => {
                let both = [self.value(yes), self.value(no)];
                if self.every_branch {
                    return self.one_of(&both);
                }
                let is_fixed = |value: &&Rendered| value.text().is_some_and(|text| !text.contains(VARIES));
                both.iter().find(is_fixed).cloned().unwrap_or_else(Rendered::varies)
            }
        }
    }

    fn named_condition(&self, name: &str, depth: u32) -> Option<bool> {
        let node = self.root.get("Conditions")?.get(name)?;
        if depth > DEPTH_MAX { None } else { self.condition(node, depth + 1) }
    }

    fn condition(&self, node: &Node, depth: u32) -> Option<bool> {
        let [function] = node.entries()? else { return None };
        let parts = function.node.items().unwrap_or_default();
        let truth = |node| self.condition(node, depth);
        match function.key.as_str() {
            "Condition" => self.named_condition(function.node.as_text()?, depth),
            "Fn::Not" => truth(parts.first()?).map(|met| !met),
            "Fn::And" => all(parts.iter().map(truth), true),
            "Fn::Or" => all(parts.iter().map(truth), false),
            "Fn::Equals" => {
                let [one, other] = parts else { return None };
                let (one, other) = (self.text(one)?, self.text(other)?);
                (one == other && is_known(&one) || is_known(&one) && is_known(&other)).then(|| one == other)
            }
            _ => None,
        }
    }
}

/// Returns `expected` if all are known to be so, the opposite if one is known to be otherwise, else `None`.
fn all(truths: impl Iterator<Item = Option<bool>>, expected: bool) -> Option<bool> {
    let truths: Vec<Option<bool>> = truths.collect();
    if truths.contains(&Some(!expected)) {
        return Some(!expected);
    }
    truths.iter().all(Option::is_some).then_some(expected)
}

fn is_function(key: &str) -> bool {
    key == "Ref" || key == "Condition" || key.starts_with("Fn::")
}

/// Returns a mapping as text in which equal mappings are equal.
fn node_text(entries: &[Entry], text: impl Fn(&Node) -> Option<String>) -> String {
    let mut parts: Vec<String> =
        entries.iter().filter_map(|entry| Some(format!("{}={}", entry.key, text(&entry.node)?))).collect();
    parts.sort();
    format!("{OPAQUE}{}{OPAQUE}", parts.join(";"))
}
