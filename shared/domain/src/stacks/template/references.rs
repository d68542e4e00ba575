//! Checks that every reference in a template has a target.
//!
//! A macro may add resources that are not visible here, and a loop makes names from a variable. An uncertain reference
//! is not reported: CloudFormation checks it when the change set is created.

use super::macros::{MacroUse, is_module};
use super::node::{Entry, Fault, Node, Value};
use super::sections::loop_body;
use std::collections::BTreeSet;

/// Pseudo parameters of CloudFormation.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/pseudo-parameter-reference.html>
const PSEUDO_PARAMETERS: [&str; 8] = [
    "AWS::AccountId",
    "AWS::NoValue",
    "AWS::NotificationARNs",
    "AWS::Partition",
    "AWS::Region",
    "AWS::StackId",
    "AWS::StackName",
    "AWS::URLSuffix",
];

/// Upper bound for the names in one section; CloudFormation accepts fewer.
const NAMES_MAX: usize = 1000;

/// Returns every reference of `root` to a name that does not exist.
pub(super) fn check(root: &Node) -> Vec<Fault> {
    let mut checker = Checker::new(root);
    // A template beyond the quotas is refused anyway, and a lookup of every name would take too long.
    if checker.macro_use == MacroUse::Some
        || checker.resources.len() > NAMES_MAX
        || checker.conditions.len() > NAMES_MAX
    {
        return Vec::new();
    }
    for section in root.entries().unwrap_or_default() {
        match section.key.as_str() {
            "Resources" => checker.resources(section),
            "Outputs" => checker.outputs(section),
            "Conditions" | "Rules" => checker.within_conditions(section),
            _ => {}
        }
    }
    checker.faults
}

struct Checker<'n> {
    macro_use: MacroUse,
    parameters: BTreeSet<&'n str>,
    /// Resource names; a name with a loop's variable stands for all names that match it.
    resources: BTreeSet<&'n str>,
    /// Names of modules; each stands for the resources that it contains.
    modules: Vec<&'n str>,
    conditions: BTreeSet<&'n str>,
    mappings: BTreeSet<&'n str>,
    /// Variables of the enclosing loops.
    loops: Vec<&'n str>,
    in_conditions: bool,
    faults: Vec<Fault>,
}

impl<'n> Checker<'n> {
    fn new(root: &'n Node) -> Self {
        Self {
            macro_use: MacroUse::of(root),
            parameters: names(root, "Parameters"),
            resources: names(root, "Resources"),
            modules: modules(root),
            conditions: names(root, "Conditions"),
            mappings: names(root, "Mappings"),
            loops: Vec::new(),
            in_conditions: false,
            faults: Vec::new(),
        }
    }

    fn resources(&mut self, section: &'n Entry) {
        self.each(section.node.entries().unwrap_or_default(), Self::resource);
    }

    fn outputs(&mut self, section: &'n Entry) {
        self.each(section.node.entries().unwrap_or_default(), |checker, entry| {
            checker.condition_attribute(&entry.node);
            checker.node(&entry.node);
        });
    }

    fn within_conditions(&mut self, section: &'n Entry) {
        self.in_conditions = true;
        self.each(section.node.entries().unwrap_or_default(), |checker, entry| checker.node(&entry.node));
        self.in_conditions = false;
    }

