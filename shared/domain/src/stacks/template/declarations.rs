//! Checks what the declarations of a template consist of: their own keys, values that cannot be null, names that are
//! declared twice, mappings and their lookups, and what only a transform provides.

use super::macros::MacroUse;
use super::node::{Entry, Fault, Node, Value};
use super::sections::loop_body;
use super::shapes::function_of;
use crate::model::toml_file::{distance, suggestion};

const PARAMETER: [&str; 11] = [
    "AllowedPattern",
    "AllowedValues",
    "ConstraintDescription",
    "Default",
    "Description",
    "MaxLength",
    "MaxValue",
    "MinLength",
    "MinValue",
    "NoEcho",
    "Type",
];
const OUTPUT: [&str; 4] = ["Condition", "Description", "Export", "Value"];
/// Transforms of AWS that apply to a whole template.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/transform-reference.html>
const TRANSFORMS: [&str; 7] = [
    "AWS::CodeDeployBlueGreen",
    "AWS::Include",
    "AWS::LanguageExtensions",
    "AWS::SecretsManager-2020-07-23",
    "AWS::SecretsManager-2024-09-16",
    "AWS::Serverless-2016-10-31",
    "AWS::ServiceCatalog",
];

/// Returns the problems in the declarations of `root`.
pub(super) fn check(root: &Node) -> Vec<Fault> {
    let macro_use = MacroUse::of(root);
    let mut checker = Checker { macro_use, faults: Vec::new() };
    checker.names(root);
    checker.transforms(root);
    for section in root.entries().unwrap_or_default() {
        let entries = section.node.entries().unwrap_or_default();
        match section.key.as_str() {
            "Parameters" => entries.iter().for_each(|entry| checker.parameter(entry)),
            "Outputs" => checker.each(entries, Checker::output),
            "Rules" => checker.each(entries, Checker::rule),
            "Mappings" => checker.each(entries, Checker::mapping),
            "Resources" => checker.each(entries, Checker::resource),
            "Globals" if macro_use == MacroUse::All => checker.needs_sam(section.line, "the section Globals"),
            "Hooks" if !MacroUse::names(root).contains(&"AWS::CodeDeployBlueGreen") => {
                let message =
                    "the section Hooks needs `Transform: AWS::CodeDeployBlueGreen`, which the template lacks";
                checker.fault(section.line, message);
            }
            _ => {}
        }
    }
    if macro_use != MacroUse::Some {
        checker.nulls(root);
        checker.lookups(root, root.get("Mappings"));
    }
    checker.faults
}

struct Checker {
    macro_use: MacroUse,
    faults: Vec<Fault>,
}

impl Checker {
    fn fault(&mut self, line: u32, message: impl Into<String>) {
        self.faults.push(Fault::new(line, message));
    }

    fn needs_sam(&mut self, line: u32, what: &str) {
        let message =
            format!("{what} needs `Transform: AWS::Serverless-2016-10-31`, which the template lacks");
        self.fault(line, message);
    }

    fn each(&mut self, entries: &[Entry], action: fn(&mut Self, &Entry)) {
        for entry in entries {
            if let Some(body) = loop_body(entry) {
                self.each(body, action);
            } else if !entry.key.starts_with("Fn::") {
                action(self, entry);
            }
        }
    }

    /// Checks the keys of the declaration `what`. A macro may define more.
    fn keys(&mut self, what: &str, node: &Node, known: &[&str]) {
        for entry in node.entries().unwrap_or_default() {
            let key = entry.key.as_str();
            if !known.contains(&key) && !key.starts_with("Fn::") && self.macro_use != MacroUse::Some {
                self.fault(entry.line, format!("{what} has no key '{key}'{}", suggestion(key, known)));
            }
        }
    }

    /// Checks that the value of `key` is text that is written out.
    fn literal(&mut self, what: &str, node: &Node, key: &str) {
        if let Some(entry) = node.entry(key)
            && matches!(entry.node.value, Value::List(_) | Value::Map(_))
            && self.macro_use != MacroUse::Some
        {
            self.fault(entry.line, format!("the {key} of {what} must be text, without functions"));
        }
    }