    /// Applies `action` to each entry, including the bodies of loops.
    fn each(&mut self, entries: &'n [Entry], action: fn(&mut Self, &'n Entry)) {
        for entry in entries {
            match loop_body(entry) {
                Some(body) => self.in_loop(entry, |checker| checker.each(body, action)),
                None => action(self, entry),
            }
        }
    }

    fn in_loop(&mut self, entry: &'n Entry, inside: impl FnOnce(&mut Self)) {
        let before = self.loops.len();
        let parts = entry.node.items().unwrap_or_default();
        self.loops.extend(parts.first().and_then(Node::as_text));
        parts.iter().skip(1).take(1).for_each(|collection| self.node(collection));
        inside(self);
        self.loops.truncate(before);
    }

    fn resource(&mut self, entry: &'n Entry) {
        self.condition_attribute(&entry.node);
        if let Some(depends) = entry.node.entry("DependsOn") {
            let single = std::slice::from_ref(&depends.node);
            for on in depends.node.items().unwrap_or(single) {
                match on.as_text() {
                    Some(name) => self.resource_name(on.line, name, "DependsOn"),
                    None => self.faults.push(Fault::new(on.line, "DependsOn takes the names of resources")),
                }
            }
        }
        self.node(&entry.node);
    }

    fn condition_attribute(&mut self, node: &'n Node) {
        if let Some(entry) = node.entry("Condition")
            && let Some(name) = entry.node.as_text()
        {
            self.condition(entry.line, name);
        }
    }

    fn node(&mut self, node: &'n Node) {
        match &node.value {
            Value::List(items) => items.iter().for_each(|item| self.node(item)),
            Value::Map(entries) => {
                if let [entry] = entries.as_slice() {
                    self.function(entry);
                }
                entries.iter().for_each(|entry| self.entry(entry));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
        }
    }

    fn entry(&mut self, entry: &'n Entry) {
        if let Some(body) = loop_body(entry) {
            self.in_loop(entry, |checker| body.iter().for_each(|entry| checker.entry(entry)));
        } else if entry.key != "Fn::Sub" {
            self.node(&entry.node);
        }
    }

    /// Checks the names that an intrinsic function itself uses. Its nested values are visited like other nodes.
    fn function(&mut self, function: &'n Entry) {
        let argument = &function.node;
        let first = argument.items().and_then(|items| items.first()).and_then(Node::as_text);
        match (function.key.as_str(), argument.as_text().or(first)) {
            ("Ref", Some(name)) => self.reference(argument.line, name, "Ref"),
            ("Fn::GetAtt", Some(name)) => self.resource_name(argument.line, name, "GetAtt"),
            ("Fn::If", Some(name)) => self.condition(argument.line, name),
            ("Condition", Some(name)) if self.in_conditions => self.condition(argument.line, name),
            ("Fn::FindInMap", Some(name)) => self.mapping(argument.line, name),
            ("Fn::Sub", Some(text)) => self.substitution(argument, text),
            _ => {}
        }
    }

    fn substitution(&mut self, argument: &'n Node, text: &'n str) {
        let items = argument.items().unwrap_or_default();
        let variables = items.get(1).and_then(Node::entries).unwrap_or_default();
        variables.iter().for_each(|variable| self.node(&variable.node));
        let own: BTreeSet<&str> = variables.iter().map(|variable| variable.key.as_str()).collect();
        let written = items.first().unwrap_or(argument);
        for (offset, name) in substituted(text).into_iter().filter(|(_, name)| !own.contains(name)) {
            self.substituted(written.line_at(offset), name);
        }
    }

    /// Checks one `${name}` of a text: a parameter, a resource, or a resource and its attribute.
    fn substituted(&mut self, line: u32, name: &str) {
        if self.loops.contains(&name) {
            return;
        }
        match name.split_once('.') {
            Some((resource, _)) => self.resource_name(line, resource, "Sub"),
            None => self.reference(line, name, "Sub"),
        }
    }

    fn reference(&mut self, line: u32, name: &str, how: &str) {
        let exists = self.parameters.contains(name)
            || PSEUDO_PARAMETERS.contains(&name)
            || self.loops.contains(&name)
            || !self.in_conditions && self.has_resource(name);
        if !exists {
            let what = if self.in_conditions { "parameter" } else { "parameter or resource" };
            self.unknown(line, how, what, name);
        }
    }

    fn resource_name(&mut self, line: u32, name: &str, how: &str) {
        if !self.has_resource(name) {
            self.unknown(line, how, "resource", name);
        }
    }

    fn condition(&mut self, line: u32, name: &str) {
        if !fits_any(&self.conditions, name) {
            self.unknown(line, "Condition", "condition", name);
        }
    }

    fn mapping(&mut self, line: u32, name: &str) {
        if !fits_any(&self.mappings, name) {
            self.unknown(line, "FindInMap", "mapping", name);
        }
    }

    fn has_resource(&self, name: &str) -> bool {
        let from_sam =
            || name.starts_with("Serverless") || self.resources.iter().any(|made| name.starts_with(made));
        fits_any(&self.resources, name)
            || self.modules.iter().any(|module| is_within(module, name))
            || self.macro_use == MacroUse::Sam && from_sam()
    }

    fn unknown(&mut self, line: u32, how: &str, what: &str, name: &str) {
        let name: String = name.chars().take(100).collect();
        self.faults
            .push(Fault::new(line, format!("{how} names '{name}', but the template has no such {what}")));
    }
}

/// Returns true if `name` is a resource of `module`, in either spelling: `StoreBucket` or `Store.Bucket`.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/module-ref-resources.html>
pub(super) fn is_within(module: &str, name: &str) -> bool {
    name.strip_prefix(module).is_some_and(|inner| {
        let inner = inner.strip_prefix('.').unwrap_or(inner);
        inner.starts_with(|c: char| c.is_ascii_alphanumeric())
    })
}

fn modules(root: &Node) -> Vec<&str> {
    let resources = root.get("Resources").and_then(Node::entries).unwrap_or_default();
    let has_type = |entry: &&Entry| entry.node.get("Type").and_then(Node::as_text).is_some_and(is_module);
    resources.iter().filter(has_type).map(|entry| entry.key.as_str()).collect()
}

/// Returns the names that a section declares, those inside loops included.
fn names<'n>(root: &'n Node, section: &str) -> BTreeSet<&'n str> {
    fn collect<'n>(entries: &'n [Entry], into: &mut BTreeSet<&'n str>) {
        for entry in entries {
            match loop_body(entry) {
                Some(body) => collect(body, into),
                None => drop(into.insert(&entry.key)),
            }
        }
    }
    let mut names = BTreeSet::new();
    collect(root.get(section).and_then(Node::entries).unwrap_or_default(), &mut names);
    names
}

/// Returns true if `name` is declared, matches a name that a loop makes, or is itself made from a loop's variable.
fn fits_any(declared: &BTreeSet<&str>, name: &str) -> bool {
    declared.contains(name)
        || name.contains("${")
        || name.contains("&{")
        || declared.iter().any(|made| fits(made, name))
}

/// Returns true if a loop that makes names like `Bucket${Name}` can make `name`.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    let Some(start) = pattern.find("${").or_else(|| pattern.find("&{")) else { return pattern == name };
    let end = pattern.rfind('}').map_or(pattern.len(), |at| at + 1);
    let (head, tail) = (&pattern[..start], pattern.get(end..).unwrap_or_default());
    name.len() > head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail)
}

/// Returns the names in the `${…}` of a text, with their offsets. `${!…}` is literal, and names that a loop replaces are
/// omitted.
pub(crate) fn substituted(text: &str) -> Vec<(usize, &str)> {
    let mut names = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find("${") {
        at += start + 2;
        let Some(length) = text[at..].find('}') else { break };
        let name = text[at..at + length].trim();
        if !name.starts_with('!') && !name.contains('{') {
            names.push((at, name));
        }
    }
    names
}