    /// Checks that no transform is nearly one of AWS. AWS may have new ones, and everyone may have macros.
    fn transforms(&mut self, root: &Node) {
        let line = root.entry("Transform").map_or(1, |entry| entry.line);
        for name in MacroUse::names(root).into_iter().filter(|name| name.starts_with("AWS::")) {
            let near =
                TRANSFORMS.iter().find(|known| distance(name, known) <= 2).filter(|near| **near != name);
            if let Some(near) = near {
                self.fault(line, format!("there is no transform {name}; did you mean `{near}`?"));
            }
        }
    }

    /// Checks that no parameter and resource share a name, since `Ref` could mean either.
    fn names(&mut self, root: &Node) {
        let Some(parameters) = root.get("Parameters") else { return };
        for resource in root.get("Resources").and_then(Node::entries).unwrap_or_default() {
            if parameters.entry(&resource.key).is_some() {
                let message = format!("'{}' is a parameter and a resource: rename one of them", resource.key);
                self.fault(resource.line, message);
            }
        }
    }

    fn parameter(&mut self, entry: &Entry) {
        let what = format!("the parameter {}", entry.key);
        self.keys(&what, &entry.node, &PARAMETER);
        for key in PARAMETER.into_iter().filter(|key| *key != "AllowedValues") {
            self.literal(&what, &entry.node, key);
        }
        if let Some(allowed) = entry.node.entry("AllowedValues") {
            match allowed.node.items() {
                Some(items) if !items.is_empty() && items.iter().all(|item| item.scalar().is_some()) => {}
                _ => self.fault(allowed.line, format!("the AllowedValues of {what} must be a list of texts")),
            }
        }
        if let Some(hidden) = entry.node.entry("NoEcho")
            && !hidden
                .node
                .scalar()
                .is_some_and(|truth| matches!(truth.to_lowercase().as_str(), "true" | "false"))
        {
            self.fault(hidden.line, format!("the NoEcho of {what} must be true or false"));
        }
    }

    fn output(&mut self, entry: &Entry) {
        let what = format!("the output {}", entry.key);
        if entry.node.entries().is_none() && entry.node.value != Value::Null {
            return self.fault(entry.line, format!("{what} must be a mapping"));
        }
        self.keys(&what, &entry.node, &OUTPUT);
        self.literal(&what, &entry.node, "Description");
        self.literal(&what, &entry.node, "Condition");
        let Some(export) = entry.node.entry("Export") else { return };
        let export_of = format!("the Export of {what}");
        match export.node.get("Name") {
            Some(name) => {
                let is_text = match function_of(name) {
                    Some((inner, function)) => {
                        // The export exists before its resources do, so that it cannot be named after one.
                        if matches!(function.name, "Fn::GetAtt" | "Fn::GetAZs" | "Fn::Split" | "Fn::Cidr") {
                            self.fault(
                                inner.line,
                                format!("the name of an export cannot use {}", function.name),
                            );
                        }
                        true
                    }
                    None => matches!(name.value, Value::Null) || name.scalar().is_some(),
                };
                if !is_text {
                    self.fault(name.line, format!("the Name of {export_of} must be text"));
                }
            }
            None if function_of(&export.node)
                .is_some_and(|(_, function)| function.name == "Fn::Transform") => {}
            None => self.fault(export.line, format!("{export_of} must be a mapping with a Name")),
        }
        self.keys(&export_of, &export.node, &["Name"]);
    }

    fn rule(&mut self, entry: &Entry) {
        let what = format!("the rule {}", entry.key);
        match entry.node.get("Assertions") {
            Some(assertions) => match assertions.items() {
                Some(items) => {
                    for assertion in items {
                        if assertion.get("Assert").is_none() {
                            self.fault(assertion.line, format!("an assertion of {what} has no Assert"));
                        }
                    }
                }
                None => self.fault(assertions.line, format!("the Assertions of {what} must be a list")),
            },
            None => self.fault(entry.line, format!("{what} has no Assertions")),
        }
    }

    /// Checks a mapping: keys, second-level keys, and texts or lists of texts.
    fn mapping(&mut self, entry: &Entry) {
        let what = format!("the mapping {}", entry.key);
        let is_included = |node: &Node| node.get("Fn::Transform").is_some();
        if is_included(&entry.node) {
            return;
        }
        let tops = entry.node.entries().unwrap_or_default();
        if tops.is_empty() {
            self.fault(entry.line, format!("{what} must be a mapping of keys"));
        }
        for top in tops {
            if is_included(&top.node) {
                continue;
            }
            let seconds = top.node.entries().unwrap_or_default();
            if seconds.is_empty() {
                self.fault(
                    top.line,
                    format!("{}, a key of {what}, must be a mapping of keys and values", top.key),
                );
            }
            for second in seconds {
                let is_text = |node: &Node| node.scalar().is_some();
                let is_value = match &second.node.value {
                    Value::List(items) => items.iter().all(is_text),
                    Value::Null => true,
                    _ => is_text(&second.node),
                };
                if !is_value && second.key != "Fn::Transform" {
                    let message =
                        format!("{}, a value of {what}, must be text or a list of texts", second.key);
                    self.fault(second.line, message);
                }
            }
        }
    }

    fn resource(&mut self, entry: &Entry) {
        if self.macro_use == MacroUse::All {
            let kind = entry.node.get("Type").and_then(Node::as_text).unwrap_or_default();
            if kind.starts_with("AWS::Serverless::") {
                self.needs_sam(entry.line, &format!("{} ({kind})", entry.key));
            }
            for key in ["Connectors", "IgnoreGlobals"] {
                if let Some(attribute) = entry.node.entry(key) {
                    self.needs_sam(attribute.line, &format!("the attribute {key}"));
                }
            }
        }
        let what = format!("the resource {}", entry.key);
        self.literal(&what, &entry.node, "Type");
        self.literal(&what, &entry.node, "Condition");
        for key in ["Properties", "CreationPolicy", "UpdatePolicy"] {
            if let Some(attribute) = entry.node.entry(key)
                && !matches!(attribute.node.value, Value::Map(_) | Value::Null)
            {
                self.fault(attribute.line, format!("the {key} of {what} must be a mapping"));
            }
        }
    }

    fn nulls(&mut self, node: &Node) {
        match &node.value {
            Value::List(items) => {
                for item in items {
                    if item.value == Value::Null {
                        self.fault(item.line, "an item of a list has no value: CloudFormation refuses null");
                    }
                    self.nulls(item);
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    if entry.node.value == Value::Null {
                        let message = format!("{} has no value: CloudFormation refuses null", entry.key);
                        self.fault(entry.line, message);
                    }
                    self.nulls(&entry.node);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
        }
    }

    /// Checks that the keys of each lookup exist, as far as they are written out.
    fn lookups(&mut self, node: &Node, mappings: Option<&Node>) {
        match &node.value {
            Value::List(items) => items.iter().for_each(|item| self.lookups(item, mappings)),
            Value::Map(entries) => {
                for entry in entries {
                    if entry.key == "Fn::FindInMap" && entries.len() == 1 {
                        self.lookup(entry, mappings);
                    }
                    self.lookups(&entry.node, mappings);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
        }
    }

    fn lookup(&mut self, entry: &Entry, mappings: Option<&Node>) {
        // A fourth item is a default for keys that do not exist.
        let Some([name, top, second]) = entry.node.items() else { return };
        let Some(mapping) = name.as_text().and_then(|name| mappings?.get(name)) else { return };
        let Some(tops) = mapping.entries() else { return };
        let is_open = |entries: &[Entry]| entries.iter().any(|entry| entry.key.starts_with("Fn::"));
        if is_open(tops) {
            return;
        }
        let name = name.as_text().unwrap_or_default();
        let (top_key, second_key) = (literal_key(top), literal_key(second));
        let reached: Vec<&Entry> = match &top_key {
            Some(key) => tops.iter().filter(|entry| entry.key == *key).collect(),
            None => tops.iter().collect(),
        };
        if let (Some(key), true) = (&top_key, reached.is_empty()) {
            let known = suggestion(key, tops.iter().map(|entry| entry.key.as_str()));
            return self.fault(top.line, format!("the mapping {name} has no key '{key}'{known}"));
        }
        let Some(key) = second_key else { return };
        let has_key = |top: &&Entry| {
            let seconds = top.node.entries().unwrap_or_default();
            is_open(seconds) || seconds.iter().any(|entry| entry.key == key)
        };
        if !reached.iter().any(has_key) {
            let below = top_key.map_or_else(String::new, |key| format!(" below '{key}'"));
            self.fault(second.line, format!("the mapping {name} has no key '{key}'{below}"));
        }
    }
}

/// Returns a key that is written out. A name that a loop makes is not.
fn literal_key(node: &Node) -> Option<String> {
    node.scalar().filter(|key| !key.contains("${") && !key.contains("&{"))
}
